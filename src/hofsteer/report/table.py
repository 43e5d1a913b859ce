"""Results as tables for a terminal."""

import math
from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.table import Table

from hofsteer.evaluation.base import Row, RunEvaluation


def results_table(evaluation: RunEvaluation) -> Table:
    """Return scores and losses of the target, the steered model, its baselines and the reference rows."""
    target = evaluation.target
    title = f"{target.name}: scores and mean distance to the target, in index points"
    table = Table(title=title, box=SIMPLE_HEAD, padding=0)  # without lines it fits into 80 columns
    table.add_column("row")
    for dimension in evaluation.dimensions:
        table.add_column(dimension, justify="right")
    for heading in ("loss", "skill", "valid mass"):
        table.add_column(heading, justify="right")
    goal = target.vector(evaluation.dimensions)
    marks = ["*" if d in target.estimated else "" for d in evaluation.dimensions]
    table.add_row("target", *(f"{points(v)}{m}" for v, m in zip(goal, marks, strict=True)), "", "", "", style="bold")
    yardstick = evaluation.rows["mean_country"].loss
    for key in ("naive", "persona", "aligned", "flat", "mean_country", "nearest"):
        row = evaluation.rows[key]
        table.add_row(*_cells(row, 1 - row.loss / yardstick), style="green" if key == "aligned" else None)
    return table


def _cells(row: Row, skill: float) -> Iterable[str]:
    mass = "" if row.valid_mass is None else f"{row.valid_mass:.3f}"
    return [row.name, *map(points, row.scores), f"{row.loss:.1f}", f"{skill:.2f}", mass]


def points(value: float | None) -> str:
    """Return a score to one decimal, a dash where it is missing.

    >>> points(49.96), points(None)
    ('50.0', '-')
    """
    return "-" if value is None or math.isnan(value) else f"{value:.1f}"
