"""The cases of `truth.json`: invented countries, a respondent each, and the verdict that an honest evaluation reaches.

An invented country has a stated truth, so false facts about real ones need not be told. A case says which soft prompt
is looked for (the target), in which respondent (who knows which countries, and what a soft prompt does there), and what
is true of the result: the gates that must stop it, and the five claims of the design, judged alone and by rule.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

import numpy as np

from hofsteer.errors import TargetError
from hofsteer.instruments import load_instrument
from hofsteer.targets import Target
from hofsteer.world.census import Census, Country, Style, load_census
from hofsteer.world.respondent import Mode, WorldRespondent

SCHEMA = 1
VERSION = 1  # of the cases themselves; a published verdict names it
SOURCE = "hofsteer-world"  # of the scores of invented countries

Kind = Literal[
    "coupled",
    "survey-only",
    "twins",
    "phantom",
    "shuffled",
    "wording-bound",
    "style",
    "damage",
    "refusing",
    "no-room",
    "caricature",
    "drift",
    "self-report",
]
Claim = Literal["matches", "carries-over", "specific", "choices", "no-damage"]
Gate = Literal["valid-mass", "order", "style-drift", "nothing-to-move"]
Word = Literal["supported", "refuted"]

KINDS: tuple[Kind, ...] = get_args(Kind)
CLAIMS: tuple[Claim, ...] = get_args(Claim)
RULE = "nothing is supported behind a closed gate, and a claim needs the one before; 'undecided' is weak, never wrong"


@dataclass(frozen=True, eq=False)
class Case:
    """One question with a known answer."""

    id: str
    kind: Kind
    why: str  # one line: what is the matter, and how a careless evaluation would be fooled
    countries: tuple[Country, ...]  # what the respondent is told of beside the real ones; the target first
    mode: Mode
    gates: tuple[Gate, ...]  # that must stop the evaluation
    alone: Mapping[Claim, bool]  # whether each claim holds when it is judged alone

    @property
    def country(self) -> Country:
        """The country whose scores are aimed at."""
        return self.countries[0]

    @property
    def verdict(self) -> dict[Claim, Word]:
        """What an honest evaluation says of each claim, by the rule."""
        found: dict[Claim, Word] = {}
        standing = not self.gates
        for claim in CLAIMS:
            standing = standing and self.alone[claim]
            found[claim] = "supported" if standing else "refuted"
        return found

    def target(self, instrument_id: str | None = None) -> Target:
        """Return the true scores of the country on an instrument, the survey by default, as a target."""
        name = instrument_id or next(iter(self.country.profiles))
        if name not in self.country.profiles:
            raise TargetError(
                f"{self.country.name} has no scores on {name} (there are {', '.join(self.country.profiles)})"
            )
        dimensions = load_instrument(name).dimension_ids
        scores = dict(zip(dimensions, self.country.profiles[name].tolist(), strict=True))
        return Target(
            code=self.country.code,
            name=self.country.name,
            in_sentence=self.country.in_sentence,
            kind="country",
            scores=scores,
            sources=dict.fromkeys(dimensions, SOURCE),
            estimated=frozenset(),
            dimensions=dimensions,
        )

    def census(self, real: Census | None = None) -> Census:
        """Return the real countries and those of the case."""
        return (real or load_census()).with_countries(self.countries)

    def respondent(self, real: Census | None = None, seed: int = 0) -> WorldRespondent:
        """Return the respondent in whom the case is put; the seed is that of its maps."""
        return WorldRespondent(self.census(real), self.mode, seed)


@cache
def load_cases() -> dict[str, Case]:
    """Return the cases that the package ships, by id."""
    return read_cases(json.loads((files("hofsteer.world") / "truth.json").read_text(encoding="utf-8")))


def load_invented(*kinds: Kind) -> tuple[Country, ...]:
    """Return the invented countries of these kinds of cases, all by default, each once and in the order of the file."""
    wanted = kinds or KINDS
    return tuple({c.code: c for case in load_cases().values() if case.kind in wanted for c in case.countries}.values())


def read_cases(table: Mapping[str, Any]) -> dict[str, Case]:
    """Return the cases in a JSON object. Raises TargetError if it has another schema."""
    if table.get("schema") != SCHEMA:
        raise TargetError(f"want cases of schema {SCHEMA}, got {table.get('schema')!r}")
    countries = {entry["code"]: _read_country(entry) for entry in table["countries"]}
    return {
        entry["id"]: Case(
            id=entry["id"],
            kind=entry["kind"],
            why=entry["why"],
            countries=tuple(countries[code] for code in (entry["target"], *entry["others"])),
            mode=_read_mode(entry["mode"]),
            gates=tuple(entry["gates"]),
            alone=entry["alone"],
        )
        for entry in table["cases"]
    }


def cases_table(cases: Mapping[str, Case], seed: int) -> dict[str, Any]:
    """Return cases as the JSON object that `read_cases` reads."""
    countries = {country.code: country for case in cases.values() for country in case.countries}
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "seed": seed,
        "note": "Invented countries of hofsteer's simulated world. Nothing here is about a real place.",
        "rule": RULE,
        "countries": [_country_table(country) for country in countries.values()],
        "cases": [
            {
                "id": case.id,
                "kind": case.kind,
                "why": case.why,
                "target": case.country.code,
                "others": [country.code for country in case.countries[1:]],
                "mode": _changed(case.mode),
                "gates": list(case.gates),
                "alone": dict(case.alone),
                "verdict": case.verdict,
            }
            for case in cases.values()
        ],
    }


def _read_mode(entry: Mapping[str, Any]) -> Mode:
    changed: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in entry.items()}
    return Mode(**changed)


def _read_country(entry: Mapping[str, Any]) -> Country:
    return Country(
        code=entry["code"],
        name=entry["name"],
        in_sentence=entry["name"],
        profiles={
            name: np.array([scores[dimension] for dimension in load_instrument(name).dimension_ids], dtype=np.float64)
            for name, scores in entry["profiles"].items()
        },
        known=entry["known"],
        wordings=None if entry["wordings"] is None else tuple(entry["wordings"]),
        style=None if entry["style"] is None else Style(**entry["style"]),
    )


def _country_table(country: Country) -> dict[str, Any]:
    return {
        "code": country.code,
        "name": country.name,
        "known": country.known,
        "wordings": None if country.wordings is None else list(country.wordings),
        "style": None if country.style is None else asdict(country.style),
        "profiles": {
            name: dict(zip(load_instrument(name).dimension_ids, scores.tolist(), strict=True))
            for name, scores in country.profiles.items()
        },
    }


def _changed(mode: Mode) -> dict[str, Any]:
    """Return the fields of a mode that are not as in a coupled respondent."""
    plain = Mode()
    values = {f.name: getattr(mode, f.name) for f in fields(mode)}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items() if v != getattr(plain, k)}
