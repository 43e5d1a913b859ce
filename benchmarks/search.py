"""Searches compared on the bundled `mini`: methods x targets x seeds, and the loss of each after so many evaluations.

    python benchmarks/search.py --out runs/search                       # the short set, at most 40 minutes on 2 cores
    python benchmarks/search.py --out runs/search-full --set full       # hours on a CPU: meant for a GPU
    python benchmarks/search.py --out runs/one --methods de cma-6 --targets JPN --seeds 2 --budget 500 --json
    python benchmarks/search.py --out runs/wide --model llama-1024 --dtype bfloat16    # where nobody tuned

Prints a Markdown table and writes `search.svg`; each search has a JSON of its own in the folder, and a finished one is
not run again. `--seconds 600` stops in time and keeps what the unfinished ones had found; `--seconds 0` runs nothing
and reports what is there. A search here is that of `hofsteer align --constants midpoint`, in float32 or as `--dtype`
says, with the same losses. Many searches advance in lock step, their candidates in one batch: on a GPU all of them, on
a CPU one at a time.
`mini` is a simulated respondent and `llama-1024` has random weights: the figures compare searches and say nothing about
real models.
"""

import argparse
import io
import json
import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from hofsteer import Respondent
from hofsteer.alignment.objective import Objective
from hofsteer.alignment.space import make_space
from hofsteer.config import RunConfig, resolve
from hofsteer.errors import HofsteerError, RunError
from hofsteer.files import replace_json, replace_text
from hofsteer.instruments.base import Floats
from hofsteer.parts import check_settings, make_method, make_objective
from hofsteer.respondent import mini
from hofsteer.respondent.hf import HFRespondent
from hofsteer.targets import index_loss
from respondent import random_llama

METHODS: dict[str, dict[str, Any]] = {  # name -> settings, by their keys in a run's config; the rest is default
    "masoud2025": {"preset": "masoud2025"},
    "de": {"search.name": "de"},
    "sep-cma": {"search.name": "sep-cma"},
    "cma-6": {"search.name": "cma", "search.population_size": 16, "space.coordinates": 6},
    "pso": {"search.name": "pso"},
    "lshade": {"search.name": "lshade"},
    "random": {"search.name": "random"},
    "gauss-newton": {"search.name": "gauss-newton", "search.population_size": 32},
    "adam": {"search.name": "adam", "search.budget": 1000},  # its steps get shorter towards the end of its budget
}
FORMS = {
    "one": {"wordings": [0], "orders": ["listed"]},
    "default": {"wordings": [0, 1], "orders": ["listed", "reversed"]},
}
REFERENCE = "masoud2025"  # how much sooner another search is where this one ends
SHORT = [REFERENCE, "de", "cma-6", "gauss-newton"]
SETS: dict[str, dict[str, Any]] = {
    "short": {"targets": ["SAU", "CHN", "JPN"], "seeds": 3, "budget": 1500, "methods": SHORT},
    "full": {"targets": ["SAU", "CHN", "IND", "JPN", "SWE"], "seeds": 5, "budget": 4000, "methods": list(METHODS)},
}
MINI, WIDE, FLOAT32 = "mini", "llama-1024", "float32"
WIDE_LAYERS = 2
WIDE_SHAPE = {
    **{"hidden_size": 1024, "intermediate_size": 2048, "num_attention_heads": 8},
    **{"initializer_range": 1024**-0.5, "tie_word_embeddings": True, "max_position_embeddings": 4096},
}
MARKS = (500, 1000, 2000, 4000)  # evaluations
GOALS = (5.0, 2.0, 1.0)  # losses, index points
ENOUGH = 0.01  # index points, at which a search ends before its budget
POINTS = 50  # of a line in the figure at most
QUARTILES = (0.25, 0.5, 0.75)
EVERY = "all"  # the row of all targets together


@dataclass(frozen=True)
class Case:
    """One search: which method, for which target, from which seed."""

    method: str
    target: str
    seed: int
    config: RunConfig
    model: str = MINI

    def __str__(self) -> str:
        return f"{self.method}-{self.target}-{self.seed}"


