"""The nine GLOBE value scales of 61 societies: means of managers' answers on 1 to 7; see `data/SOURCES.md`."""

from collections.abc import Mapping
from functools import cache

from hofsteer.errors import TargetError, did_you_mean
from hofsteer.targets.base import Target, load_target
from hofsteer.targets.coordinates import find_coordinates
from hofsteer.targets.names import look_up_key, name_records, names_of, read_lines

SCALES = (
    "UA-should",
    "FO-should",
    "PD-should",
    "IC-should",
    "HO-should",
    "PO-should",
    "GC-should",
    "GE-should",
    "AS-should",
)
SOURCE = "globe-2004"


def load_society(name: str) -> Target:
    """Return the scores of a society, in points from 1 to 7, by code, name or alias.

    Parts of some countries were samples of their own: `DEU-EAST`, `DEU-WEST`, `ZAF-BLACK`, `ZAF-WHITE`, `CAN-ENGLISH`,
    and `CHE-FRENCH` beside `CHE`.

    Raises:
        TargetError: nothing has this name, or the country is there in parts alone.

    >>> load_society("Japan").scores["PD-should"]
    2.86
    >>> load_society("DEU")
    Traceback (most recent call last):
    hofsteer.errors.TargetError: GLOBE has no sample of DEU as a whole, but of its parts: DEU-EAST, DEU-WEST
    """
    place, at, source = name.partition("@")
    if at and look_up_key(source) != look_up_key(SOURCE):
        raise TargetError(f"want {place}@{SOURCE}, got {source!r}")
    code = _codes_by_key().get(look_up_key(place)) or _country_code(place)
    if code is not None and code in _rows():
        return _rows()[code]
    if parts := [part for part in _rows() if part.startswith(f"{code}-")]:
        raise TargetError(f"GLOBE has no sample of {place} as a whole, but of its parts: {', '.join(parts)}")
    valid = [one for part, row in _rows().items() for one in (part, row.name)]
    hint = did_you_mean(place, valid) if code is None else ""
    raise TargetError(f"{place} is not testable on the GLOBE scales, which have no sample of it{hint}")


def _country_code(place: str) -> str | None:
    """Return the code that a place has in the other tables; None if it is in neither."""
    try:
        return load_target(place).code
    except TargetError:
        pass
    try:
        return find_coordinates(place)
    except TargetError:
        return None


def all_societies() -> tuple[Target, ...]:
    """Return every society's row, by code."""
    return tuple(_rows().values())


@cache
def _codes_by_key() -> Mapping[str, str]:
    found: dict[str, str] = {}
    for code, row in _rows().items():
        names = names_of(code, row.name) if code in name_records() else (code, row.name)
        found |= dict.fromkeys(map(look_up_key, names), code)
    return found


@cache
def _rows() -> Mapping[str, Target]:
    rows = {}
    for record in read_lines("globe.csv"):
        code, name = record["code"], record["name"]
        scores = {scale: float(record[scale]) for scale in SCALES}
        records = name_records()
        rows[code] = Target(
            code=f"{code}@{SOURCE}",
            name=name,
            in_sentence=(records[code]["in_sentence"] if code in records else "") or name,
            kind="region" if "-" in code else "country",
            scores=scores,
            sources=dict.fromkeys(scores, SOURCE),
            estimated=frozenset(),
            dimensions=SCALES,
        )
    return dict(sorted(rows.items()))
