"""How the need for evaluations grows with the dimension: the same searches with longer and longer soft prompts.

    python benchmarks/dimensions.py --out runs/dimensions
    python benchmarks/dimensions.py --out runs/dimensions --methods gauss-newton --tokens 8 40 --seeds 3 --json

Searches, files and rules are those of `search.py`, in a folder for each length; finished ones are not run again. Prints
evaluations to each loss, medians over targets and seeds, and draws them in `dimensions.svg`. The bundled `mini` is a
simulated respondent: the figures compare searches and say nothing about real models.
"""

import argparse
import io
import json
import logging
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from hofsteer.errors import HofsteerError
from hofsteer.files import replace_text
from search import FLOAT32, GOALS, METHODS, MINI, Case, Found, load, load_model, make_cases, quartiles, run

TOKENS = (1, 2, 4, 8, 16, 40)
DRAWN = 2.0  # the loss of the figure, index points


def summary(results: dict[int, list[Found]], width: int) -> list[dict[str, Any]]:
    """Return a row for each method and length with quartiles of the evaluations to each goal; null = never."""
    rows = []
    for method in METHODS:
        for tokens, found in results.items():
            own = [one for one in found if one.case.method == method]
            if not own:
                continue
            config = own[0].case.config
            rows.append(
                {
                    "method": method,
                    "tokens": tokens,
                    "numbers": tokens * (config.space.coordinates or width),
                    "n": len(own),
                    "unfinished": sum(not one.finished for one in own),
                    "budget": config.search.budget,
                    "evaluations_to": {
                        f"{goal:g}": quartiles(np.array([one.evaluations_to(goal) for one in own])) for goal in GOALS
                    },
                }
            )
    return rows


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as a table of medians with quartiles."""
    heads = ["method", "tokens", "numbers", "searches", *(f"to {goal:g}" for goal in GOALS)]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        count = f"{row['n']}" + (f", {row['unfinished']} unfinished" if row["unfinished"] else "")
        cells = [row["method"], str(row["tokens"]), f"{row['numbers']:,}", count]
        never = "not" if row["unfinished"] else f"> {row['budget']:,}"
        for spent in row["evaluations_to"].values():
            shown = [never if count is None else f"{count:,.0f}" for count in spent]
            cells.append(f"{shown[1]} ({shown[0]} to {shown[2]})")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def figure(rows: Sequence[dict[str, Any]]) -> str:
    """Return median evaluations to `DRAWN` against the numbers of a soft prompt, as SVG text; quartiles as bars."""
    from matplotlib import colormaps, rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    with rc_context({"svg.hashsalt": "hofsteer", "svg.fonttype": "none", "font.size": 10}):
        drawing = Figure(figsize=(6.0, 4.0), layout="constrained")
        axes = drawing.subplots()
        for number, method in enumerate(METHODS):
            own = [row for row in rows if row["method"] == method]
            if not own:
                continue
            spent = np.array([row["evaluations_to"][f"{DRAWN:g}"] for row in own], dtype=np.float64)  # null is NaN
            at, (low, median, high) = [row["numbers"] for row in own], spent.T
            color = colormaps["tab10"](number)
            axes.plot(at, median, "o-", color=color, lw=1.5, ms=4, label=method)
            axes.vlines(at, low, np.where(np.isnan(high), own[0]["budget"], high), color=color, alpha=0.4, lw=1.5)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        reached = [spent for row in rows for spent in row["evaluations_to"][f"{DRAWN:g}"] if spent is not None]
        most = max(row["budget"] for row in rows)
        axes.set_ylim(min(reached, default=1) / 2, most)
        axes.set_xlabel("numbers that are searched")
        axes.set_ylabel(f"evaluations to a loss of {DRAWN:g}")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.legend(frameon=False)
        text = io.StringIO()
        drawing.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def main(given: list[str] | None = None) -> None:
    """Run what is missing, the shortest soft prompts first, then print the table or JSON."""
    began = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results; finished ones are kept")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["sep-cma", "gauss-newton"], metavar="NAME")
    parser.add_argument("--tokens", nargs="+", type=int, default=TOKENS, help="lengths of soft prompts")
    parser.add_argument("--targets", nargs="+", default=["SAU", "CHN", "JPN"], metavar="CODE")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 0 (%(default)s)")
    parser.add_argument("--budget", type=int, default=2000, help="evaluations of each search (%(default)s)")
    parser.add_argument("--device", help="cpu or cuda (default: a GPU if there is one)")
    parser.add_argument("--seconds", type=float, help="stop after so many; 0 only reports")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    arguments = parser.parse_args(given)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))

    def in_time() -> bool:
        return arguments.seconds is None or time.monotonic() - began < arguments.seconds

    def stored(tokens: int) -> list[Found]:
        """Return what is known of the searches of a length."""
        found = (load(arguments.out / f"{tokens}-tokens", case) for case in cases[tokens])
        return [one for one in found if one is not None]

    try:
        cases: dict[int, list[Case]] = {}
        for tokens in sorted(set(arguments.tokens)):
            cases[tokens] = make_cases(
                arguments.methods, arguments.targets, arguments.seeds, arguments.budget, tokens=tokens
            )
            (arguments.out / f"{tokens}-tokens").mkdir(parents=True, exist_ok=True)
        respondent = load_model(MINI, FLOAT32, arguments.device)
        for tokens, own in cases.items():
            done = {str(one.case) for one in stored(tokens) if one.finished}
            missing = [case for case in own if str(case) not in done]
            if not missing or not in_time():
                continue
            with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
                task = progress.add_task(f"{tokens} tokens", total=sum(case.config.search.budget for case in missing))
                watch = partial(_show, progress, task)
                lock_step = len(missing) if respondent.device.type == "cuda" else 1
                run(missing, respondent, arguments.out / f"{tokens}-tokens", lock_step, in_time, watch)
        rows = summary({tokens: stored(tokens) for tokens in cases}, respondent.width)
    except HofsteerError as error:
        parser.error(str(error))
    if not rows:
        parser.error(f"nothing to report: no search in {arguments.out} has a curve")
    replace_text(arguments.out / "dimensions.svg", figure(rows))
    print(json.dumps({"schema": 1, "rows": rows}, indent=2, allow_nan=False) if arguments.json else markdown(rows))


def _show(progress: Progress, task: TaskID, count: int, ended: Found | None) -> None:
    progress.advance(task, count)
    if ended is not None:
        progress.console.print(f"{ended.case}: {ended.best[-1]:.2f} points")


if __name__ == "__main__":
    sys.exit(main())
