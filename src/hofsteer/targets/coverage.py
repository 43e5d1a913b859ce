"""Which target can be tested on which instrument: only where people of that country have published scores on it."""

from collections.abc import Mapping
from dataclasses import dataclass

from hofsteer.errors import TargetError
from hofsteer.instruments import Instrument, bundled_instruments, load_instrument
from hofsteer.targets.base import DIMENSIONS, Target, all_targets, load_target
from hofsteer.targets.coordinates import (
    COORDINATES,
    PROJECTION,
    all_coordinates,
    coordinate_alternatives,
    load_coordinates,
)
from hofsteer.targets.globe import SCALES, all_societies, load_society
from hofsteer.targets.table import is_table, load_table_target


@dataclass(frozen=True, eq=False)
class Coverage:
    """What is published of one country or region, by instrument."""

    code: str
    name: str
    dimensions: Mapping[str, tuple[str, ...]]  # instrument id -> its dimensions with a score; none = not testable


def target_for(name: str, instrument: Instrument) -> Target:
    """Return the row that scores of `instrument` can be compared with: published, or FILE.csv:GROUP of a user's table.

    Raises:
        TargetError: nothing has this name, or it is not testable on this instrument.

    >>> target_for("JPN", load_instrument("ivs10")).code
    'JPN@tao2024'
    """
    if is_table(name):
        return load_table_target(name, instrument)
    dimensions = human_dimensions(instrument)
    if not dimensions:
        raise TargetError(f"{instrument.id} has no published country scores: no target is testable on it")
    if set(dimensions) & set(SCALES):
        return load_society(name)
    return load_coordinates(name) if set(dimensions) & set(COORDINATES) else load_target(name)


def target_name(name: str, instrument: Instrument) -> str:
    """Return the name by which a target is found again: its code, or FILE.csv:GROUP as given, with the way to the file.

    Raises:
        TargetError: as `target_for`.
    """
    row = target_for(name, instrument)
    return name if row.kind == "group" else row.code


def coverage() -> tuple[Coverage, ...]:
    """Return what is published of every target, by code, for each bundled instrument with human country scores.

    >>> {line.code: dict(line.dimensions)["ivs10"] for line in coverage() if line.code in ("JPN", "SAU")}
    {'JPN': ('SSE', 'TSR'), 'SAU': ()}
    """
    instruments = [load_instrument(entry.id) for entry in bundled_instruments()]
    wanted = {i.id: dimensions for i in instruments if (dimensions := human_dimensions(i))}
    published: dict[str, Mapping[str, float]] = {target.code: target.scores for target in all_targets()}
    names = {target.code: target.name for target in all_targets()}
    for row in all_coordinates(PROJECTION):
        code = row.code.partition("@")[0]
        published[code] = {**published.get(code, {}), **row.scores}
        names[code] = row.name
    for row in all_societies():
        code = row.code.partition("@")[0]
        published[code] = {**published.get(code, {}), **row.scores}
        names.setdefault(code, row.name)
    return tuple(
        Coverage(
            code,
            names[code],
            {i: tuple(d for d in dimensions if d in published[code]) for i, dimensions in wanted.items()},
        )
        for code in sorted(published)
    )


def published_rows(name: str) -> tuple[Target | None, tuple[Target, ...]]:
    """Return the index scores of a place, None if it has none, and its coordinates on the map in each source.

    Raises:
        TargetError: the place has neither.

    >>> scores, coordinates = published_rows("Mongolia")
    >>> scores is None, [row.code for row in coordinates]
    (True, ['MNG@tao2024', 'MNG@wvs_map_2022', 'MNG@wvs_map_2023-2020'])
    """
    try:
        coordinates = coordinate_alternatives(name)
    except TargetError:
        return load_target(name), ()
    try:
        return load_target(name), coordinates
    except TargetError as error:
        if "@" not in name:
            return None, coordinates
        try:
            return None, (load_coordinates(name),)
        except TargetError:
            raise error from None


def human_dimensions(instrument: Instrument) -> tuple[str, ...]:
    """Return the dimensions on which countries have published scores.

    An unvalidated instrument has none, but for the GLOBE scales: their names belong to people's scores alone, and every
    result on them says that the wording is unvalidated.
    """
    known = (*DIMENSIONS, *COORDINATES, *SCALES) if instrument.validated else SCALES
    return tuple(dimension for dimension in instrument.dimension_ids if dimension in known)
