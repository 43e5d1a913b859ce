"""`hofsteer compare`: methods side by side."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hofsteer.cli.output import AsJson, Model, load_respondent, messages, print_json, results

if TYPE_CHECKING:
    from hofsteer.comparison import Comparison

IN_A_FILE = ("targets", "methods", "model", "seeds", "budget")  # what an experiment may say


def compare(
    context: typer.Context,
    targets: Annotated[
        str, typer.Option(help="Countries, regions or groups of a table (FILE.csv:GROUP), with commas.")
    ] = "SAU,USA,CHN,IND",
    methods: Annotated[
        str,
        typer.Option(
            help="With commas: naive, persona, persona-best, scores-in-words, icl, random (a soft prompt that nobody "
            "searched); a preset; `default`; or a search such as de (random search: random-search)."
        ),
    ] = "naive,persona,icl,default",
    model: Model = "mini",
    seeds: Annotated[int, typer.Option(help="Search seeds, 0 and up; 10 for a verdict.", min=1)] = 3,
    budget: Annotated[int | None, typer.Option(help="Evaluations of every search.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of runs and tables; what it holds already is used again.")] = Path(
        "comparison"
    ),
    plan: Annotated[
        Path | None,
        typer.Option(
            help="A plan: everything but methods comes from it, all its targets unless --targets names some of them."
        ),
    ] = None,
    experiment: Annotated[
        Path | None,
        typer.Option(
            help="A TOML file with any of targets, methods, model, seeds, budget and settings, such as "
            "experiments/masoud2025.toml; named options go before it."
        ),
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

    Settings: defaults < --experiment < named options < --set. Writes table.md, cells.csv, statistics.csv and
    comparison.json into the folder. Interrupted, the same command goes on.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from hofsteer.comparison import Comparison
    from hofsteer.comparison import compare as run
    from hofsteer.comparison_runs import search_one_by_one, search_side_by_side
    from hofsteer.evaluation.cells import summary
    from hofsteer.evaluation.methods import method_statistics
    from hofsteer.evaluation.plan import Margins, first_opening, log_opening, read_plan
    from hofsteer.files import replace_json, replace_text
    from hofsteer.report.comparison import comparison_markdown, comparison_notes, comparison_tables

    options = dict(zip(IN_A_FILE, (targets, methods, model, seeds, budget), strict=True))
    named = {name for name in context.params if _is_named(context, name)}
    planned = None
    if plan is not None:
        _refuse_beside_a_plan(named)
        planned = read_plan(plan)
        comparison = Comparison.under(planned, _listed(targets) if "targets" in named else None, _listed(methods), out)
        first_opening(plan)  # a log that cannot be read is refused before anything is searched
    else:
        comparison = _unplanned(options, named, experiment, sets or [], out)
    comparison.check()
    respondent = load_respondent(comparison.scoring(comparison.targets[0]).model)
    console = messages()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("comparing", total=None)

        def watch(text: str, done: int, total: int) -> None:
            progress.update(task, description=text, completed=done, total=total)

        if workers > 1:
            search_side_by_side(comparison, respondent, workers, watch)
        else:
            search_one_by_one(comparison, respondent, watch)
        why = comparison.exploratory(first_opening(plan) if plan is not None else None)
        if plan is not None:  # held-out forms are asked once all is searched
            log_opening(plan, [comparison.folder(search).name for search in comparison.searches])
        cells = run(comparison, respondent, watch)
    margins = Margins() if planned is None else planned.margins
    statistics = method_statistics(cells, margins.seeds_for_a_verdict)
    notes = comparison_notes(cells, statistics, margins.seeds_for_a_verdict, why, respondent.simulated)
    result = {
        "schema": 1,
        "model": respondent.settings.id,
        "weights_sha256": respondent.fingerprint,
        "targets": list(dict.fromkeys(cell.target for cell in cells)),
        "seeds": list(comparison.seeds),
        "settings": {key: value for key, value in comparison.settings.items() if key != "model.id"},
        "plan": None if planned is None else planned.hash,
        "exploratory": list(why),
        "cells": [cell.to_json() for cell in cells],
        "summary": summary(cells),
        "statistics": statistics.to_json(),
    }
    replace_json(out / "comparison.json", result)
    replace_text(out / "table.md", comparison_markdown(cells, statistics, notes))
    replace_text(out / "cells.csv", _csv([cell.to_row() for cell in cells]))
    replace_text(out / "statistics.csv", _csv(statistics.rows()))
    if as_json:
        print_json(result)
        return
    shown = results()
    for one in comparison_tables(cells, statistics):
        shown.print(one)
    for text in notes:
        shown.print(text, highlight=False)
    written = "table.md, cells.csv, statistics.csv, comparison.json"
    shown.print(f"written: {out}/{written}; runs in {out}/runs", highlight=False, soft_wrap=True)


def _is_named(context: typer.Context, option: str) -> bool:
    """Return whether the user named an option, rather than leave its default."""
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def _refuse_beside_a_plan(named: set[str]) -> None:
    from hofsteer.errors import ConfigError

    options = {"experiment": "experiment", "model": "model", "seeds": "seeds", "budget": "budget", "sets": "set"}
    if others := [option for name, option in options.items() if name in named]:
        raise ConfigError(
            f"--plan says all but methods and which of its targets: leave --{others[0]} out, or write another plan"
        )


def _unplanned(
    options: Mapping[str, Any], named: set[str], experiment: Path | None, sets: Sequence[str], out: Path
) -> "Comparison":
    """Return what is compared: named options, elsewhere what the experiment says, elsewhere the defaults."""
    from hofsteer.comparison import Comparison, targets_by_code
    from hofsteer.errors import ConfigError
    from hofsteer.instruments import load_instrument
    from hofsteer.tables import parse_set

    table, settings = _read_experiment(experiment) if experiment is not None else ({}, {})
    said = {name: table[name] if name in table and name not in named else value for name, value in options.items()}
    for name, key in (("model", "model.id"), ("budget", "search.budget")):
        if said[name] is not None and (name in named or name in table or key not in settings):
            settings[key] = said[name]
    for key, value in map(parse_set, sets):
        if key in [one for name, one in (("model", "model.id"), ("budget", "search.budget")) if name in named]:
            raise ConfigError(f"{key} is given both by its flag and by --set; keep one")
        settings[key] = value
    names = targets_by_code(_listed(said["targets"]), load_instrument(settings.get("instrument", "vsm13")))
    return Comparison(tuple(names.values()), _listed(said["methods"]), tuple(range(said["seeds"])), settings, out)


def _read_experiment(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what an experiment says by option, and its settings by dotted key."""
    from hofsteer.errors import ConfigError
    from hofsteer.tables import by_dotted_key, read_toml

    table = read_toml(path)
    settings = by_dotted_key(table.pop("settings", {}))
    table.pop("notes", None)
    if unknown := sorted(set(table) - set(IN_A_FILE)):
        raise ConfigError(f"{path} wants {', '.join(IN_A_FILE)}, settings or notes, got {unknown[0]!r}")
    for name in ("seeds", "budget"):
        if not (type(number := table.get(name, 1)) is int and number >= 1):
            raise ConfigError(f"{path} wants {name} of 1 or more, got {number!r}")
    for name in ("targets", "methods"):
        texts = [text] if isinstance(text := table.get(name, ""), str) else text
        if not (isinstance(texts, list) and all(isinstance(one, str) for one in texts)):
            raise ConfigError(f"{path} wants {name} as a list of names, got {text!r}")
    return table, settings


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _listed(names: str | list[str]) -> tuple[str, ...]:
    given = names.split(",") if isinstance(names, str) else names
    return tuple(dict.fromkeys(name.strip() for name in given if name.strip()))
