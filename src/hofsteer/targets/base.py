"""The country table: published scores, each cell with its source, and the look-up of a target by code or name.

Sources are never mixed silently. `SAU` is the default row of a code: the 2015 matrix, with its gaps filled cell by cell
from Hofstede Insights. `SAU@arab-2021-05` is the row of that one source and of nothing else. See `data/SOURCES.md`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hofsteer.errors import TargetError, did_you_mean
from hofsteer.instruments import Instrument
from hofsteer.targets.items import ItemDistributions, ItemGoal
from hofsteer.targets.names import in_sentence, look_up_key, names_of, read_lines

Floats = NDArray[np.float64]
Kind = Literal["country", "region", "group"]

DIMENSIONS = ("PDI", "IDV", "MAS", "UAI", "LTO", "IVR")
MATRIX = "hofstede-2015"
DEFAULT_SOURCES = (MATRIX, "hofstede-insights-2021-04")  # in order of precedence; other sources only when asked for


@dataclass(frozen=True, eq=False)
class Target:
    """Published scores of one country or region: index points from about 0 to 100, or coordinates on a map.

    A dimension without a published score is absent from `scores`; 0 is a score.
    """

    code: str  # "JPN", "ARAB_COUNTRIES", "SAU@arab-2021-05"
    name: str  # "Japan", "United States"
    in_sentence: str  # as it stands in a sentence: "Japan", "the United States"
    kind: Kind  # a region is a group of countries or a part of one; a group is a row of a user's own table
    scores: Mapping[str, float]  # dimension -> published score
    sources: Mapping[str, str]  # dimension -> source id, the same keys
    estimated: frozenset[str]  # dimensions that their source marks as an estimate, not a measurement
    dimensions: tuple[str, ...] = DIMENSIONS  # those of its table
    n: int | None = None  # respondents; None = unknown
    n_effective: float | None = None  # Kish's effective number of them
    errors: Mapping[str, float] = field(default_factory=dict)  # dimension -> standard error in points, where known
    constants: str | None = None  # policy that the scores were made under; None = unknown, or an own zero
    persona: str | None = None  # system text that makes a model one of them; None: they are who live in `in_sentence`
    beside: tuple["Target", ...] = ()  # the other groups of a user's own table
    items: ItemDistributions | None = None  # how it answered each item; None = unknown, as for all published rows

    @property
    def noun(self) -> str:
        """What it stands among, in one word: a group of a user's own table, or a country."""
        return "group" if self.kind == "group" else "country"

    @property
    def nouns(self) -> str:
        """The plural of `noun`."""
        return "groups" if self.kind == "group" else "countries"

    @property
    def missing(self) -> tuple[str, ...]:
        """The dimensions without a published score."""
        return tuple(dimension for dimension in self.dimensions if dimension not in self.scores)

    def vector(self, dimensions: Sequence[str]) -> Floats:
        """Return the scores as (M,), in the order of `dimensions`; NaN where there is none, of whatever name.

        >>> load_target("Costa Rica").vector(["PDI", "LTO"])
        array([35., nan])
        """
        return np.array([self.scores.get(dimension, np.nan) for dimension in dimensions], dtype=np.float64)

    def item_goal(self, instrument: Instrument) -> ItemGoal | None:
        """Return its item distributions in an instrument's order; None where it has none of these items."""
        try:
            return None if self.items is None else self.items.on(instrument)
        except TargetError:
            return None

    def error_vector(self, dimensions: Sequence[str]) -> Floats:
        """Return the standard errors as (M,), in points, in the order of `dimensions`; NaN = unknown."""
        return np.array([self.errors.get(dimension, np.nan) for dimension in dimensions], dtype=np.float64)


