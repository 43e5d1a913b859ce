"""`hofsteer score`: from a table of answers to scores, without a model."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from hofsteer.cli.output import (
    SCORES_MOVE,
    AsJson,
    InstrumentName,
    messages,
    print_json,
    results,
)


def score(
    answers: Annotated[Path, typer.Argument(help="CSV with one column an item (Q1, Q2, ...) and maybe `group`.")],
    instrument: InstrumentName = "vsm13",
    constants: Annotated[
        str | None,
        typer.Option(
            help="Scale constants C: midpoint (C = 50), none, or anchor:USA,JPN,...: these groups of the table score "
            "as published on average.",
            show_default="midpoint; none where the zero is fixed",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score a table of answers: one row a respondent, or one row of item means."""
    from hofsteer.evaluation.groups import score_groups
    from hofsteer.instruments import load_instrument, named_scores, read_answers, score_table
    from hofsteer.report import constants_note, losses_note, points
    from hofsteer.targets import constants_for
    from hofsteer.targets.constants import ANCHOR

    questions = load_instrument(instrument)
    if constants is not None and not constants.startswith(ANCHOR):
        constants_for(questions, constants)  # refused before the table is read
    table = read_answers(answers, questions)
    scored = score_groups(score_table(table, questions, np.zeros(len(questions.dimensions))), questions, constants)
    policy, dimensions, digits = scored.policies[0], questions.dimension_ids, questions.digits
    apart = scored.differences(questions)
    if table.ignored:
        messages().print(f"columns not read: {', '.join(table.ignored)}", highlight=False, soft_wrap=True)
    if as_json:
        groups = {}
        for i, (group, row) in enumerate(zip(scored.groups, scored.rows, strict=True)):
            losses = {kind: None if np.isnan(loss) else loss for kind, loss in scored.losses(i, questions).items()}
            groups[group.name] = {
                "n": group.n,
                "scores": named_scores(scored.scores(i), dimensions),
                "missing": list(group.missing),
                "target": None if row is None else row.code,
                "losses": losses,
            }
        print_json(
            {
                "schema": 1,
                "instrument": questions.id,
                "constants": policy.kind,
                "policies": [one.summary(dimensions) for one in scored.policies],
                "groups": groups,
                "differences": None if apart is None else named_scores(apart, dimensions),
            }
        )
        return
    shown = Table(title=f"{questions.title} (constants: {policy.kind})")
    shown.add_column("group")
    shown.add_column("n", justify="right")
    for dimension in dimensions:
        shown.add_column(dimension, justify="right")
    shown.add_column("missing items")
    for i, group in enumerate(scored.groups):
        cells = (points(score, digits) for score in scored.scores(i))
        shown.add_row(group.name, str(group.n), *cells, ", ".join(group.missing))
    console = results()
    console.print(shown)
    for i, (group, row) in enumerate(zip(scored.groups, scored.rows, strict=True)):
        comparable = {kind: loss for kind, loss in scored.losses(i, questions).items() if not np.isnan(loss)}
        if row is not None and comparable:
            console.print(f"{group.name} to {row.code}: {losses_note(comparable, digits)}", highlight=False)
    if apart is not None and not np.isnan(apart).all():
        each = ", ".join(f"{d} {points(value, digits)}" for d, value in zip(dimensions, apart, strict=True))
        console.print(f"Loss of the differences between these countries, at any constants: {each}.", highlight=False)
    if policy.tie is not None:
        console.print(constants_note(policy, dimensions), highlight=False)
    smallest = min(scored.groups, key=lambda group: group.n)
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
