"""Coordinates on the Inglehart-Welzel map: where the surveys of a country place it, by source.

The three sources are different rotations of the same surveys: coordinates of one say nothing beside those of another,
and no row here holds two. Those of `tao2024` are the default, for the projection that scores `ivs10` is theirs. See
`data/SOURCES.md`.
"""

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hofsteer.errors import TargetError, did_you_mean
from hofsteer.targets.base import Target
from hofsteer.targets.names import in_sentence, look_up_key, names_of, read_lines

Floats = NDArray[np.float64]

COORDINATES = ("SSE", "TSR")  # survival to self-expression, traditional to secular-rational
PROJECTION = "tao2024"  # the source whose rotation `ivs10` is scored in
SOURCES = (PROJECTION, "wvs_map_2022", "wvs_map_2023")


def load_coordinates(name: str, source: str = PROJECTION) -> Target:
    """Return the coordinates of a country or territory in one source, in units of the map.

    `wvs_map_2023` has a row for each survey year, such as `wvs_map_2023-2018`; without a year the latest is meant.

    Args:
        name: a code, name or alias in any case; `CODE@SOURCE` names the source too.
        source: where the coordinates are from.

    Raises:
        TargetError: nothing has this name, or the source has no coordinates for it.

    >>> load_coordinates("Sweden").vector(COORDINATES).round(2)
    array([3.59, 0.63])
    >>> load_coordinates("SWE@wvs_map_2023-2017").vector(COORDINATES).round(2)
    array([3.11, 1.11])
    """
    place, at, named = name.partition("@")
    code, source = find_coordinates(place), named if at else source
    rows = _rows()[code]
    for row_source, row in reversed(tuple(rows.items())):  # the latest year first
        if look_up_key(source) in (look_up_key(row_source), look_up_key(_without_year(row_source))):
            return row
    if look_up_key(source) in map(look_up_key, SOURCES):
        there = ", ".join(dict.fromkeys(map(_without_year, rows)))
        raise TargetError(
            f"{_name(code)} is not testable on the map of {source}, which lacks it (other rotations have it: {there})"
        )
    raise TargetError(f"want {code}@ one of the sources {', '.join(rows)}, got {source!r}")


def all_coordinates(source: str = PROJECTION) -> tuple[Target, ...]:
    """Return one row for every country and territory that a source has, the latest of its survey years, by code."""
    rows = (_latest(code, source) for code in sorted(_rows()))
    found = tuple(row for row in rows if row is not None)
    if not found:
        raise TargetError(f"want coordinates of {', '.join(SOURCES)}, got {source!r}{did_you_mean(source, SOURCES)}")
    return found


def coordinate_alternatives(name: str) -> tuple[Target, ...]:
    """Return the rows of a country or territory, one for each source that has it, the latest year of each.

    >>> [row.code for row in coordinate_alternatives("USA")]
    ['USA@tao2024', 'USA@wvs_map_2022', 'USA@wvs_map_2023-2017']
    """
    code = find_coordinates(name.partition("@")[0])
    return tuple(row for source in SOURCES if (row := _latest(code, source)) is not None)


def find_coordinates(name: str) -> str:
    """Return the code of the country or territory with coordinates in any source; TargetError if there is none."""
    codes = _codes_by_key()
    if (key := look_up_key(name)) in codes:
        return codes[key]
    valid = [n for code in _rows() for n in (code, _name(code))]
    raise TargetError(f"want a country or territory with coordinates, got {name!r}{did_you_mean(name, valid)}")


def map_distance(points: Floats, point: Floats) -> Floats:
    """Return the Euclidean distance on the map, as the literature has it, of points (..., 2) from one (2,): (...).

    >>> float(map_distance(np.array([3.0, 4.0]), np.zeros(2)))
    5.0
    """
    return np.asarray(np.linalg.norm(points - point, axis=-1))


def _without_year(source: str) -> str:
    """Return the source id alone: "wvs_map_2023" of "wvs_map_2023-2018"."""
    return source.partition("-")[0]


def _name(code: str) -> str:
    return next(iter(_rows()[code].values())).name


def _latest(code: str, source: str) -> Target | None:
    rows = [row for row_source, row in _rows()[code].items() if _without_year(row_source) == source]
    return rows[-1] if rows else None


@cache
def _codes_by_key() -> Mapping[str, str]:
    """Return every accepted name, as `look_up_key` writes it -> code."""
    codes: dict[str, str] = {}
    for code in _rows():
        codes |= dict.fromkeys(map(look_up_key, names_of(code, _name(code))), code)
    return codes


@cache
def _rows() -> Mapping[str, Mapping[str, Target]]:
    """Return code -> source id, with the survey year where it has one -> row, in the order of the file."""
    rows: dict[str, dict[str, Target]] = {}
    for record in read_lines("iw-map.csv"):
        code, year = record["code"], record["survey_year"]
        source = f"{record['source']}-{year}" if year else record["source"]
        scores = {dimension: float(record[dimension]) for dimension in COORDINATES}
        rows.setdefault(code, {})[source] = Target(
            code=f"{code}@{source}",
            name=record["name"],
            in_sentence=in_sentence(code, record["name"]),
            kind="country",
            scores=scores,
            sources=dict.fromkeys(scores, source),
            estimated=frozenset(),
            dimensions=COORDINATES,
        )
    return rows
