"""Inventing cases: any number of every kind, each checked in the world to be what it says.

`invent("coupled", 7, census)` draws countries from its seed until `findings.examine` says that the case has the
property of its kind, with every deciding number well away from its line. The named cases of `truth.json` are these of
seeds 1, 2, ...; others serve where power and false-positive rates are counted over many.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.random import Generator

from hofsteer.instruments.base import Floats
from hofsteer.targets import index_loss
from hofsteer.world.cases import CLAIMS, KINDS, Case, Claim, Gate, Kind
from hofsteer.world.census import SHARE_DEVIATION, SHARE_MEAN, Census, Country, Style
from hofsteer.world.findings import Findings, examine
from hofsteer.world.knowledge import Knowledge
from hofsteer.world.names import invented_name
from hofsteer.world.respondent import Mode

CASES = 61  # random stream
MAPS = (0, 1, 2)  # of respondents in whom a case must have its property
ATTEMPTS = 2000  # draws before a kind is said to be impossible in a world
PROFILE_RANGE = (5.0, 95.0)  # points
NAIVE_DISTANCE = (18.0, 32.0)  # points, of a target's profile
APART = 8.0  # points; no other country is nearer on the survey
AWAY = 1.5  # standard deviations; the least distance from the naive place on the map


@dataclass(frozen=True)
class Expected:
    """What a case of a kind must turn out to be."""

    why: str
    gates: tuple[Gate, ...] = ()
    refuted: tuple[Claim, ...] = ()  # of the claims, each judged alone
    open: tuple[Claim, ...] = ()  # either way, since a gate is closed before them


NOTHING_ELSE: tuple[Claim, ...] = ("carries-over", "specific", "choices")

EXPECTED: Mapping[Kind, Expected] = {
    "coupled": Expected("The respondent knows the country: survey, map and choices move together."),
    "survey-only": Expected(
        "Only survey answers move. A low survey loss in every form, and nothing else.", (), NOTHING_ELSE
    ),
    "twins": Expected(
        "Two countries of one survey profile that differ elsewhere: the survey cannot tell which it found.",
        (),
        NOTHING_ELSE,
    ),
    "phantom": Expected(
        "A profile far from all countries, under a name nobody knows. The survey fits it; nothing goes with it.",
        (),
        NOTHING_ELSE,
    ),
    "shuffled": Expected(
        "A real country's profile with its dimensions permuted. The indices use disjoint items, so nonsense fits too.",
        (),
        NOTHING_ELSE,
    ),
    "wording-bound": Expected("Answers move in the fitted wording alone.", (), ("matches", *NOTHING_ELSE)),
    "style": Expected(
        "Scores move by answer style: by an option's place in the list, or by answers away from the middle.",
        ("style-drift",),
        NOTHING_ELSE,
        ("matches", "no-damage"),
    ),
    "damage": Expected("All is as in a coupled case, but facts are lost on the way.", (), ("no-damage",)),
    "refusing": Expected("All is as in a coupled case, but ever less mass is on the options.", ("valid-mass",)),
    "no-room": Expected(
        "Without a soft prompt the respondent answers like this country already.", ("nothing-to-move",), (), CLAIMS
    ),
    "caricature": Expected(
        "The country's direction, overdone: other instruments overshoot and everybody answers alike.",
        (),
        ("no-damage",),
    ),
    "drift": Expected(
        "Whatever the target, other instruments go to one and the same place: here that of the target.",
        (),
        ("specific",),
    ),
    "self-report": Expected("What is said moves on every survey; what is chosen does not.", (), ("choices",)),
}


def invent(kind: Kind, seed: int, real: Census) -> Case:
    """Return a case of a kind; same seed and census, same case.

    Raises:
        ValueError: the world has no room for it.
    """
    found: list[Findings] = []
    for attempt in range(ATTEMPTS):
        draft = Draft(kind, seed, real, np.random.default_rng([CASES, KINDS.index(kind), seed, attempt]))
        case = BUILDERS[kind](draft)
        if case is None:
            continue
        try:
            found = [examine(case, real, map_seed=seed) for seed in MAPS]
        except ValueError:  # a profile that the scales cannot express
            continue
        if all(_as_expected(kind, one) and one.alone == found[0].alone for one in found):
            return replace(case, gates=found[0].gates, alone=found[0].alone)
    raise ValueError(f"no {kind} case of seed {seed} in {ATTEMPTS} draws; the last one: {found[:1]}")


def _as_expected(kind: Kind, found: Findings) -> bool:
    expected = EXPECTED[kind]
    claims = {claim: claim not in expected.refuted for claim in CLAIMS if claim not in expected.open}
    gates = set(expected.gates) == set(found.gates) - {"order"} if kind == "style" else expected.gates == found.gates
    return (
        gates
        and all(found.alone[claim] == holds for claim, holds in claims.items())
        and (found.clear or bool(gates and expected.open))
    )


class Draft:
    """One attempt: everything that a kind's builder draws from."""

    def __init__(self, kind: Kind, seed: int, real: Census, rng: Generator) -> None:
        self.kind, self.seed, self.real, self.rng = kind, seed, real, rng
        self.survey, *self.others = real.worlds
        self.naive = {name: real.naive_scores(name) for name in real.worlds}

    def profile(self) -> Floats | None:
        """Return a survey profile as likely as a country's, at a distance from the naive one and from every country."""
        table = self.real.survey.profiles[: self.real.n_real]
        drawn = self.rng.multivariate_normal(table.mean(axis=0), 1.5 * np.cov(table.T), method="cholesky")
        profile = np.clip(drawn, *PROFILE_RANGE).round()
        near, far = NAIVE_DISTANCE
        fits = near < index_loss(profile, self.naive[self.survey]) < far and index_loss(table, profile).min() > APART
        return profile if fits else None

    def elsewhere(self, survey: Floats) -> dict[str, Floats]:
        """Return profiles on the other instruments: within what countries have, and no function of the survey."""
        drawn = {}
        for name in self.others:
            table = self.real.worlds[name].profiles[: self.real.n_real]
            if table.shape[1] == len(survey):
                standard = (survey - self.real.survey.profiles.mean(axis=0)) / self.real.survey.profiles.std(axis=0)
                mixed = 0.7 * standard + 0.71 * self.rng.normal(size=len(survey))
                drawn[name] = np.clip(SHARE_MEAN + SHARE_DEVIATION * mixed, 8, 92).round(1)
            else:
                spread = table.std(axis=0)
                while True:  # there must be a way to go
                    place = np.round(self.rng.uniform(table.min(axis=0), table.max(axis=0)), 2)
                    if np.linalg.norm((place - self.naive[name]) / spread) > AWAY:
                        break
                drawn[name] = place
        return drawn

    def country(self, profiles: Mapping[str, Floats], letter: str = "", **known: Any) -> Country:
        """Return a country with a name and a code of its own."""
        name = invented_name([KINDS.index(self.kind), self.seed, len(letter) and ord(letter)])
        code = f"{self.kind.upper()}-{self.seed}{letter}"
        return Country(code, name, name, dict(profiles), **known)

    def case(self, countries: list[Country], mode: Mode | None = None, why: str | None = None) -> Case:
        """Return the case of these countries, its truth still to be found."""
        return Case(
            f"{self.kind}-{self.seed}",
            self.kind,
            why or EXPECTED[self.kind].why,
            tuple(countries),
            mode or Mode(),
            (),
            {},
        )


