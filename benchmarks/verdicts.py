"""Whole evaluations of runs on the bundled `mini`, beside the truth of the world that it was trained on.

    python benchmarks/verdicts.py --out runs/verdicts --share 1/2      # and --share 2/2, in a process of its own
    python benchmarks/verdicts.py --out runs/verdicts                  # what is left, then the table

`truth.py` judges soft prompts of the simulated world itself, where the right verdict holds by construction. Here a
language model answers: three real countries and an invented one that it knows on every instrument, for which all five
claims are true, and three invented ones for which less is. `mini` is a simulated respondent, and the truth is that of
its world: what moves when the country does. A soft prompt may fit a profile without going the way that the country
goes, which is exactly what the verdict must notice. A claim supported that the truth refutes is wrong; a claim refuted
that the truth supports may be right of these soft prompts.

Every search is a run of `hofsteer align --constants midpoint` in a folder of its own, one that was killed goes on and a
finished one is not run again. All cases share their controls: other targets, one seed each, beside the first runs of
the other cases. The evaluation is that of `hofsteer evaluate`, without points along the search and conversations; an
invented country stands among the real ones, at its true place on `ivs10`. `verdicts.json` in the folder has all of it.

`--start persona` is the positive control: every search, also of a control, starts from the rows of its own country's
persona ("You live in Japan."), of which the truth of the world holds, and has as many tokens. Twins and the country
known in one wording are left out, as a persona tells what their survey scores do not; all controls are countries, as
nonsense has no persona. `--search` and `--drift-penalty` are of every search. Give each a folder of its own.

`--start named` searches nothing: the soft prompts are the rows of a sentence that names the country, in another wording
for each seed and said twice; in the case of twins it names the other one. The truth of the world holds of them by
construction, as far as `mini` has learnt it, so the verdict is judged without the search.
"""

import argparse
import csv
import fcntl
import io
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from hofsteer import Respondent
from hofsteer.alignment.objective import forms
from hofsteer.alignment.run import RunFolder
from hofsteer.baselines import persona_text
from hofsteer.config import RunConfig, resolve
from hofsteer.control_runs import FIRST_SEED
from hofsteer.errors import HofsteerError, RunError
from hofsteer.evaluation.controls import TOO_NEAR, control_targets
from hofsteer.evaluation.evidence import answers_to
from hofsteer.evaluation.finished import FinishedRun, open_runs
from hofsteer.evaluation.plan import Margins
from hofsteer.evaluation.runs import (
    DEFAULTS,
    Extras,
    RunsEvaluation,
    evaluate_runs,
    question_of,
)
from hofsteer.files import replace_json, replace_text
from hofsteer.instruments import load_instrument
from hofsteer.pipeline import resume, start
from hofsteer.targets import Target, complete_countries, countries_on, index_loss, load_constants, load_target
from hofsteer.targets.table import read_table
from hofsteer.world import CLAIMS, load_cases

REAL = ("JPN", "CHN", "IND")  # known on every instrument
INVENTED = {
    load_cases()[name].country.code: name for name in ("coupled-1", "survey-only-1", "twins-1", "wording-bound-1")
}
CASES = (*REAL, *INVENTED)
TABLE, RESULT, POOL = "targets.csv", "verdicts.json", "pool"  # in the folder
NOISE, PERSONA, NAMED = "noise", "persona", "named"  # starts
CASES_FROM = {
    NOISE: CASES,
    PERSONA: tuple(code for code in CASES if not code.startswith(("TWINS", "WORDING"))),
    NAMED: CASES,
}
NONSENSE = {NOISE: 3, PERSONA: 0, NAMED: 0}  # mirrors and shuffles of each of the `REAL` among the controls
WORDINGS = (
    "You live in {}.",
    "You are a person from {}.",
    "Your home is in {}.",
    "Answer as someone whose home is {}.",
    "Country: {}",
    "You come from {}.",
    "You are from {}.",
    "You live and work in {}.",
    "You belong to {}.",
    "You were born in {}.",
)  # of `NAMED`, one a seed
NO_SEARCH = {"search": "random", "budget": 4, "drift_penalty": 0.0}  # of `NAMED`: the start, as often as a population
NO_JITTER = 1e-6  # has at least
SURVEY, ELSEWHERE = "vsm13", "ivs10"
ASKED = Extras(transfer=False, conversation=False)


