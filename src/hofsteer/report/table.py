"""Results as tables: the same rows for a terminal, a page and a card."""

import math

from rich.box import SIMPLE_HEAD
from rich.table import Table

from hofsteer.evaluation.base import RunEvaluation
from hofsteer.instruments.base import Floats
from hofsteer.report.statement import ITEM_HEADS

ESTIMATE_NOTE = "* estimate of its source, not a survey result"


def result_heads(evaluation: RunEvaluation) -> list[str]:
    """Return the headings of `result_rows`."""
    kinds = _kinds(evaluation)
    if (minimised := evaluation.minimised) == "index":
        losses, skill = ["loss", *(ITEM_HEADS[kind] for kind in kinds[1:])], "skill"
    else:
        losses, skill = [ITEM_HEADS.get(kind, "index loss") for kind in kinds], f"skill ({ITEM_HEADS[minimised]})"
    return ["row", *evaluation.dimensions, *losses, skill, "valid mass"]


def result_rows(evaluation: RunEvaluation) -> list[tuple[str, list[str]]]:
    """Return key and cells of the target, the steered model, its baselines and the reference rows.

    A score is marked with an asterisk where it is an estimate of its source. The loss that was minimised stands first,
    and skill is by it.
    """
    target = evaluation.target
    goal = _marked(evaluation, target.vector(evaluation.dimensions), target.estimated)
    kinds = _kinds(evaluation)
    rows = [("target", ["target", *goal, *("" for _ in kinds), "", ""])]
    for key, row in evaluation.rows.items():
        mass = "" if row.valid_mass is None else f"{row.valid_mass:.3f}"
        scores = _marked(evaluation, row.scores, row.estimated)
        losses = [
            points(row.loss, evaluation.digits) if kind == "index" else points(row.item_losses.get(kind))
            for kind in kinds
        ]
        rows.append((key, [row.name, *scores, *losses, points(evaluation.skill_of(row), 2), mass]))
    return rows


def results_table(evaluation: RunEvaluation) -> Table:
    """Return the results for a terminal; without lines they fit into 80 columns."""
    title = f"{evaluation.target.name}: scores and mean distance to the target, in {evaluation.unit}"
    table = Table(title=title, box=SIMPLE_HEAD, padding=0)
    for column, heading in enumerate(result_heads(evaluation)):
        table.add_column(heading, justify="right" if column else "left")
    for key, cells in result_rows(evaluation):
        table.add_row(*cells, style={"target": "bold", "aligned": "green"}.get(key))
    return table


def points(value: float | None, digits: int = 1) -> str:
    """Return a score to one decimal or as many as asked for, a dash where it is missing.

    >>> points(49.96), points(None)
    ('50.0', '-')
    """
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _kinds(evaluation: RunEvaluation) -> list[str]:
    """Return the losses that the rows have, the minimised one first."""
    kinds = ["index", *evaluation.item_noise_floors]
    return sorted(kinds, key=lambda kind: kind != evaluation.minimised)


def _marked(evaluation: RunEvaluation, scores: Floats, estimated: frozenset[str]) -> list[str]:
    named = zip(scores, evaluation.dimensions, strict=True)
    return [points(s, evaluation.digits) + ("*" if d in estimated else "") for s, d in named]
