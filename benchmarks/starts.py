"""What the first population of a search gives on `mini`, for each start and space; a minute or two on 2 cores.

    python benchmarks/starts.py [--targets JPN,SAU,CHN] [--text "You live in Japan."] [--candidates 16] [--json]

`mini` is a simulated respondent: the figures say where searches of it start, nothing about real models.
"""

import argparse
import json
import sys
from typing import Any

import numpy as np

from hofsteer import Respondent, load_instrument, load_target
from hofsteer.alignment.objective import Objective, forms
from hofsteer.alignment.space import make_space
from hofsteer.alignment.start import starting_population
from hofsteer.config import ObjectiveSettings, SpaceSettings
from hofsteer.targets import index_loss, load_constants


def starts(text: str) -> dict[str, SpaceSettings]:
    """Return the spaces and starts that are compared."""
    words = f"text:{text}"
    return {
        "noise": SpaceSettings(),
        "noise, BOS in row 0": SpaceSettings(bos=True),
        "noise, norm limit": SpaceSettings(norm_limit=True),
        "noise, 6 random directions": SpaceSettings(coordinates=6),
        "noise, 6 components": SpaceSettings(coordinates=6, map="pca"),
        "vocabulary": SpaceSettings(start="vocabulary"),
        "text": SpaceSettings(start=words),
        "text, jitter 0.5": SpaceSettings(start=words, start_jitter=0.5),
        "text, 6 components": SpaceSettings(start=words, coordinates=6, map="pca"),
    }


def main() -> None:
    """Print a line a start: the median and the lowest loss of each target, the median drift, the mean valid mass."""
    parser = argparse.ArgumentParser(description="What the first population of a search gives on mini.")
    parser.add_argument("--targets", default="JPN,SAU,CHN")
    parser.add_argument("--text", default="You live in Japan.")
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    arguments = parser.parse_args()
    instrument, respondent = load_instrument("vsm13"), Respondent.from_pretrained("mini")
    goals = {code: load_target(code).vector(instrument.dimension_ids) for code in arguments.targets.split(",")}
    objective = Objective(
        respondent,
        forms(instrument, None, ("listed", "reversed")),
        load_constants("midpoint", instrument.dimension_ids),
        settings=ObjectiveSettings(drift_penalty=1.0),
    )
    rows: list[dict[str, Any]] = []
    for name, settings in starts(arguments.text).items():
        space = make_space(settings, respondent)
        population = starting_population(space, settings, respondent, arguments.candidates, seed=0)
        found = objective.evaluate(space.decode(population))
        assert found.drift is not None
        losses = {code: index_loss(found.form_scores, goal).mean(axis=1) for code, goal in goals.items()}
        row = {
            "start": name,
            "median": {code: round(float(np.median(values)), 2) for code, values in losses.items()},
            "lowest": {code: round(float(values.min()), 2) for code, values in losses.items()},
            "drift": round(float(np.median(found.drift)), 3),
            "valid_mass": round(float(found.valid_mass.mean()), 3),
        }
        rows.append(row)
        reached = "  ".join(f"{code} {row['median'][code]:5.1f} {row['lowest'][code]:5.1f}" for code in goals)
        print(
            f"{name:28} {reached}  drift {row['drift']:.2f}  mass {row['valid_mass']:.3f}", file=sys.stderr, flush=True
        )
    if arguments.json:
        print(json.dumps({"schema": 1, "text": arguments.text, "candidates": arguments.candidates, "rows": rows}))


if __name__ == "__main__":
    main()