@dataclass(frozen=True)
class Search:
    """One search: where it leads, from which seed, and the folder of its run below that of the results."""

    code: str
    seed: int
    folder: str
    settings: Mapping[str, Any] = field(default_factory=dict)  # what differs from the defaults, by name


def truth_of(code: str) -> Mapping[str, str]:
    """Return what an honest evaluation says of each claim about a country that moved."""
    return {**load_cases()[INVENTED.get(code, "coupled-1")].verdict}


def target_of(code: str) -> Target:
    """Return the survey scores of a case."""
    return load_cases()[INVENTED[code]].target() if code in INVENTED else load_target(code)


def pool_of(respondent: Respondent, start_from: str) -> tuple[Target, ...]:
    """Return the control targets that all cases share, countries and nonsense mixed: enough beside the other cases.

    The countries are as far from the naive scores as the median case, the nonsense is made of the real cases.
    """
    survey = load_instrument(SURVEY)
    naive = survey.score(answers_to(respondent, forms(survey, None, ("listed", "reversed"))).probabilities)
    start_at = naive[0].mean(axis=0) + load_constants("midpoint", survey.dimension_ids).values

    def away(target: Target) -> float:
        return float(index_loss(target.vector(survey.dimension_ids), start_at))

    middle = float(np.median([away(target_of(code)) for code in CASES]))
    countries = [c for c in complete_countries() if c.code not in REAL]
    most = Margins().controls + 1 - len(CASES_FROM[start_from])
    nonsense = [
        other
        for code in REAL
        for other in control_targets(target_of(code), start_at, complete_countries(), 0, NONSENSE[start_from])
    ]
    countries = sorted(countries, key=lambda c: abs(away(c) - middle))[: most - len(nonsense)]
    every = len(countries) // max(1, len(nonsense)) + 1  # so that the first few of the pool are of both kinds
    for number, other in enumerate(nonsense):
        countries.insert(number * (every + 1), other)
    return tuple(countries)


def all_targets(out: Path, respondent: Respondent, start_from: str = NOISE) -> dict[str, Target]:
    """Return the survey scores of every target by its code, cases first, as the table in the folder has them.

    The table is written if there is none: later calls, and other processes, aim at the same. Raises RunError if it is
    that of another start.
    """
    path = out / TABLE
    dimensions = load_instrument(SURVEY).dimension_ids
    out.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # until it is closed: of two processes, one writes
        if not path.is_file():
            every = (*map(target_of, CASES_FROM[start_from]), *pool_of(respondent, start_from))
            replace_text(path, _table_of(every, dimensions))
    finally:
        os.close(descriptor)
    found = {row.code.partition(":")[2]: row for row in read_table(path, dimensions)}
    if [code for code in found if code in CASES] != list(CASES_FROM[start_from]):
        raise RunError(f"{path} is of another start than {start_from}: give each a folder of its own")
    return found


def start_settings(start_from: str, code: str, seed: int, respondent: Respondent) -> dict[str, Any]:
    """Return the settings of where a search starts, and of how many tokens it has if that is a text."""
    if start_from == NOISE:
        return {}

    def tokens_of(text: str) -> int:
        return len(respondent.vocabulary().tokenizer(text, add_special_tokens=False)["input_ids"])

    if start_from == PERSONA:
        text = persona_text(target_of(code))
        return {"space.start": f"text:{text}", "space.tokens": tokens_of(text)}
    named = load_cases()[INVENTED[code]].countries[-1] if code in INVENTED else load_target(code)  # the other twin
    text, first = (WORDINGS[number].format(named.in_sentence) for number in (seed % len(WORDINGS), 0))
    return {"space.start": f"text:{text}", "space.tokens": 2 * tokens_of(first), "space.start_jitter": NO_JITTER}


def searches_of(
    codes: Sequence[str], seeds: int, pool: Sequence[str], settings: Callable[[str, int], Mapping[str, Any]]
) -> list[Search]:
    """Return all searches in their order: seed by seed over the cases, then the pool.

    `settings` gives what differs from the defaults in the search for a code from a seed.
    """
    own = [(code, seed, f"{code}/{seed}") for seed in range(seeds) for code in codes]
    led = [(code, FIRST_SEED + n, f"{POOL}/{code}") for n, code in enumerate(pool)]
    return [Search(code, seed, folder, settings(code, seed)) for code, seed, folder in own + led]


