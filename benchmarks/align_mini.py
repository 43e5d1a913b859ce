"""The default search beside the paper's preset on `mini`, one fixed form, for five countries; minutes on 2 cores.

    python benchmarks/align_mini.py [--targets SAU,JPN] [--budget 2000] [--seeds 1] [--json]

`mini` is a simulated respondent: the figures test the optimizer, nothing else.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from hofsteer import Respondent, align

METHODS = {"default": None, "masoud2025": "masoud2025"}  # name -> preset


def run(respondent: Respondent, code: str, preset: str | None, budget: int, seed: int) -> dict[str, Any]:
    """Return the losses of one run, searched in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"search.budget": budget, "search.seed": seed, "wordings": [0], "orders": ["listed"]}
        result = align(respondent, code, out=Path(folder) / "run", preset=preset, settings=settings)
        return {**result.to_json()["loss"], "seconds": round(result.seconds, 1)}


def main() -> None:
    """Print one line a target, method and seed."""
    parser = argparse.ArgumentParser(description="The default search beside the paper's preset on mini.")
    parser.add_argument("--targets", default="SAU,USA,CHN,IND,JPN")
    parser.add_argument("--budget", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    arguments = parser.parse_args()
    respondent = Respondent.from_pretrained("mini")
    rows = []
    print("target  method      seed  naive  persona  aligned  seconds", file=sys.stderr)
    for code in arguments.targets.split(","):
        for seed in range(arguments.seeds):
            for method, preset in METHODS.items():
                found = run(respondent, code, preset, arguments.budget, seed)
                rows.append({"target": code, "method": method, "seed": seed, **found})
                print(
                    f"{code:7} {method:11} {seed:4}  {found['naive']:5.1f}  {found['persona']:7.2f}  "
                    f"{found['aligned']:7.2f}  {found['seconds']:7.1f}",
                    file=sys.stderr,
                    flush=True,
                )
    if arguments.json:
        print(json.dumps({"schema": 1, "budget": arguments.budget, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
