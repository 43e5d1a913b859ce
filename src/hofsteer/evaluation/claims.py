"""From evidence to words: gates, then five claims, each supported, refuted or undecided, by rule.

A claim is a conjunction of parts, each a mean over search seeds against a margin. A part is supported where its
one-sided 95 % bound is on the right side, refuted where the other bound is on the wrong side, and undecided between;
since all parts must hold, each may be tested at the full level (intersection-union: Berger 1982,
doi:10.1080/00401706.1982.10487790). A claim needs the one before, and none stands behind a closed gate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hofsteer.evaluation.evidence import Evidence
from hofsteer.evaluation.plan import Margins
from hofsteer.evaluation.statistics import (
    Mean,
    by_wording,
    mean_over_seeds,
    mean_over_seeds_and_wordings,
    rank_p_value,
    seeds_needed,
)
from hofsteer.evaluation.zones import ZoneFinding, zone_finding

Word = Literal["supported", "refuted", "undecided"]
ClaimName = Literal["matches", "carries-over", "specific", "choices", "no-damage"]
SpecificTo = Literal["country", "zone", "zone or country"]
GateName = Literal["valid-mass", "refusals", "text", "order", "style-drift", "nothing-to-move"]

TITLES: Mapping[ClaimName, str] = {
    "matches": "Matches the scores",
    "carries-over": "Carries over to other instruments",
    "specific": "Specific to the target",
    "choices": "Shows in choices",
    "no-damage": "No damage",
}


@dataclass(frozen=True)
class Part:
    """One number against its margin."""

    name: str
    value: float | None  # None: not measured
    bounds: tuple[float, float] | None  # one-sided 95 % each; None: no interval
    margin: float
    at_most: bool  # the value is wanted at most at the margin, else at least
    word: Word
    seeds_needed: int | None = (
        None  # to decide, if the mean and its spread stay as they are; None: decided, or not to say
    )

    @property
    def wanted(self) -> str:
        """Return the side of the margin, in words."""
        return f"at {'most' if self.at_most else 'least'} {self.margin:.4g}"


@dataclass(frozen=True)
class Gate:
    """What must be in order before anything is claimed."""

    name: GateName
    value: float
    wanted: str
    open: bool


@dataclass(frozen=True)
class Claim:
    """One claim: what its own evidence says, and what may be said after the gates and the claims before."""

    name: ClaimName
    alone: Word  # judged by itself
    word: Word  # by rule
    parts: tuple[Part, ...]
    because: str  # one line, empty where its own evidence decides

    @property
    def seeds_needed(self) -> int | None:
        """How many seeds it would take to decide; None if it is decided or cannot be said."""
        needed = [part.seeds_needed for part in self.parts if part.word == "undecided"]
        return None if not needed or None in needed else max(n for n in needed if n is not None)


@dataclass(frozen=True)
class Verdict:
    """All gates and claims of one target."""

    gates: tuple[Gate, ...]
    claims: tuple[Claim, ...]
    n_seeds: int
    least_seeds: int  # for a verdict
    zone: ZoneFinding | None = None  # None: the target is in no zone, or too few controls

    @property
    def specific_to(self) -> SpecificTo | None:
        """What the soft prompts are specific to, by the numbers; None: to nothing, not to say, or a claim before fails.

        To the zone where the controls outside it pass the third claim's test and all together do not: "zone" where that
        claim is refuted, "zone or country" where it is undecided.
        """
        carries, specific = (next(c for c in self.claims if c.name == name) for name in ("carries-over", "specific"))
        if carries.word != "supported":
            return None
        if specific.alone == "supported":
            return "country"
        if self.zone is None or not self.zone.passes:
            return None
        return "zone" if specific.alone == "refuted" else "zone or country"

    @property
    def given(self) -> bool:
        """Whether there are seeds enough for a verdict; below that nothing is said, whatever the numbers."""
        return self.n_seeds >= self.least_seeds

    @property
    def closed(self) -> tuple[Gate, ...]:
        """The gates that stop the evaluation."""
        return tuple(gate for gate in self.gates if not gate.open)

    def word(self, name: ClaimName) -> Word | None:
        """Return what is said of a claim; None where there is no verdict."""
        return next(claim.word for claim in self.claims if claim.name == name) if self.given else None


def judge(evidence: Evidence, margins: Margins) -> Verdict:
    """Return the verdict that follows from the evidence by rule."""
    gates = _gates(evidence, margins)
    closed = [gate.name for gate in gates if not gate.open]
    claims: list[Claim] = []
    standing: Word = "refuted" if closed else "supported"
    because = f"the gate {closed[0]} is closed" if closed else ""
    for name, parts in _parts(evidence, margins).items():
        alone = _all([part.word for part in parts])
        word = _all([standing, alone])
        claims.append(Claim(name, alone, word, tuple(parts), because if standing != "supported" else ""))
        if standing == "supported" and word != "supported":
            because = f"after {name}, which is {word}"
        standing = word
    zone = zone_finding(evidence, margins)
    return Verdict(gates, tuple(claims), evidence.n_seeds, margins.seeds_for_a_verdict, zone)


def part_between(name: str, value: float, bounds: tuple[float, float], margin: float, at_most: bool) -> Part:
    """Return a number whose one-sided 95 % bounds decide beside its margin."""
    lower, upper = bounds
    inside, outside = (upper <= margin, lower > margin) if at_most else (lower >= margin, upper < margin)
    word: Word = "supported" if inside else "refuted" if outside else "undecided"
    return Part(name, value, bounds, margin, at_most, word)


def _gates(evidence: Evidence, margins: Margins) -> tuple[Gate, ...]:
    mass = evidence.valid_mass.mean(axis=0)  # (I,)
    naive, room = float(evidence.naive_losses.mean()), max(margins.room, evidence.noise_floor)
    gates = [
        Gate(
            "valid-mass",
            float(mass.mean()),
            f"at least {margins.valid_mass:g} on average and {margins.item_valid_mass:g} on each item",
            bool(mass.mean() >= margins.valid_mass and mass.min() >= margins.item_valid_mass),
        )
    ]
    if evidence.texts is not None:
        share, gap = float(evidence.texts.unusable.mean()), float(evidence.texts.gap.mean())
        gates.append(Gate("refusals", share, f"at most {margins.refused:g}", share <= margins.refused))
        gates.append(Gate("text", gap, f"at most {margins.text_gap:g} points", gap <= margins.text_gap))
    order, drift = float(evidence.order_agreement.mean()), float(evidence.style_drift.mean())
    gates += [
        Gate("order", order, f"at least {margins.order:g}", order >= margins.order),
        Gate("style-drift", drift, f"at most {margins.style_drift:g} steps", drift <= margins.style_drift),
        Gate("nothing-to-move", naive, f"at least {room:.1f} points", naive >= room),
    ]
    return tuple(gates)


def _parts(evidence: Evidence, margins: Margins) -> dict[ClaimName, list[Part]]:
    matches = []
    for policy, tables in evidence.losses.items():
        losses, naive = (by_wording(table, evidence.wordings) for table in tables)
        loss, goal = mean_over_seeds_and_wordings(losses), margins.of_naive * float(naive.mean())
        matches.append(_part(f"held-out loss, constants {policy}", loss, min(margins.loss, goal), at_most=True))
    skill = mean_over_seeds_and_wordings(by_wording(evidence.skill, evidence.wordings))
    matches.append(_part("skill", skill, 0.0, at_most=False))
    matches.append(_exact("place among the targets nearest to the answers", evidence.rank, margins.nearest))
    choices = evidence.choice_share
    damage = [_part(name, mean_over_seeds(lost), margins.lost, at_most=True) for name, lost in evidence.lost.items()]
    return {
        "matches": matches,
        "carries-over": [
            _part(f"G on {name}", mean_over_seeds(gain), margins.gain, at_most=False)
            for name, gain in evidence.gains.items()
        ]
        or [_unmeasured("G on another instrument", margins.gain, at_most=False)],
        "specific": [_specific(evidence, margins)],
        "choices": [
            _unmeasured("share of a persona's way", margins.choice_share, at_most=False)
            if choices is None
            else _part("share of a persona's way", mean_over_seeds(choices), margins.choice_share, at_most=False)
        ],
        "no-damage": [
            *(damage or [_unmeasured("facts lost", margins.lost, at_most=True)]),
            _unmeasured("KL on neutral prompts, nats a token", margins.kl, at_most=True)
            if evidence.kl is None
            else _part(_kl_title(evidence), mean_over_seeds(evidence.kl), margins.kl, at_most=True),
            _part(
                "share of the variance kept", mean_over_seeds(evidence.variance_kept), margins.variance, at_most=False
            ),
        ],
    }


def _kl_title(evidence: Evidence) -> str:
    many = "" if evidence.neutral_texts is None else f"{evidence.neutral_texts} "
    return f"KL on {many}neutral prompts, nats a token"


def _part(name: str, mean: Mean, margin: float, at_most: bool) -> Part:
    part = part_between(name, mean.value, (mean.lower(), mean.upper()), margin, at_most)
    needed = seeds_needed(mean, margin) if part.word == "undecided" else None
    return replace(part, bounds=None if mean.standard_error is None else part.bounds, seeds_needed=needed)


def _exact(name: str, value: float, margin: float) -> Part:
    return Part(name, value, None, margin, True, "supported" if value <= margin else "refuted")


def _unmeasured(name: str, margin: float, at_most: bool) -> Part:
    return Part(name, None, None, margin, at_most, "undecided")


def _specific(evidence: Evidence, margins: Margins) -> Part:
    """Return whether the target's own soft prompts come nearer to it than those of the controls do.

    Supported by the rank of the mean of its seeds among the controls; refuted where the share of controls that come as
    near is above the level itself (Clopper-Pearson, one-sided 95 %).
    """
    from scipy.stats import beta

    name = "share of controls that come as near (p)"
    controls, first = evidence.control_gains, next(iter(evidence.gains.values()), None)
    if first is None or len(controls) < margins.controls:
        return _unmeasured(f"{name}; {margins.controls} controls wanted, {len(controls)} there", margins.exceeded, True)
    own = float(np.mean(first))
    p = rank_p_value(own, controls)
    exceeding = int((controls >= own).sum())
    n = len(controls)
    lower = float(beta.ppf(0.05, exceeding, n - exceeding + 1)) if exceeding else 0.0
    upper = float(beta.ppf(0.95, exceeding + 1, n - exceeding)) if exceeding < n else 1.0
    word: Word = "supported" if p <= margins.exceeded else "refuted" if lower > margins.exceeded else "undecided"
    return Part(name, p, (lower, upper), margins.exceeded, True, word)


def _all(words: Sequence[Word]) -> Word:
    """Return what holds of a conjunction."""
    return "refuted" if "refuted" in words else "undecided" if "undecided" in words else "supported"
