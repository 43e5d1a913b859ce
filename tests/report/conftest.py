from dataclasses import replace

import numpy as np
import pytest

from hofsteer.alignment.run import Record
from hofsteer.evaluation.base import Row, RunEvaluation
from hofsteer.targets import ItemGoal, load_target


@pytest.fixture
def evaluate():
    """Make an evaluation by hand, for any target."""

    def evaluate(target="JPN", **losses):
        goal = load_target(target)
        dimensions = ("PDI", "IDV", "MAS", "UAI", "LTO", "IVR")

        def row(key, name, loss, mass=None):
            return Row(name, np.arange(6) * 10.0 + loss, losses.get(key, loss), mass)

        rows = {
            "naive": row("naive", "naive", 30.25, 0.981),
            "persona": row("persona", "persona", 20.5, 0.982),
            "aligned": row("aligned", "steered", 4.0, 0.983),
            "flat": row("flat", "flat (neutral answers)", 22.0),
            "mean_country": row("mean_country", "mean country", 16.0),
            "nearest": row("nearest", "nearest (Hungary)", 14.0),
        }
        return RunEvaluation(goal, dimensions, rows, noise_floor=10.8)

    return evaluate


@pytest.fixture
def evaluate_items(evaluate):
    """Make an evaluation of a search for an item loss: a group's, who answered one item of three options."""

    def evaluate_items(kind="wasserstein", n=100.0, **losses):
        made = evaluate()
        goal = ItemGoal(np.array([[0.25, 0.5, 0.25]]), np.array([n]), np.array([[1.0, 2.0, 3.0]]))
        rows = {
            key: replace(row, item_losses={kind: losses[key]} if key in losses else {})
            for key, row in made.rows.items()
        }
        rows["mean_country"] = replace(rows["mean_country"], name="mean group")
        group = replace(made.target, kind="group")
        return replace(made, target=group, rows=rows, item_goal=goal, minimised=kind)

    return evaluate_items


@pytest.fixture
def history():
    """Five generations; everything failed in the second, and a candidate in the third."""
    best = [25.0, 25.0, 12.0, 8.0, 4.0]
    mean = [40.0, None, 30.0, 20.0, 10.0]
    return [
        Record(
            generation=i + 1,
            evaluations=20 * (i + 1),
            best=b,
            mean=m,
            scores={"PDI": 50.0},
            valid_mass=0.9,
            failed=20 if m is None else 0,
            reasons=("why",) if m is None else (),
            passes=80 * (i + 1),
        )
        for i, (b, m) in enumerate(zip(best, mean, strict=True))
    ]
