"""`hofsteer compare`: methods side by side."""

import csv
import io
from pathlib import Path
from typing import Annotated, Any

import typer

from hofsteer.cli.output import AsJson, Model, load_respondent, messages, print_json, results


def compare(
    targets: Annotated[
        str, typer.Option(help="Countries, regions or groups of a table (FILE.csv:GROUP), with commas.")
    ] = "SAU,USA,CHN,IND",
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
    workers: Annotated[
        int,
        typer.Option(
            help="Processes that search at once, on CPUs only. N of them hold N copies of the model in memory, and the "
            "main process one more.",
            min=1,
        ),
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Compare methods on one model: every search in a run folder, all scored on the same forms.

    Writes table.md, cells.csv, statistics.csv and comparison.json into the folder. Interrupted, the same command goes
    on.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from hofsteer.comparison import Comparison, search_side_by_side, targets_by_code
    from hofsteer.comparison import compare as run
    from hofsteer.config import check_model, parse_set, read_toml
    from hofsteer.errors import ConfigError
    from hofsteer.evaluation.cells import summary
    from hofsteer.evaluation.methods import method_statistics
    from hofsteer.files import replace_json, replace_text
    from hofsteer.instruments import load_instrument
    from hofsteer.report.comparison import comparison_markdown, comparison_notes, comparison_tables

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
    names = targets_by_code(_listed(said["targets"]), instrument)
    comparison = Comparison(tuple(names.values()), _listed(said["methods"]), tuple(range(said["seeds"])), settings, out)
    for name in comparison.targets:  # all settings are checked before anything is asked
        comparison.scoring(name)
        for method in comparison.methods:
            comparison.search(method, name, 0)
    respondent = load_respondent(check_model(id=said["model"]))
    console = messages()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("comparing", total=None)

        def watch(text: str, done: int, total: int) -> None:
            progress.update(task, description=text, completed=done, total=total)

        if workers > 1:
            search_side_by_side(comparison, respondent, workers, watch)
        cells = run(comparison, respondent, watch)
    statistics = method_statistics(cells)
    result = {
        "schema": 1,
        "model": respondent.settings.id,
        "weights_sha256": respondent.fingerprint,
        "targets": list(names),
        "seeds": list(comparison.seeds),
        "settings": settings,
        "cells": [cell.to_json() for cell in cells],
        "summary": summary(cells),
        "statistics": statistics.to_json(),
    }
    replace_json(out / "comparison.json", result)
    replace_text(out / "table.md", comparison_markdown(cells, respondent.simulated))
    replace_text(out / "cells.csv", _csv([cell.to_row() for cell in cells]))
    replace_text(out / "statistics.csv", _csv(statistics.rows()))
    if as_json:
        print_json(result)
        return
    shown = results()
    for one in comparison_tables(cells):
        shown.print(one)
    for text in comparison_notes(cells, respondent.simulated):
        shown.print(text, highlight=False)
    written = "table.md, cells.csv, statistics.csv, comparison.json"
    shown.print(f"written: {out}/{written}; runs in {out}/runs", highlight=False, soft_wrap=True)


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _listed(names: str | list[str]) -> tuple[str, ...]:
    given = names.split(",") if isinstance(names, str) else names
    return tuple(dict.fromkeys(name.strip() for name in given if name.strip()))