@dataclass(frozen=True, eq=False)
class Found:
    """What a search has found so far."""

    case: Case
    finished: bool
    evaluations: Floats  # (G,), after each generation
    best: Floats  # (G,), index points; +inf = every evaluation had failed

    def loss_after(self, evaluations: float) -> float:
        """Return the best loss of the generations that fit; NaN before the first and beyond what was run."""
        spent = self.case.config.search.budget if self.finished else self.evaluations[-1]
        done = int((self.evaluations <= evaluations).sum())
        return float(self.best[done - 1]) if done and evaluations <= spent else np.nan

    def evaluations_to(self, loss: float) -> float:
        """Return the evaluations after which the best loss was so low, +inf if it never was."""
        reached = np.flatnonzero(self.best <= loss)
        return float(self.evaluations[reached[0]]) if len(reached) else np.inf


def load_model(name: str, dtype: str, device: str | None) -> HFRespondent:
    """Return `mini`, or a Llama with random weights of seed 0 and the tokenizer of `mini`."""
    small = Respondent.from_pretrained(MINI, dtype=dtype, device=device)
    if name == MINI:
        return small
    return random_llama(WIDE_LAYERS, {**WIDE_SHAPE, "vocab_size": len(small.tokenizer)}, name, small)


class Running:
    """A search under way, and its curve."""

    def __init__(self, case: Case, respondent: Respondent) -> None:
        self.case = case
        self.objective = make_objective(case.config, respondent)
        self.space = make_space(case.config.space, respondent)
        self.method: Any = make_method(case.config, self.objective, self.space)
        self.state = self.method.init()
        self.curve: list[tuple[int, float]] = []
        self.spent = False

    @property
    def ended(self) -> bool:
        """Whether the loss is `ENOUGH`, or the budget spent as in `hofsteer align`."""
        return self.spent or self.state.best_loss <= ENOUGH

    @property
    def found(self) -> Found:
        """The curve so far."""
        evaluations, best = np.array(self.curve, dtype=np.float64).reshape(-1, 2).T
        return Found(self.case, self.ended, evaluations, best)

    def note(self) -> None:
        """Put the state at the end of the curve."""
        self.curve.append((self.state.evaluations, float(self.state.best_loss)))


class Descending(Running):
    """A descent of the gradient: each takes its own steps."""

    def advance(self) -> int:
        """Take a step, unless all were taken; return the evaluations that it counts as."""
        moved = self.method.advance(self.state)
        self.spent = moved is None
        if moved is None:
            return 0
        before, (self.state, _) = self.state.evaluations, moved
        self.note()
        return int(self.state.evaluations - before)


class Search(Running):
    """A search that has asked, and waits to be told."""

    def __init__(self, case: Case, respondent: Respondent) -> None:
        super().__init__(case, respondent)
        self.optimizer = self.method.optimizer
        self.ask()

    def ask(self) -> None:
        """Ask for the next candidates, unless they would pass the budget."""
        self.candidates = self.optimizer.ask(self.state)
        self.spent = self.state.evaluations + len(self.candidates) > self.case.config.search.budget

    def tell(self, form_scores: Floats, failed: Floats) -> None:
        """Take the scores (P, A, M) of the candidates, and which of them failed (P,); ask for the next ones."""
        goal = self.objective.target.vector(self.objective.instrument.dimension_ids)
        losses = np.where(failed, np.inf, index_loss(form_scores, goal).mean(axis=1))
        errors = (form_scores - goal)[..., np.isfinite(goal)].reshape(len(losses), -1)
        self.state = self.optimizer.tell(self.state, self.candidates, losses, errors)
        self.note()
        self.ask()


def make_cases(
    methods: Sequence[str],
    targets: Sequence[str],
    seeds: int,
    budget: int,
    tokens: int | None = None,
    forms: str = "one",
    dtype: str = FLOAT32,
    model: str = MINI,
) -> list[Case]:
    """Return the cases, seed by seed. Raises HofsteerError if a target is unknown or a setting is out of range."""
    cases = []
    for seed, target, method in product(range(seeds), dict.fromkeys(targets), dict.fromkeys(methods)):
        row = METHODS[method]
        given = {"target": target, "search.seed": seed, "space.tokens": tokens, "constants": "midpoint"}
        given["search.budget"] = min(budget, row.get("search.budget", budget))
        given["model.dtype"] = None if dtype == FLOAT32 else dtype
        config = resolve(flags={**row, **FORMS[forms], **given})
        check_settings(config)
        cases.append(Case(method, target, seed, config, model))
    return cases


def load(folder: Path, case: Case) -> Found | None:
    """Return what is stored of a case, None if nothing is. Raises RunError if settings or `mini` were others."""
    path = folder / f"{case}.json"
    if not path.is_file():
        return None
    stored = json.loads(path.read_text(encoding="utf-8"))
    for key, now in _identity(case).items():
        if stored.get(key) != now:
            raise RunError(f"{path} is a search with another {key}: want the same, or another folder for --out")
    best = [np.inf if loss is None else loss for loss in stored["best"]]
    return Found(case, stored["finished"], np.array(stored["evaluations"], dtype=np.float64), np.array(best))