def load_target(name: str) -> Target:
    """Return the target that an ISO 3166 code, a name, an alias or a region slug stands for.

    Case, accents, spaces, hyphens and underscores do not count. `CODE@SOURCE` gives the row of that one source.

    Raises:
        TargetError: nothing has this name, or the source has no row for it.

    >>> load_target("saudi-arabia").vector(DIMENSIONS)
    array([95., 25., 60., 80., 36., 52.])
    >>> load_target("SAU@arab-2021-05").vector(DIMENSIONS)
    array([72., 48., 43., 64., 27., 14.])
    """
    place, at, source = name.partition("@")
    code = _find_code(place)
    if not at:
        return _default_rows()[code]
    published = _published_rows()[code]
    for source_id, row in published.items():
        if look_up_key(source_id) == look_up_key(source):
            return row
    raise TargetError(f"want {code}@ one of the sources {', '.join(published)}, got {source!r}")


def all_targets() -> tuple[Target, ...]:
    """Return the default row of every code, sorted by code."""
    return tuple(_default_rows().values())


def complete_countries() -> tuple[Target, ...]:
    """Return the default rows of the countries with all six scores, sorted by code. Estimates count as scores."""
    return tuple(target for target in all_targets() if target.kind == "country" and not target.missing)


def alternatives(name: str) -> tuple[Target, ...]:
    """Return one `CODE@SOURCE` row for each source that has scores of a target, the 2015 matrix first.

    Raises:
        TargetError: nothing has this name.

    >>> [row.code for row in alternatives("EGY")]
    ['EGY@hofstede-2015', 'EGY@hofstede-insights-2021-04', 'EGY@arab-2021-05']
    """
    return tuple(_published_rows()[_find_code(name.partition("@")[0])].values())


def _find_code(name: str) -> str:
    """Return the code that `name` stands for, or raise a TargetError with the nearest valid name."""
    codes = _codes_by_key()
    if (key := look_up_key(name)) in codes:
        return codes[key]
    valid = [n for target in all_targets() for n in (target.code, target.name)]
    raise TargetError(f"want the code or name of a country or region, got {name!r}{did_you_mean(name, valid)}")


@cache
def _codes_by_key() -> dict[str, str]:
    """Return every accepted name, as `look_up_key` writes it -> code."""
    codes: dict[str, str] = {}
    for target in all_targets():
        codes |= dict.fromkeys(map(look_up_key, names_of(target.code, target.name)), target.code)
    return codes


@cache
def _default_rows() -> dict[str, Target]:
    """Return code -> default row, sorted by code."""
    return {code: _fill(code, rows) for code, rows in sorted(_published_rows().items())}


def _fill(code: str, rows: Mapping[str, Target]) -> Target:
    """Return one row whose every cell comes from the first of the default sources that has it."""
    # The first source comes last: it overwrites what the others say.
    published = [rows[source] for source in reversed(DEFAULT_SOURCES) if source in rows]
    filled = {d: row for d in DIMENSIONS for row in published if d in row.scores}
    return replace(
        published[-1],
        code=code,
        scores={d: row.scores[d] for d, row in filled.items()},
        sources={d: row.sources[d] for d, row in filled.items()},
        estimated=frozenset(d for d, row in filled.items() if d in row.estimated),
    )


@cache
def _published_rows() -> dict[str, dict[str, Target]]:
    """Return code -> source id -> the row of that source alone, in the order of the files."""
    matrix = ({"source": MATRIX, "estimated": ""} | record for record in read_lines("hofstede-2015.csv"))
    later = ({"kind": "country"} | record for record in read_lines("later.csv"))
    rows: dict[str, dict[str, Target]] = {}
    for record in (*matrix, *later):
        rows.setdefault(record["code"], {})[record["source"]] = _row(record)
    return rows


def _row(record: Mapping[str, str]) -> Target:
    """Return the target that one line of a score file holds."""
    scores = {dimension: float(record[dimension]) for dimension in DIMENSIONS if record[dimension]}
    return Target(
        code=f"{record['code']}@{record['source']}",
        name=record["name"],
        in_sentence=in_sentence(record["code"], record["name"]),
        kind="region" if record["kind"] == "region" else "country",
        scores=scores,
        sources=dict.fromkeys(scores, record["source"]),
        estimated=frozenset(record["estimated"].split()),
    )
