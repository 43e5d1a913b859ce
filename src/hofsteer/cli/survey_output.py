"""What `hofsteer survey` prints of one condition or several."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from hofsteer.cli.output import SCORES_MOVE, results

if TYPE_CHECKING:
    from hofsteer.evaluation.sample import SampleSurvey
    from hofsteer.evaluation.survey import Survey


def surveys_json(surveys: Sequence["Survey"], tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the tables of several surveys as one, with the loss of their differences."""
    from hofsteer.evaluation.survey import differences
    from hofsteer.instruments import named_scores

    apart = differences(surveys)
    return {
        "schema": 1,
        "conditions": list(tables),
        "differences": None
        if apart is None
        else {
            "loss": float(np.nanmean(apart)),
            "dimensions": named_scores(apart, surveys[0].objective.instrument.dimension_ids),
        },
    }


def show_surveys(
    surveys: Sequence["Survey"], model: str, prompt: Path | None, samples: Sequence["SampleSurvey"] = ()
) -> None:
    """Print each survey, with the spread where it is of a sample, and what holds for all."""
    from hofsteer.evaluation.survey import differences
    from hofsteer.report import MINI_STATEMENT, constants_note, points

    console = results()
    for number, survey in enumerate(surveys):
        _show(console, survey, model, prompt)
        if samples:
            _show_spread(console, samples[number])
    objective = surveys[0].objective
    instrument = objective.instrument
    if (apart := differences(surveys)) is not None and not np.isnan(apart).all():
        named = zip(instrument.dimension_ids, apart, strict=True)
        each = ", ".join(f"{d} {points(value, instrument.digits)}" for d, value in named)
        console.print(
            f"loss of the differences {points(float(np.nanmean(apart)), instrument.digits)} points ({each}): how far "
            "the differences between these conditions are from the published ones, whatever the constants",
            highlight=False,
        )
    if objective.constants.tie is not None:
        console.print(constants_note(objective.constants, instrument.dimension_ids), highlight=False)
    if instrument.constants == "chosen":
        console.print(SCORES_MOVE)
    if objective.respondent.simulated:
        console.print(MINI_STATEMENT)


def _show(console: Console, result: "Survey", model: str, prompt: Path | None) -> None:
    from hofsteer.evaluation.floor import greedy_floor
    from hofsteer.report import (
        ESTIMATE_NOTE,
        item_losses_in_words,
        item_losses_note,
        losses_note,
        noise_floor_note,
        points,
        target_notes,
    )
    from hofsteer.targets import noise_floor, source_losses

    objective = result.objective
    questions, goal, reading = objective.instrument, objective.target, objective.read_out
    console.print(_asked(result, model, prompt), markup=False, highlight=False, soft_wrap=True)
    table = Table(title=f"{questions.id} (constants: {objective.constants.kind})")
    table.add_column("dimension")
    table.add_column("score", justify="right")
    if goal is not None:
        table.add_column(goal.name, justify="right")
    digits = questions.digits
    for d, name in enumerate(questions.dimensions):
        cells = [f"{name.id} {name.name}", points(result.evaluation.scores[0, d], digits)]
        if goal is not None:
            cells.append(points(goal.scores.get(name.id), digits) + ("*" if name.id in goal.estimated else ""))
        table.add_row(*cells)
    console.print(table)
    if goal is not None and goal.estimated:
        console.print(ESTIMATE_NOTE)
    if goal is not None and result.loss is not None:
        compared = [d for d in questions.dimension_ids if d in goal.scores]
        console.print(f"loss {points(result.loss, digits)} points, mean over {', '.join(compared)}", highlight=False)
        if len(result.losses) > 1:
            console.print(losses_note(result.losses, digits), highlight=False)
        floor = noise_floor(questions, goal)
        console.print(noise_floor_note(floor.points, digits, questions.variation, floor.n, goal.noun), highlight=False)
        others = source_losses(result.evaluation.scores[0], goal, questions)
        for note in target_notes(goal, others, greedy_floor(questions, objective.constants, goal), digits):
            console.print(note, highlight=False)
        if result.read_out_floor:
            console.print(
                f"read-out floor {points(result.read_out_floor, digits)} points: the loss of {goal.name}'s own scores, "
                "read this way",
                highlight=False,
            )
    elif goal is not None:
        console.print("no loss: without constants the scores are not on the target's scale")
    if (item_goal := objective.item_goal) is not None:
        losses = item_losses_in_words(result.item_losses)
        console.print(f"item losses {losses}. {item_losses_note(item_goal)}", highlight=False)
    whole = {"expected": "the model's probability", "generated": "the texts"}.get(
        reading.kind, "what the read-out leaves"
    )
    console.print(f"valid mass {result.valid_mass:.3f}: the share of {whole} that went to the options")
    if reading.kind in ("sampled", "generated"):
        refused, unparsable = result.evaluation.refused.mean(), result.evaluation.unparsable.mean()
        console.print(f"of the draws, {refused:.1%} are refusals and {unparsable:.1%} cannot be used", highlight=False)


def _show_spread(console: Console, found: "SampleSurvey") -> None:
    from hofsteer.report import points

    sample, instrument = found.sample, found.survey.objective.instrument
    scores = zip(instrument.dimension_ids, found.score_spread, strict=True)
    console.print(
        f"sample {sample.id}: {len(sample.cells)} cells, {sample.effective_cells:.1f} in effect; above are the means. "
        f"Standard deviation between cells: {', '.join(f'{d} {points(v, instrument.digits)}' for d, v in scores)}; of "
        f"items {found.item_spread.mean():.2f} (at most {found.item_spread.max():.2f}). Of single answers over the "
        f"whole sample: {found.answer_spread.mean():.2f}.",
        highlight=False,
    )


def _asked(result: "Survey", model: str, prompt: Path | None) -> str:
    """Return in one line what was asked, so that a saved output can be read."""
    form = result.objective.administrations[0]
    system = "no system text" if form.system is None else f"system text {form.system!r}"
    before = "" if prompt is None else f", soft prompt {prompt}"
    shown = f"options {form.order}, {form.labels} {form.numbering}, {form.layout}"
    if form.conversation:
        shown += ", in one conversation" + ("" if form.shuffle is None else f" (items shuffled, seed {form.shuffle})")
    reading = result.objective.read_out
    read = "" if reading.kind == "expected" else f", {reading.in_words()}"
    return f"{model}, {system}, wording {form.wording}, {shown}{before}{read}"
