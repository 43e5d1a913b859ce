"""`hofsteer compare`: methods side by side."""

import csv
from pathlib import Path
from typing import Annotated, Any

import typer

from hofsteer.cli.output import AsJson, Model, load_respondent, messages, print_json, results


def compare(
    targets: Annotated[str, typer.Option(help="Countries or regions, with commas.")] = "SAU,USA,CHN,IND",
    methods: Annotated[
        str,
        typer.Option(
            help="With commas: naive, persona, persona-best, scores-in-words, icl, random; a preset; `default`; or a "
            "search such as de."
        ),
    ] = "naive,persona,icl,default",
    model: Model = "mini",
    seeds: Annotated[int, typer.Option(help="Search seeds, 0 and up; 10 for a verdict.", min=1)] = 3,
    budget: Annotated[int | None, typer.Option(help="Evaluations of every search.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of runs and tables; what it holds already is used again.")] = Path(
        "comparison"
    ),
    experiment: Annotated[
        Path | None, typer.Option(help="A TOML file with any of the above, such as experiments/masoud2025.toml.")
    ] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="Any setting of the runs: wordings=[0]")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare methods on one model: every search in a run folder, all scored on the same forms.

    Writes table.md, cells.csv and comparison.json into the folder. Interrupted, the same command goes on.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from hofsteer.comparison import Comparison
    from hofsteer.comparison import compare as run
    from hofsteer.config import check_model, parse_set, read_toml
    from hofsteer.errors import ConfigError
    from hofsteer.evaluation.cells import summary
    from hofsteer.files import replace_json, replace_text
    from hofsteer.instruments import load_instrument
    from hofsteer.report.comparison import comparison_markdown, comparison_notes, comparison_table
    from hofsteer.targets import target_for

    said: dict[str, Any] = {"targets": targets, "methods": methods, "model": model, "seeds": seeds, "budget": budget}
    settings: dict[str, Any] = {}
    if experiment is not None:
        table = read_toml(experiment)
        settings |= table.pop("settings", {})
        table.pop("notes", None)
        if unknown := sorted(set(table) - set(said)):
            raise ConfigError(f"{experiment} wants {', '.join(said)}, settings or notes, got {unknown[0]!r}")
        said |= table
    settings |= dict(parse_set(text) for text in sets or [])
    if said["budget"] is not None:
        settings["search.budget"] = said["budget"]
    instrument = load_instrument(settings.get("instrument", "vsm13"))
    codes = tuple(dict.fromkeys(target_for(name, instrument).code for name in _listed(said["targets"])))
    comparison = Comparison(codes, _listed(said["methods"]), tuple(range(said["seeds"])), settings, out)
    for code in codes:  # all settings are checked before anything is asked
        comparison.scoring(code)
        for method in comparison.methods:
            comparison.search(method, code, 0)
    respondent = load_respondent(check_model(id=said["model"]))
    console = messages()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("comparing", total=None)
        cells = run(
            comparison,
            respondent,
            lambda text, done, total: progress.update(task, description=text, completed=done, total=total),
        )
    result = {
        "schema": 1,
        "model": respondent.settings.id,
        "weights_sha256": respondent.fingerprint,
        "targets": list(codes),
        "seeds": list(comparison.seeds),
        "settings": settings,
        "cells": [cell.__dict__ for cell in cells],
        "summary": summary(cells),
    }
    replace_json(out / "comparison.json", result)
    replace_text(out / "table.md", comparison_markdown(cells, respondent.simulated))
    with (out / "cells.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(cells[0].__dict__))
        writer.writeheader()
        writer.writerows(cell.__dict__ for cell in cells)
    if as_json:
        print_json(result)
        return
    shown = results()
    shown.print(comparison_table(cells))
    for text in comparison_notes(cells, respondent.simulated):
        shown.print(text, highlight=False)
    shown.print(
        f"written: {out}/table.md, cells.csv, comparison.json; runs in {out}/runs", highlight=False, soft_wrap=True
    )


def _listed(names: str | list[str]) -> tuple[str, ...]:
    given = names.split(",") if isinstance(names, str) else names
    return tuple(dict.fromkeys(name.strip() for name in given if name.strip()))