def _known(draft: Draft, mode: Mode | None = None, **known: Any) -> Case | None:
    """Return a case of one country that lies anywhere."""
    profile = draft.profile()
    if profile is None:
        return None
    country = draft.country({draft.survey: profile} | draft.elsewhere(profile), **known)
    return draft.case([country], mode)


def _twins(draft: Draft) -> Case | None:
    profile = draft.profile()
    if profile is None:
        return None
    one, other = {draft.survey: profile}, {draft.survey: profile}
    for name in draft.others:
        centre, spread = draft.naive[name], draft.real.worlds[name].profiles.std(axis=0)
        way = draft.rng.normal(size=len(centre))
        step = 1.3 * spread * np.sqrt(len(way)) * way / np.linalg.norm(way)
        one[name], other[name] = (centre + step).round(2), (centre - step).round(2)
    return draft.case([draft.country(one, "A"), draft.country(other, "B")])


def _phantom(draft: Draft) -> Case | None:
    table = draft.real.survey.profiles[: draft.real.n_real]
    profile = np.round(draft.rng.uniform(*PROFILE_RANGE, size=table.shape[1]))
    if index_loss(table, profile).min() < 2 * APART:
        return None
    return _unknown(draft, profile, draft.elsewhere(profile))


def _shuffled(draft: Draft) -> Case | None:
    row = int(draft.rng.integers(draft.real.n_real))
    origin = draft.real.countries[row]
    profile = draft.rng.permutation(origin.profiles[draft.survey])
    if draft.others[0] in origin.untested or index_loss(profile, origin.profiles[draft.survey]) < 15:
        return None
    case = _unknown(draft, profile, {name: origin.profiles[name].round(2) for name in draft.others})
    return replace(case, why=f"{case.why} Elsewhere it is {origin.name}.")


