"""`hofsteer score`: from a table of answers to scores, without a model."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from hofsteer.cli.output import (
    SCORES_MOVE,
    AsJson,
    ConstantsKind,
    InstrumentName,
    messages,
    print_json,
    results,
)


def score(
    answers: Annotated[Path, typer.Argument(help="CSV with one column an item (Q1, Q2, ...) and maybe `group`.")],
    instrument: InstrumentName = "vsm13",
    constants: ConstantsKind = None,
    as_json: AsJson = False,
) -> None:
    """Score a table of answers: one row a respondent, or one row of item means."""
    from hofsteer.instruments import load_instrument, named_scores, read_answers, score_table
    from hofsteer.report import points
    from hofsteer.targets import constants_for

    questions = load_instrument(instrument)
    policy = constants_for(questions, constants)
    table = read_answers(answers, questions)
    groups = score_table(table, questions, policy.values)
    if table.ignored:
        messages().print(f"columns not read: {', '.join(table.ignored)}", highlight=False, soft_wrap=True)
    if as_json:
        scored = {
            g.name: {"n": g.n, "scores": named_scores(g.scores, questions.dimension_ids), "missing": list(g.missing)}
            for g in groups
        }
        print_json({"schema": 1, "instrument": questions.id, "constants": policy.kind, "groups": scored})
        return
    shown = Table(title=f"{questions.title} (constants: {policy.kind})")
    shown.add_column("group")
    shown.add_column("n", justify="right")
    for dimension in questions.dimension_ids:
        shown.add_column(dimension, justify="right")
    shown.add_column("missing items")
    digits = questions.digits
    for g in groups:
        shown.add_row(g.name, str(g.n), *(points(score, digits) for score in g.scores), ", ".join(g.missing))
    console = results()
    console.print(shown)
    smallest = min(groups, key=lambda g: g.n)
    if table.fractions:
        console.print("some answers are fractions: if rows are item means, n counts rows and not people")
    else:
        floor = points(questions.noise_floor(smallest.n), digits - 1)
        console.print(
            f"Noise floor: if answers vary {questions.variation}, two samples of {smallest.n} (the smallest group, "
            f"{smallest.name}) from one country differ by {floor} points on average."
        )
    if questions.constants == "chosen":
        console.print(SCORES_MOVE)