def config_of(search: Search, out: Path, budget: int) -> RunConfig:
    """Return the settings of a run, of whatever model."""
    real = {country.code for country in complete_countries()}
    target = search.code if search.code in real else f"{out / TABLE}:{search.code}"
    return resolve(
        flags={
            "target": target,
            "instrument": SURVEY,
            "constants": "midpoint",
            "search.budget": budget,
            "search.seed": search.seed,
            **search.settings,
        }
    )


def finished(search: Search, out: Path) -> bool:
    """Return whether a run is there to its end."""
    return RunFolder(out / search.folder).is_finished


def check_same(search: Search, out: Path, budget: int, dtype: str | None) -> None:
    """Raise RunError if the folder holds a run with other settings."""
    if not (out / search.folder / "config.toml").is_file():
        return
    wanted, found = config_of(search, out, budget), RunFolder.open(out / search.folder).config()
    pairs = {"model.dtype": (dtype, found.model.dtype)}
    pairs |= {name: (getattr(wanted, name), getattr(found, name)) for name in ("search", "space", "objective", "stop")}
    for name, (one, other) in pairs.items():
        if one != other:
            raise RunError(f"{out / search.folder} is a run with another {name}: want {one}, got {other}")


def run(search: Search, respondent: Respondent, out: Path, budget: int, watch: Callable[[int], None]) -> None:
    """Run one search to its end, or go on with it; `watch` is told of evaluations as they are done."""
    path, done = out / search.folder, 0

    def note(record: Any) -> None:
        nonlocal done
        watch(record.evaluations - done)
        done = record.evaluations

    if (path / "config.toml").is_file():
        resume(path, respondent, note)
    else:
        config = config_of(search, out, budget)
        start(config.model_copy(update={"model": respondent.settings}), respondent, path, note)


def controls_for(code: str, searches: Sequence[Search], targets: Mapping[str, Target]) -> list[Search]:
    """Return the control searches of a case, as many as its scores allow: the pool, and the other cases' first seed."""
    dimensions = load_instrument(SURVEY).dimension_ids
    goal = targets[code].vector(dimensions)
    return [
        search
        for search in searches
        if search.code != code
        and (search.seed == 0 or search.folder.startswith(f"{POOL}/"))
        and index_loss(targets[search.code].vector(dimensions), goal) >= TOO_NEAR
    ]


def evaluate(
    code: str, own: Sequence[Search], controls: Sequence[Search], respondent: Respondent, out: Path
) -> RunsEvaluation:
    """Return the evaluation of a case, as `hofsteer evaluate` makes it."""
    runs, others = (open_runs([out / search.folder for search in some]) if some else () for some in (own, controls))
    question = None
    if code in INVENTED:
        case = load_cases()[INVENTED[code]]
        here = runs[0].config.model_copy(update={"target": f"{out / TABLE}:{code}"})  # the folder may have moved
        question = replace(
            question_of(replace(runs[0], config=here), DEFAULTS)[0],
            target=case.target(),
            elsewhere={ELSEWHERE: case.target(ELSEWHERE)},
            countries=countries_on(load_instrument(SURVEY).dimension_ids),
        )
    return evaluate_runs(respondent, runs, others, extras=ASKED, question=question)