def store(folder: Path, found: Found) -> None:
    """Write what a search has found, unless more of it is there already."""
    before = load(folder, found.case)
    if before is not None and len(before.best) >= len(found.best):
        return
    table = {
        "schema": 1,
        "finished": found.finished,
        "evaluations": [int(count) for count in found.evaluations],
        "best": [_number(loss) for loss in found.best],
        **_identity(found.case),
    }
    replace_json(folder / f"{found.case}.json", table)


def advance(running: Sequence[Running]) -> int:
    """Take every search one generation on, all candidates of one length in one batch; return how many there were."""
    searches = [one for one in running if isinstance(one, Search)]
    count = sum(one.advance() for one in running if isinstance(one, Descending))
    for _, group in groupby(sorted(searches, key=lambda one: one.space.tokens), key=lambda one: one.space.tokens):
        members = list(group)
        first = members[0].objective
        together = Objective(first.respondent, first.administrations, first.constants)
        evaluation = together.evaluate(np.concatenate([one.space.decode(one.candidates) for one in members]))
        failed = np.array([reason is not None for reason in evaluation.reasons])
        ends = np.cumsum([len(one.candidates) for one in members])[:-1]
        parts = zip(members, np.split(evaluation.form_scores, ends), np.split(failed, ends), strict=True)
        for one, scores, lost in parts:
            one.tell(scores, lost)
        count += len(failed)
    return count


def run(
    cases: Sequence[Case],
    respondent: Respondent,
    folder: Path,
    lock_step: int,
    in_time: Callable[[], bool],
    watch: Callable[[int, Found | None], None],
) -> None:
    """Run the cases that are not finished, `lock_step` at a time, for as long as there is time; store each.

    `watch` is called with the evaluations of each generation, and with each search that ends.
    """
    waiting = deque(cases)
    active: list[Running] = []
    while (waiting or active) and in_time():
        while waiting and len(active) < lock_step:
            case = waiting.popleft()
            kind = Descending if case.config.search.name == "adam" else Search
            active.append(kind(case, respondent))
        watch(advance(active), None)
        for one in (one for one in active if one.ended):
            store(folder, one.found)
            watch(0, one.found)
        active = [one for one in active if not one.ended]
    for one in active:
        store(folder, one.found)


def summary(results: Sequence[Found], budget: int) -> list[dict[str, Any]]:
    """Return quartiles over the searches, a row a target and method, and one a method for all targets; null = never."""
    rows = []
    targets = list(dict.fromkeys(found.case.target for found in results))
    for target in [*targets, *([EVERY] if len(targets) > 1 else [])]:
        for method in METHODS:
            own = [one for one in results if one.case.method == method and target in (one.case.target, EVERY)]
            if not own:
                continue
            loss = {}
            for mark in _marks(budget):
                losses = np.array([one.loss_after(mark) for one in own])
                losses = losses[~np.isnan(losses)]
                loss[str(mark)] = {"n": len(losses), "quartiles": quartiles(losses)}
            reach = {f"{goal:g}": np.array([one.evaluations_to(goal) for one in own]) for goal in GOALS}
            rows.append(
                {
                    "target": target,
                    "method": method,
                    "n": len(own),
                    "unfinished": sum(not one.finished for one in own),
                    "budget": own[0].case.config.search.budget,
                    "evaluations": int(np.median([one.evaluations[-1] for one in own])),
                    "last_loss": quartiles(np.array([one.best[-1] for one in own])),
                    "loss_after": loss,
                    "times_sooner": times_sooner(own, results),
                    "evaluations_to": {
                        goal: {"n": int(np.isfinite(spent).sum()), "quartiles": quartiles(spent)}
                        for goal, spent in reach.items()
                    },
                }
            )
    return rows


def times_sooner(own: Sequence[Found], results: Sequence[Found]) -> dict[str, Any]:
    """Return quartiles of how many times sooner searches are at the loss that `REFERENCE` ends with; 0 = never there.

    Pairs have the same target and seed, and both are finished.
    """
    there = [one for one in results if one.case.method == REFERENCE and one.finished and np.isfinite(one.best[-1])]
    ends = {(one.case.target, one.case.seed): one for one in there}
    pairs = [(one, end) for one in own if one.finished and (end := ends.get((one.case.target, one.case.seed)))]
    times = [end.case.config.search.budget / one.evaluations_to(end.best[-1]) for one, end in pairs]
    return {"n": len(pairs), "quartiles": quartiles(np.array(times))}


