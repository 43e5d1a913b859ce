"""`hofsteer evaluate`: what finished runs show, and the verdict."""

from pathlib import Path
from typing import Annotated

import typer

from hofsteer.cli.knowledge import BENCHMARK
from hofsteer.cli.output import AsJson, load_respondent, messages, print_json, results


def evaluate(
    runs: Annotated[list[Path], typer.Argument(help="Run folders for one target, or a folder of them: a seed each.")],
    controls: Annotated[
        list[Path] | None, typer.Option(help="Runs for other targets, or a folder of them; 39 for the third claim.")
    ] = None,
    search_controls: Annotated[
        int | None, typer.Option(help="Search so many controls into the one folder of --controls first.", min=2)
    ] = None,
    plan: Annotated[Path | None, typer.Option(help="The plan that the runs were started under.")] = None,
    texts: Annotated[bool, typer.Option(help="Let the model write answers as well.")] = True,
    transfer: Annotated[bool, typer.Option(help="Follow fit and carry-over along the search too.")] = True,
    conversation: Annotated[bool, typer.Option(help="Ask the survey in one conversation too.")] = True,
    benchmark: Annotated[list[str] | None, typer.Option(help=BENCHMARK)] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for verdict.json and verdict.html.")] = None,
    as_json: AsJson = False,
) -> None:
    """Judge runs by what no search looked at: held-out forms, other instruments, choices, abilities.

    Five claims, each supported, refuted or undecided: matches the scores, carries over, specific to the target, shows
    in choices, no damage. Ten seeds give a verdict; fewer show the numbers alone.
    """
    from hofsteer.control_runs import search_controls as search
    from hofsteer.errors import RunError
    from hofsteer.evaluation.culturalbench import load_benchmarks
    from hofsteer.evaluation.finished import open_runs
    from hofsteer.evaluation.plan import departures, first_opening, log_opening, read_plan
    from hofsteer.evaluation.runs import DEFAULTS, Extras, evaluate_runs, question_of
    from hofsteer.evaluation.together import check_model, check_together
    from hofsteer.files import replace_json, replace_text
    from hofsteer.report.transfer import transfer_figure
    from hofsteer.report.verdict import sentences, verdict_report, verdict_tables

    planned = read_plan(plan) if plan else None
    opened = open_runs(runs, along=transfer)
    if search_controls is not None and (controls is None or len(controls) != 1):
        raise RunError("--search-controls wants the one folder to search into: --controls FOLDER")
    others = open_runs(controls) if controls and search_controls is None else ()
    others = tuple(run for run in others if run.folder.path not in {own.folder.path for own in opened})
    if out is not None and out.exists() and not out.is_dir():
        raise RunError(f"--out wants a folder, and {out} is a file")
    check_together(opened, others)
    question_of(opened[0], planned or DEFAULTS)  # refuses what cannot be asked before anything is
    benchmarks = load_benchmarks(benchmark or [])
    why = departures(
        planned,
        first_opening(plan) if plan else None,
        [run.provenance.get("plan") or {} for run in opened],
        opened[0].config.target,
        [run.config.search.seed for run in opened],
    )
    respondent = load_respondent(opened[0].config.model)
    check_model((*opened, *others), respondent)
    console = messages()
    if search_controls is not None and controls is not None:
        with console.status("controls") as status:
            others = search(
                opened[0],
                respondent,
                controls[0],
                search_controls,
                lambda done, count: status.update(f"control {done + 1} of {count}"),
            )
    with console.status("evaluating") as status:
        if plan is not None:
            log_opening(plan, [run.folder.name for run in opened])
        extras = Extras(texts, transfer, conversation, benchmarks)
        found = evaluate_runs(
            respondent, opened, others, planned, why, extras, lambda text: status.update(f"evaluating: {text}")
        )
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        replace_json(out / "verdict.json", found.to_json())
        replace_text(out / "verdict.html", verdict_report(found))
        if found.transfer is not None:
            replace_text(out / "transfer.svg", transfer_figure(found.transfer))
    if as_json:
        print_json(found.to_json())
        return
    shown = results()
    for table in verdict_tables(found):
        shown.print(table)
    for text in sentences(found):
        shown.print(text, highlight=False)
    if out is not None:
        shown.print(f"written: {out / 'verdict.json'}, {out / 'verdict.html'}", highlight=False, soft_wrap=True)