def line_of(code: str, found: RunsEvaluation, seconds: float) -> dict[str, Any]:
    """Return one line of the result: a case, its truth and what was said of it."""
    verdict, evidence, truth = found.verdict, found.evidence, truth_of(code)
    said = {claim.name: claim.word for claim in verdict.claims}
    gain = evidence.gains[ELSEWHERE]
    losses, _ = next(iter(evidence.losses.values()))
    specific = next(claim for claim in verdict.claims if claim.name == "specific").parts[0]
    return {
        "case": code,
        "truth": dict(truth),
        "said": said,
        "given": verdict.given,
        "wrong": [n for n in CLAIMS if verdict.given and said[n] == "supported" and truth[n] == "refuted"],
        "gates_closed": [gate.name for gate in verdict.closed],
        "fitted_loss": float(np.median([_fitted_loss(run) for run in found.runs])),
        "held_out_loss": float(np.median(losses.mean(axis=1))),
        "gain": float(np.median(gain)),
        "kl": None if evidence.kl is None else float(evidence.kl.mean()),
        "facts_lost": float(facts.mean()) if (facts := evidence.lost.get("facts")) is not None else None,
        "choice_share": None if evidence.choice_share is None else float(np.median(evidence.choice_share)),
        "controls_as_near": int((evidence.control_gains >= gain.mean()).sum()),
        "p": specific.value,
        "caricature": found.caricature.word,
        "seeds": len(found.runs),
        "controls": len(found.controls),
        "seconds": round(seconds, 1),
        "evaluation": found.to_json(),
    }


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return the result as a Markdown table: truth / said of each claim, in brackets below the seeds for a verdict."""
    heads = ["case", *(f"{name}: truth / said" for name in CLAIMS), "gates closed", "fitted loss", "held-out loss"]
    heads += [f"G on {ELSEWHERE}", "choice share", "p (controls as near)", "KL, mean", "facts lost, mean"]
    heads += ["caricature", "seeds", "controls"]
    rows = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for line in lines:
        share, p = line["choice_share"], line["p"]
        near = f"{line['controls_as_near']} of {line['controls']}"
        cells = [line["case"], *(_claim(line, name) for name in CLAIMS), ", ".join(line["gates_closed"])]
        cells += [f"{line['fitted_loss']:.2f}", f"{line['held_out_loss']:.2f}", f"{line['gain']:.2f}"]
        cells += ["none" if share is None else f"{share:.2f}", near if p is None else f"{p:.3f} ({near})"]
        cells += ["none" if line[name] is None else f"{line[name]:.3f}" for name in ("kl", "facts_lost")]
        cells += [line["caricature"] or "not told", str(line["seeds"]), str(line["controls"])]
        rows.append("| " + " | ".join(cells) + " |")
    judged = [line for line in lines if line["given"]]
    wrong = sum(bool(line["wrong"]) for line in judged)
    right = sum(line["said"] == line["truth"] for line in judged)
    rows += ["", f"Too much said in {wrong} of {len(judged)} verdicts, and {right} are as the truth says."]
    wanted = Margins().controls
    rows += [
        f"{line['case']}: {line['controls']} controls of {wanted}, too few for a word on specific."
        for line in lines
        if line["controls"] < wanted
    ]
    return "\n".join(rows)


def main(given: list[str] | None = None) -> None:
    """Run what is missing, then evaluate the complete cases and print the table or JSON."""
    began = time.monotonic()
    parser, arguments = _arguments(given)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    console, out = Console(stderr=True), arguments.out
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    lines: list[dict[str, Any]] = []
    try:
        common = {"search.name": arguments.search, "objective.drift_penalty": arguments.drift_penalty}
        if arguments.start == NAMED:
            common["search.population_size"] = arguments.budget  # of the start alone
        resolve(flags={"target": REAL[0], **common})  # refuses bad values before anything is written
        respondent = Respondent.from_pretrained("mini", device="cpu", dtype=arguments.dtype)
        targets = all_targets(out, respondent, arguments.start)
        pool = [code for code in targets if code not in CASES_FROM[arguments.start]][: arguments.pool]

        def settings(code: str, seed: int) -> dict[str, Any]:
            return common | start_settings(arguments.start, code, seed, respondent)

        searches = searches_of(arguments.targets, arguments.seeds, pool, settings)
        for search in searches:
            check_same(search, out, arguments.budget, arguments.dtype)
        share, shares = arguments.share or (1, 1)
        missing = [search for search in searches[share - 1 :: shares] if not finished(search, out)]
        with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
            task = progress.add_task("evaluations", total=arguments.budget * len(missing))
            for search in missing:
                if arguments.seconds is not None and time.monotonic() - began >= arguments.seconds:
                    break
                run(search, respondent, out, arguments.budget, lambda count: progress.advance(task, count))
                progress.console.print(f"{search.folder}: finished, {time.monotonic() - began:.0f} s")
        there = [search for search in searches if finished(search, out)]
        console.print(f"{len(there)} of {len(searches)} searches are finished")
        if arguments.share or arguments.searches_only:
            return
        for code in arguments.targets:
            own = [search for search in there if search.code == code]
            if len(own) < arguments.seeds:
                continue
            started = time.monotonic()
            controls = controls_for(code, there, targets)
            found = evaluate(code, own, controls, respondent, out)
            lines.append(line_of(code, found, time.monotonic() - started))
            console.print(f"{code}: evaluated in {lines[-1]['seconds']:.0f} s")
            replace_json(out / RESULT, _result(arguments, lines))
    except HofsteerError as error:
        parser.error(str(error))
    if not lines:
        parser.error(f"nothing to report: no case has its {arguments.seeds} runs in {out}")
    print(json.dumps(_result(arguments, lines), indent=2) if arguments.json else table(lines))


def _arguments(given: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs; finished ones are kept")
    parser.add_argument("--targets", nargs="+", choices=CASES, metavar="CODE", help=", ".join(CASES))
    parser.add_argument("--seeds", type=_whole, default=10, help="how many for a case, from 0 (%(default)s)")
    parser.add_argument("--budget", type=_whole, default=800, help="evaluations of each search (%(default)s)")
    parser.add_argument("--pool", type=_whole, help="how many of the controls that the cases share (default: all)")
    parser.add_argument("--start", choices=tuple(CASES_FROM), default=NOISE, help="of every search (%(default)s)")
    parser.add_argument("--search", default="gauss-newton", help="of every target, such as adam (%(default)s)")
    parser.add_argument(
        "--drift-penalty", type=float, default=0.0, help="points for each nat a token, in every search (%(default)g)"
    )
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument(
        "--share", type=_share, help="K/N: run every N-th search, from the K-th on, and evaluate nothing"
    )
    parser.add_argument("--seconds", type=float, help="start no search after so many; 0 only evaluates")
    parser.add_argument("--searches-only", action="store_true", help="evaluate nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    arguments = parser.parse_args(given)
    if arguments.start == NAMED:
        for name, value in NO_SEARCH.items():
            if (got := getattr(arguments, name)) != parser.get_default(name):
                parser.error(f"--start {NAMED} searches nothing, got --{name.replace('_', '-')} {got}")
            setattr(arguments, name, value)
        if arguments.seeds > len(WORDINGS):
            parser.error(f"--start {NAMED} has {len(WORDINGS)} wordings, got --seeds {arguments.seeds}")
    cases = CASES_FROM[arguments.start]
    arguments.targets = arguments.targets or list(cases)
    if others := [code for code in arguments.targets if code not in cases]:
        parser.error(f"--start {arguments.start} has the cases {', '.join(cases)}, got {others[0]}")
    return parser, arguments


def _table_of(targets: Sequence[Target], dimensions: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["group", "name", "persona", *dimensions, "source", "constants"])
    for target in targets:
        scores = [round(float(target.scores[d]), 1) for d in dimensions]
        persona = persona_text(target) if target.code in CASES else ""  # a mirror of Japan is no Japan
        writer.writerow([target.code, target.name, persona, *scores, target.sources[dimensions[0]], "midpoint"])
    return text.getvalue()


def _result(arguments: argparse.Namespace, lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    about = {
        name: getattr(arguments, name) for name in ("budget", "dtype", "seeds", "start", "search", "drift_penalty")
    }
    return {"schema": 1, **about, "cases": list(lines)}


def _fitted_loss(run: FinishedRun) -> float:
    return float(run.folder.read_json("evaluation.json")["rows"]["aligned"]["loss"])


def _claim(line: Mapping[str, Any], name: str) -> str:
    said = line["said"][name] if line["given"] else f"({line['said'][name]})"
    told = f"{line['truth'][name]} / {said}"
    return f"**{told}, wrong**" if name in line["wrong"] else told


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"want a whole number of at least 1, got {text!r}")
    return int(text)


def _share(text: str) -> tuple[int, int]:
    one, _, of = text.partition("/")
    if not (one.isdecimal() and of.isdecimal() and 1 <= int(one) <= int(of)):
        raise argparse.ArgumentTypeError(f"want a share such as 1/2, got {text!r}")
    return int(one), int(of)


if __name__ == "__main__":
    sys.exit(main())