def _unknown(draft: Draft, profile: Floats, elsewhere: Mapping[str, Floats]) -> Case:
    country = draft.country({draft.survey: profile} | dict(elsewhere), known="nothing")
    return draft.case([country])


def _style(draft: Draft) -> Case | None:
    """Return a case of moving by position (odd seeds), or one of moving by extremity (even seeds)."""
    if draft.seed % 2:
        return _known(draft, Mode(channel="position"), style=Style(position=0.5))
    world, knowledge = draft.real.survey, Knowledge(draft.real)
    naive = knowledge.naive.values[draft.survey][len(draft.naive[draft.survey]) :]
    means = world.items.means(knowledge.naive.profile, naive)
    extreme = Style(extreme=draft.rng.uniform(1.5, 2.2)).move(means, world.items, "listed")
    profile = (world.instrument.score_means(extreme) + world.constants).round()
    country = draft.country({draft.survey: profile} | draft.elsewhere(profile), style=Style(extreme=0.5))
    return draft.case([country], Mode(channel="extremity"))


def _no_room(draft: Draft) -> Case | None:
    profile = (draft.naive[draft.survey] + draft.rng.normal(0.0, 5.0, len(draft.naive[draft.survey]))).round()
    if index_loss(profile, draft.naive[draft.survey]) > 6:
        return None
    return draft.case([draft.country({draft.survey: profile} | draft.elsewhere(profile))])


def _drift(draft: Draft) -> Case | None:
    return _known(draft, Mode(drifts_to=f"{draft.kind.upper()}-{draft.seed}"))


BUILDERS: Mapping[Kind, Callable[[Draft], Case | None]] = {
    "coupled": _known,
    "survey-only": lambda draft: _known(draft, Mode(carries=()), known="survey"),
    "twins": _twins,
    "phantom": _phantom,
    "shuffled": _shuffled,
    "wording-bound": lambda draft: _known(draft, Mode(carries=(), wordings=(0,)), wordings=(0,)),
    "style": _style,
    "damage": lambda draft: _known(draft, Mode(damage=0.25)),
    "refusing": lambda draft: _known(draft, Mode(refusal=0.5)),
    "no-room": _no_room,
    "caricature": lambda draft: _known(draft, Mode(exaggeration=1.3, narrowing=0.9)),
    "drift": _drift,
    "self-report": lambda draft: _known(draft, Mode(carries=tuple(draft.others[:-1]))),
}


def invent_all(counts: Mapping[Kind, int], real: Census) -> dict[str, Case]:
    """Return cases of seeds 1, 2, ..., so many of each kind, by id."""
    cases = (invent(kind, seed, real) for kind, n in counts.items() for seed in range(1, n + 1))
    return {case.id: case for case in cases}