def markdown(rows: Sequence[dict[str, Any]], budget: int) -> str:
    """Return the summary as a table: medians with quartiles, and how many searches they are of where not all."""
    heads = [f"{mark:,}" for mark in _marks(budget)] + [f"to {goal:g}" for goal in GOALS]
    paired = any(row["times_sooner"]["n"] for row in rows if row["method"] != REFERENCE)
    heads += [f"times sooner where {REFERENCE} ends"] * paired
    lines = ["| target | method | searches | at the end | " + " | ".join(heads) + " |", "|---" * (4 + len(heads)) + "|"]
    for row in rows:
        count = f"{row['n']}" + (f", {row['unfinished']} unfinished" if row["unfinished"] else "")
        low, median, high = (_shown(number, "{:.2f}", "failed") for number in row["last_loss"])
        cells = [row["target"], row["method"], count, f"{median} ({low} to {high}) after {row['evaluations']:,}"]
        for cell in row["loss_after"].values():
            part = f" of {cell['n']}" if cell["n"] < row["n"] else ""
            low, median, high = (_shown(number, "{:.2f}", "failed") for number in cell["quartiles"])
            cells.append(f"{median} ({low} to {high}){part}" if cell["n"] else "")
        for cell in row["evaluations_to"].values():
            never = "not" if row["unfinished"] else f"> {row['budget']:,}"
            low, median, high = (_shown(number, "{:,.0f}", never) for number in cell["quartiles"])
            cells.append(f"{median} ({low} to {high}), {cell['n']} of {row['n']}" if cell["n"] else never)
        if paired:
            low, median, high = (_shown(number, "{:.1f}", "") for number in row["times_sooner"]["quartiles"])
            told = row["times_sooner"]["n"] and row["method"] != REFERENCE
            cells.append(f"{median} ({low} to {high})" if told else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def figure(results: Sequence[Found]) -> str:
    """Return median curves with quartile bands, a panel a target, as SVG text."""
    from matplotlib import colormaps, rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    targets = list(dict.fromkeys(found.case.target for found in results))
    lines = {}  # a line of each method, for the legend
    with rc_context({"svg.hashsalt": "hofsteer", "svg.fonttype": "none", "font.size": 10}):
        drawing = Figure(figsize=(3.2 * len(targets) + 1.8, 4.0), layout="constrained")
        panels = drawing.subplots(1, len(targets), sharey=True, squeeze=False)[0]
        for axes, target in zip(panels, targets, strict=True):
            for number, method in enumerate(METHODS):
                own = [one for one in results if (one.case.method, one.case.target) == (method, target)]
                if not own:
                    continue
                at = np.unique(np.concatenate([one.evaluations for one in own]))
                at = at[np.unique(np.linspace(0, len(at) - 1, POINTS).astype(int))]
                losses = np.array([[one.loss_after(count) for count in at] for one in own])
                told = np.isfinite(losses).all(axis=0)  # where every search says something
                low, median, high = np.quantile(losses[:, told], QUARTILES, axis=0)
                color = colormaps["tab10"](number)
                lines[method] = axes.step(at[told], median, where="post", color=color, lw=1.5)[0]
                axes.fill_between(at[told], low, high, step="post", color=color, alpha=0.15, lw=0)
            axes.set_title(target)
            axes.set_xlabel("evaluations")
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
            for side in ("top", "right"):
                axes.spines[side].set_visible(False)
        panels[0].set_ylabel("best loss (index points)")
        drawing.legend(lines.values(), lines.keys(), frameon=False, loc="outside right upper")
        text = io.StringIO()
        drawing.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def main(given: list[str] | None = None) -> None:
    """Run what is missing, then print the table or JSON."""
    began = time.monotonic()
    parser, arguments = _arguments(given)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    console, device, evaluated = Console(stderr=True), arguments.device, 0
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    try:
        cases = make_cases(
            arguments.methods,
            arguments.targets,
            arguments.seeds,
            arguments.budget,
            arguments.tokens,
            arguments.forms,
            arguments.dtype,
            arguments.model,
        )
        arguments.out.mkdir(parents=True, exist_ok=True)
        stored = {str(case): load(arguments.out, case) for case in cases}
        missing = [case for case in cases if (found := stored[str(case)]) is None or not found.finished]
        if missing and (arguments.seconds is None or arguments.seconds > 0):
            respondent = load_model(arguments.model, arguments.dtype, device)
            device = respondent.device.type
            lock_step = arguments.lock_step or (len(missing) if device == "cuda" else 1)
            with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
                task = progress.add_task("evaluations", total=sum(case.config.search.budget for case in missing))

                def in_time() -> bool:
                    return arguments.seconds is None or time.monotonic() - began < arguments.seconds

                def watch(count: int, ended: Found | None) -> None:
                    nonlocal evaluated
                    evaluated += count
                    progress.advance(task, count)
                    if ended is not None:
                        seconds = time.monotonic() - began
                        progress.console.print(f"{ended.case}: {ended.best[-1]:.2f} points, {seconds:.0f} s")

                run(missing, respondent, arguments.out, lock_step, in_time, watch)
        results = [found for case in cases if (found := load(arguments.out, case)) is not None]
    except HofsteerError as error:
        parser.error(str(error))
    if not results:
        parser.error(f"nothing to report: no search had a generation told, and none is in {arguments.out}")
    seconds = time.monotonic() - began
    rows = summary(results, arguments.budget)
    replace_text(arguments.out / "search.svg", figure(results))
    console.print(f"{evaluated:,} evaluations, {seconds:.0f} s, {len(results)} of {len(cases)} searches have a curve")
    if arguments.json:
        about = {name: getattr(arguments, name) for name in ("model", "budget", "forms", "tokens", "dtype")} | {
            "device": device
        }
        about |= {"evaluated": evaluated, "seconds": round(seconds, 1)}
        print(json.dumps({"schema": 1, **about, "rows": rows}, indent=2, allow_nan=False))
    else:
        print(markdown(rows, arguments.budget))


def _arguments(given: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results; finished ones are kept")
    parser.add_argument("--set", choices=SETS, default="short", help="what is run unless named (%(default)s)")
    parser.add_argument("--methods", nargs="+", choices=METHODS, metavar="NAME", help=", ".join(METHODS))
    parser.add_argument("--targets", nargs="+", metavar="CODE", help="countries or regions")
    parser.add_argument("--seeds", type=_whole, help="how many, from 0")
    parser.add_argument("--budget", type=_whole, help="evaluations of each search")
    parser.add_argument(
        "--tokens", type=_whole, help="virtual tokens of every method (default: 20 of the preset, else 8)"
    )
    parser.add_argument("--forms", choices=FORMS, default="one", help="one fixed form, or the four of align's default")
    parser.add_argument("--model", choices=(MINI, WIDE), default=MINI, help="which answers (%(default)s)")
    parser.add_argument("--dtype", choices=(FLOAT32, "bfloat16"), default=FLOAT32, help="of the model (%(default)s)")
    parser.add_argument("--device", help="cpu or cuda (default: a GPU if there is one)")
    parser.add_argument(
        "--lock-step", type=_whole, help="searches that advance together (default: 1 on a CPU, else all)"
    )
    parser.add_argument("--seconds", type=float, help="stop after so many, counted from the start; 0 only reports")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    arguments = parser.parse_args(given)
    for name, value in SETS[arguments.set].items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    return parser, arguments


def _identity(case: Case) -> dict[str, Any]:
    """Return what must be the same for two searches to be one."""
    respondent = mini.card()["weights_sha256"] if case.model == MINI else f"{case.model}, random weights of seed 0"
    return {"respondent": respondent, "configuration": case.config.model_dump(mode="json")}


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"want a whole number of at least 1, got {text!r}")
    return int(text)


def _marks(budget: int) -> list[int]:
    return [mark for mark in MARKS if mark <= budget]


def quartiles(numbers: Floats) -> list[float | None]:
    """Return the quartiles; halfway to a failure, +inf, is a failure, which is null."""
    if not len(numbers):
        return [None] * len(QUARTILES)
    ordered, at = np.sort(numbers), np.array(QUARTILES) * (len(numbers) - 1)
    low, high = ordered[np.floor(at).astype(int)], ordered[np.ceil(at).astype(int)]
    with np.errstate(invalid="ignore"):  # the difference of two failures
        between = low + (high - low) * (at % 1)
    return [_number(number) for number in np.where(np.isfinite(high), between, np.inf)]


def _number(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def _shown(number: float | None, form: str, otherwise: str) -> str:
    return otherwise if number is None else form.format(number)


if __name__ == "__main__":
    sys.exit(main())
