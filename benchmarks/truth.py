"""The truth test: whole evaluations of cases whose right verdict is known, on the simulated world.

    OMP_NUM_THREADS=1 python benchmarks/truth.py [--each 10] [--coupled 40] [--workers 2] [--json FILE]

Every case is a run as a user would make it: ten searches for the target, one for each of 39 controls, held-out forms,
other instruments, abilities, and the verdict by rule. Nothing in the evaluation knows the case. A case is wrong if it
says more than is true: a claim supported that the truth refutes. "Undecided" is weak, not wrong.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hofsteer.alignment.objective import Objective
from hofsteer.alignment.space import FullSpace
from hofsteer.evaluation.caricature import Caricature, measure_caricature
from hofsteer.evaluation.claims import Verdict, judge
from hofsteer.evaluation.controls import control_targets
from hofsteer.evaluation.evidence import Abilities, Question, collect
from hofsteer.evaluation.plan import HeldOut, Margins
from hofsteer.instruments import Administration
from hofsteer.respondent.base import SoftPrompts
from hofsteer.search import make_optimizer
from hofsteer.targets import Target, complete_countries, load_constants
from hofsteer.world import CLAIMS, KINDS, Case, Census, WorldRespondent, invent, load_census

SEEDS, BUDGET, POPULATION, TOKENS = 10, 800, 20, 8
WORDINGS = (0, 1)  # fitted, in both orders


@cache
def real() -> Census:
    """Return the census of the real countries."""
    return load_census()


def find(respondent: WorldRespondent, forms: Sequence[Administration], target: Target, seed: int) -> SoftPrompts:
    """Return the soft prompt (1, L, W) that a search finds."""
    constants = load_constants("midpoint", forms[0].instrument.dimension_ids)
    objective = Objective(respondent, tuple(forms), constants, target)
    space = FullSpace(TOKENS, respondent.width, respondent.spread)
    optimizer = make_optimizer("de", strategy="best/1", population_size=POPULATION, crossover_rate=0.7, seed=seed)
    state = optimizer.init(space.noise(POPULATION, 1.0, seed), blocks=space.blocks)
    while state.evaluations + POPULATION <= BUDGET:
        candidates = optimizer.ask(state)
        state = optimizer.tell(state, candidates, objective.evaluate(space.decode(candidates)).losses)
    return space.decode(state.best[None])


def verdict_on(case: Case, map_seed: int) -> tuple[Verdict, Caricature]:
    """Return what an evaluation says of a case, and the caricature index."""
    respondent = case.respondent(real(), map_seed)
    survey = respondent.census.survey.instrument
    fitted = [Administration(survey, wording=w, order=o) for w in WORDINGS for o in ("listed", "reversed")]
    held_out = HeldOut().forms(survey, fitted)
    target = case.target()
    constants = load_constants("midpoint", survey.dimension_ids)
    naive = survey.score(respondent.respond(fitted).probabilities).mean(axis=(0, 1)) + constants.values
    margins = Margins()
    others = control_targets(target, naive, complete_countries(), margins.controls - 10, 10, seed=map_seed)
    question = Question(
        target=target,
        fitted=tuple(fitted),
        held_out=held_out,
        constants={"midpoint": constants},
        countries=complete_countries(),
        elsewhere={"ivs10": case.target("ivs10")},
        choices="vignettes",
        persona=f"You live in {target.in_sentence}.",
        noise_floor=survey.noise_floor(50),
    )

    def abilities(prompts: SoftPrompts | None) -> Abilities:
        found = respondent.abilities(prompts)
        kept = {"facts": found.facts_right, "refusals of harm": found.harm_refused, "evenness": 1 - found.stereotypes}
        return Abilities(kept, found.kl)

    own = np.concatenate([find(respondent, fitted, target, seed) for seed in range(SEEDS)])
    led = np.concatenate([find(respondent, fitted, other, 100 + k) for k, other in enumerate(others)])
    evidence = collect(respondent, own, question, led, abilities)
    return judge(evidence, margins), measure_caricature(respondent, own, question, margins.caricature)


def examined(job: tuple[str, int]) -> dict[str, Any] | None:
    """Return one line of the result: a case, its truth and what was said of it; None if the seed draws no case."""
    kind, seed = job
    began = time.monotonic()
    try:
        case = invent(kind, seed, real())  # type: ignore[arg-type]
    except ValueError:  # the world has no room for a clear case of this seed
        return None
    verdict, caricature = verdict_on(case, map_seed=1000 + seed)
    said = {name: verdict.word(name) for name in CLAIMS}
    wrong = [name for name in CLAIMS if said[name] == "supported" and case.verdict[name] == "refuted"]
    return {
        "case": case.id,
        "kind": kind,
        "truth": dict(case.verdict),
        "said": said,
        "gates_wanted": list(case.gates),
        "gates_closed": [gate.name for gate in verdict.closed],
        "wrong": wrong,
        "caricature": caricature.word,
        "right": all(said[name] == case.verdict[name] for name in CLAIMS),
        "parts": {p.name: p.value for claim in verdict.claims for p in claim.parts},
        "seconds": round(time.monotonic() - began, 1),
    }


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Return the result as a Markdown table."""
    rows = [
        "| kind | runs | as the truth says | too much said | undecided | gates that closed |",
        "|---|---|---|---|---|---|",
    ]
    for kind in dict.fromkeys(line["kind"] for line in lines):
        mine = [line for line in lines if line["kind"] == kind]
        gates = Counter(gate for line in mine for gate in line["gates_closed"])
        undecided = sum("undecided" in line["said"].values() for line in mine)
        rows.append(
            f"| {kind} | {len(mine)} | {sum(line['right'] for line in mine)} | "
            f"{sum(bool(line['wrong']) for line in mine)} | {undecided} | "
            f"{', '.join(f'{gate} {n}' for gate, n in gates.items())} |"
        )
    negatives = [line for line in lines if line["truth"]["specific"] == "refuted"]
    false = sum(line["said"]["specific"] == "supported" for line in negatives)
    coupled = [line for line in lines if line["kind"] == "coupled"]
    power = sum(line["said"]["specific"] == "supported" for line in coupled)
    whole = sum(line["right"] for line in coupled)
    rows += ["", f'False "specific": {false} of {len(negatives)} negatives.']
    rows += [f'Power: "specific" in {power} and all five claims in {whole} of {len(coupled)} coupled cases.']
    overdone = [line for line in lines if line["kind"] == "caricature"]
    told, false = (
        sum(line["caricature"] == "caricature" for line in some)
        for some in (overdone, [line for line in lines if line not in overdone])
    )
    rows += [f"Caricature: told in {told} of {len(overdone)}, and in {false} of {len(lines) - len(overdone)} others."]
    return "\n".join(rows)


def main() -> None:
    """Run the test."""
    parser = argparse.ArgumentParser(description="Whole evaluations of cases whose right verdict is known.")
    parser.add_argument("--each", type=int, default=10, help="cases of each kind")
    parser.add_argument("--coupled", type=int, default=40, help="coupled cases, for the power")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--first", type=int, default=1, help="seed of the first case of each kind")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write a line for each case here")
    arguments = parser.parse_args()
    counts = {kind: arguments.coupled if kind == "coupled" else arguments.each for kind in arguments.kinds}
    jobs = [(kind, seed) for kind, n in counts.items() for seed in range(arguments.first, arguments.first + n)]
    began, lines = time.monotonic(), []
    with ProcessPoolExecutor(arguments.workers) as pool:
        for line in pool.map(examined, jobs):
            if line is None:
                continue
            lines.append(line)
            if arguments.json:
                with arguments.json.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
    print(table(lines))
    if len(lines) < len(jobs):
        print(f"{len(jobs) - len(lines)} seeds drew no clear case.")
    print(f"{len(lines)} evaluations in {(time.monotonic() - began) / 60:.1f} minutes, {arguments.workers} workers.")


if __name__ == "__main__":
    main()
