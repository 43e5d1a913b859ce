"""Sheets on which people who do not know the key say what each forced choice measures, and how far they agree.

A sheet is a CSV file: lines that begin with `#` tell what to do, a row holds a situation and its two actions. A rater
names the dimension that the choice turns on, and the action of somebody at its high pole. Which action is which is read
from the texts in the sheet, so it may be sorted, and may have any of the three usual separators when it comes back.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from hofsteer.errors import InstrumentError, did_you_mean
from hofsteer.instruments.answers import DELIMITERS
from hofsteer.instruments.base import Instrument, Item
from hofsteer.instruments.kappa import cohen_kappa, fleiss_kappa

COLUMNS = ("item", "situation", "action_a", "action_b", "dimension", "pole")
KEY = "key"  # the instrument itself, as one more rater
NO_DIMENSION = "none"  # what a rater writes where no dimension fits
SEED = 36


@dataclass(frozen=True)
class Rating:
    """What a rater, or the key, says of one item."""

    dimension: str  # id, or `none`
    high: int | None  # index of the option that stands for the high pole; None if left blank


@dataclass(frozen=True)
class RatedSheet:
    """One filled-in sheet."""

    rater: str
    ratings: Mapping[str, Rating]  # by item id; without the items that were left blank
    missing: tuple[str, ...]  # items without a dimension
    without_pole: tuple[str, ...]  # items with a dimension of the instrument but without a pole


@dataclass(frozen=True)
class DimensionAgreement:
    """How far two raters agree on one dimension."""

    kappa: float  # this dimension against all else, Cohen; NaN if undefined
    items: int  # that both gave to it
    poles: int  # of those, with a pole from both
    same_pole: int


@dataclass(frozen=True)
class Comparison:
    """Two raters, or a rater and the key, over the items that both rated."""

    first: str
    second: str
    items: int
    same_dimension: int
    kappa: float  # of dimensions, Cohen; NaN if undefined
    poles: int  # items where both named the same dimension and a pole
    same_pole: int
    pole_kappa: float  # over those, Cohen; NaN if undefined
    dimensions: Mapping[str, DimensionAgreement]  # by id; a handful of items each, so poles are counted only


@dataclass(frozen=True)
class GroupAgreement:
    """Three or more raters over the items that all of them rated."""

    items: int
    kappa: float  # of dimensions, Fleiss; NaN if undefined
    dimensions: Mapping[str, float]  # by id: this dimension against all else


@dataclass(frozen=True)
class Agreement:
    """How far raters agree with the key of an instrument and among themselves."""

    instrument: str
    sheets: tuple[RatedSheet, ...]
    with_key: tuple[Comparison, ...]  # the key against each rater
    between: tuple[Comparison, ...]  # each pair of raters
    group: GroupAgreement | None  # None below three raters


def rater_sheet(instrument: Instrument) -> str:
    """Return an empty rater sheet (CSV) without the key: items and actions in an order of their own, always the same.

    Raises:
        InstrumentError: an item of the instrument is not a choice between two actions for one dimension.

    >>> from hofsteer.instruments import load_instrument
    >>> rows = [line for line in rater_sheet(load_instrument("vignettes")).splitlines() if "#" not in line]
    >>> len(rows), rows[0]
    (37, 'item,situation,action_a,action_b,dimension,pole')
    """
    key = _key(instrument)
    rng = np.random.default_rng([SEED])
    order = rng.permutation(len(instrument.items)).tolist()
    high_first = (rng.permutation(len(instrument.items)) % 2).tolist()  # in half of the items
    names = ", ".join(f"{d.id} ({d.name})" for d in instrument.dimensions)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(
        [line]
        for line in (
            f"# Rater sheet, instrument {instrument.id}. {instrument.source}",
            "# Please work alone, and fill in the last two columns only. Blank cells count as missing.",
            f"# dimension: what the choice between the two actions turns on most: {names}. "
            f"Write {NO_DIMENSION} if none of them fits.",
            "# pole: a or b, whichever action is the likelier one where that dimension is HIGH.",
            "# Neither action is meant to be the better one. Save as CSV in UTF-8.",
        )
    )
    writer.writerow(COLUMNS)
    for i in order:
        item = instrument.items[i]
        _, high = key[item.id]
        a = high if high_first[i] else 1 - high
        writer.writerow([item.id, item.wordings[0], item.options[a].text, item.options[1 - a].text, "", ""])
    return text.getvalue()


def agreement(paths: Sequence[Path], instrument: Instrument) -> Agreement:
    """Return how far filled-in sheets agree with the key of the instrument, and with each other.

    Items that a rater left blank are left out of that rater's comparisons, and listed.

    Raises:
        InstrumentError: a sheet cannot be read, is one of another instrument or is empty; one line with row and column.
    """
    if not paths:
        raise InstrumentError("want one rater sheet or more, got none")
    stems = [path.stem for path in paths]
    unique = len({*stems, KEY}) == len(stems) + 1  # a file may be called key.csv
    names = stems if unique else [str(path) for path in paths]
    if len({path.resolve() for path in paths}) < len(paths):
        raise InstrumentError("want each rater sheet once, got the same file twice")
    key = RatedSheet(KEY, {i: Rating(d, high) for i, (d, high) in _key(instrument).items()}, (), ())
    sheets = tuple(read_rater_sheet(path, instrument, name) for path, name in zip(paths, names, strict=True))
    return Agreement(
        instrument.id,
        sheets,
        with_key=tuple(_compare(key, sheet, instrument) for sheet in sheets),
        between=tuple(_compare(a, b, instrument) for a, b in combinations(sheets, 2)),
        group=_group(sheets, instrument) if len(sheets) > 2 else None,
    )


def read_rater_sheet(path: Path, instrument: Instrument, rater: str | None = None) -> RatedSheet:
    """Return what one rater filled in; the rater's name is that of the file unless given.

    Raises:
        InstrumentError: as in `agreement`.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InstrumentError(f"cannot read a rater sheet from {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InstrumentError(f"{path.name}: want text in UTF-8, got bytes that are not") from None
    _refuse_other_instrument(text, instrument, path.name)
    items = {item.id.lower(): item for item in instrument.items}
    seen: set[str] = set()
    ratings: dict[str, Rating] = {}
    for place, cells in _rows(text, path.name):
        name = cells["item"].lower()
        if name not in items:
            raise InstrumentError(
                f"{place}: {instrument.id} has no item {cells['item']!r}{did_you_mean(name, instrument.item_ids)} "
                "(is it a sheet of this instrument?)"
            )
        if name in seen:
            raise InstrumentError(f"{place}: want each item once, got {items[name].id} twice")
        seen.add(name)
        if rating := _rating(cells, items[name], instrument, place):
            ratings[items[name].id] = rating
    if not ratings:
        raise InstrumentError(f"{path.name}: want ratings in the columns dimension and pole, got an empty sheet")
    return RatedSheet(
        path.stem if rater is None else rater,
        ratings,
        missing=tuple(i for i in instrument.item_ids if i not in ratings),
        without_pole=tuple(
            i
            for i in instrument.item_ids
            if i in ratings and ratings[i].high is None and ratings[i].dimension != NO_DIMENSION
        ),
    )


def _key(instrument: Instrument) -> dict[str, tuple[str, int]]:
    """Return the dimension of each item, and the index of its option for the high pole."""
    key = {}
    for item in instrument.items:
        entered = [(d.id, weight) for d in instrument.dimensions for i, weight in d.weights if i == item.id and weight]
        if len(item.options) != 2 or len(entered) != 1:
            raise InstrumentError(
                f"{instrument.id} has no rater sheet: want items with two options and one dimension, "
                f"got {item.id} with {len(item.options)} options in {len(entered)} dimensions"
            )
        [(dimension, weight)] = entered
        values = [weight * option.value for option in item.options]
        key[item.id] = (dimension, values.index(max(values)))
    return key


def _refuse_other_instrument(text: str, instrument: Instrument, name: str) -> None:
    made_for = re.match(r'"?# Rater sheet, instrument (\S+?)\.?\s', text)
    if made_for and made_for[1] != instrument.id:
        raise InstrumentError(f"{name}: want a rater sheet of {instrument.id}, got one of {made_for[1]}")


def _rows(text: str, name: str) -> list[tuple[str, dict[str, str]]]:
    """Return (file and row for an error, cells by column) of each row that is not blank."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if line.strip(' ",;\t') and not line.startswith(("#", '"#'))), None)
    if start is None:
        raise InstrumentError(f"{name} is empty, want a rater sheet with the columns {', '.join(COLUMNS)}")
    headers = {d: [cell.strip().lower() for cell in lines[start].replace('"', "").split(d)] for d in DELIMITERS}
    delimiter = max(DELIMITERS, key=lambda d: len({*headers[d]} & {*COLUMNS}))
    header = headers[delimiter]
    for column in COLUMNS:
        if header.count(column) != 1:
            hint = did_you_mean(column, header) if column not in header else ""
            raise InstrumentError(f"{name}: want one column {column}, got {header.count(column)}{hint}")
    rows = []
    try:
        for i, cells in enumerate(csv.reader(lines[start + 1 :], delimiter=delimiter, strict=True), start + 2):
            if not any(cell.strip() for cell in cells) or cells[0].startswith("#"):
                continue
            place = f"{name} row {i}"
            if any(cell.strip() for cell in cells[len(header) :]):
                raise InstrumentError(f"{place}: want {len(header)} cells as in the header, got {len(cells)}")
            padded = cells + [""] * (len(header) - len(cells))
            rows.append((place, {c: " ".join(padded[header.index(c)].split()) for c in COLUMNS}))
    except csv.Error as error:
        raise InstrumentError(f"{name}: want rows of a CSV file, got an error: {error}") from None
    return rows


def _rating(cells: Mapping[str, str], item: Item, instrument: Instrument, place: str) -> Rating | None:
    """Return the rating in a row, None if the rater gave no dimension."""
    texts = [option.text for option in item.options]
    shown = [cells["action_a"], cells["action_b"]]
    if sorted(shown) != sorted(texts):
        raise InstrumentError(
            f"{place}: want the two actions of {item.id} as {instrument.id} has them, got other texts; "
            "was the sheet changed, or made by another version?"
        )
    pole = cells["pole"].lower()
    if pole not in ("", "a", "b"):
        raise InstrumentError(f"{place}, column pole: want a or b, or a blank cell, got {cells['pole']!r}")
    names = {d.name.lower(): d.id for d in instrument.dimensions} | {d.id.lower(): d.id for d in instrument.dimensions}
    names[NO_DIMENSION] = NO_DIMENSION
    given = cells["dimension"].lower()
    if given and given not in names:
        raise InstrumentError(
            f"{place}, column dimension: unknown dimension {cells['dimension']!r}"
            f"{did_you_mean(given, [*instrument.dimension_ids, *(d.name for d in instrument.dimensions)])} "
            f"(there are {', '.join(instrument.dimension_ids)} and {NO_DIMENSION})"
        )
    if not given:
        return None
    dimension = names[given]
    has_pole = pole and dimension != NO_DIMENSION
    return Rating(dimension, texts.index(shown["ab".index(pole)]) if has_pole else None)


def _compare(first: RatedSheet, second: RatedSheet, instrument: Instrument) -> Comparison:
    shared = [i for i in instrument.item_ids if i in first.ratings and i in second.ratings]
    pairs = [(first.ratings[i], second.ratings[i]) for i in shared]
    poles = {d: _poles(pairs, d) for d in instrument.dimension_ids}
    all_poles = [pole for found in poles.values() for pole in found]
    dimensions = {
        d: DimensionAgreement(
            cohen_kappa([a.dimension == d for a, _ in pairs], [b.dimension == d for _, b in pairs]),
            items=sum(a.dimension == b.dimension == d for a, b in pairs),
            poles=len(poles[d]),
            same_pole=sum(a == b for a, b in poles[d]),
        )
        for d in instrument.dimension_ids
    }
    return Comparison(
        first.rater,
        second.rater,
        items=len(shared),
        same_dimension=sum(a.dimension == b.dimension for a, b in pairs),
        kappa=cohen_kappa([a.dimension for a, _ in pairs], [b.dimension for _, b in pairs]),
        poles=len(all_poles),
        same_pole=sum(a == b for a, b in all_poles),
        pole_kappa=cohen_kappa([a for a, _ in all_poles], [b for _, b in all_poles]),
        dimensions=dimensions,
    )


def _poles(pairs: Sequence[tuple[Rating, Rating]], dimension: str) -> list[tuple[int, int]]:
    """Return both high-pole options of the items that both raters gave to a dimension and both a pole."""
    return [
        (a.high, b.high)
        for a, b in pairs
        if a.dimension == b.dimension == dimension and a.high is not None and b.high is not None
    ]


def _group(sheets: Sequence[RatedSheet], instrument: Instrument) -> GroupAgreement:
    shared = [i for i in instrument.item_ids if all(i in sheet.ratings for sheet in sheets)]
    categories = [*instrument.dimension_ids, NO_DIMENSION]
    given = [[sheet.ratings[i].dimension for sheet in sheets] for i in shared]
    counts = np.array([[row.count(c) for c in categories] for row in given], dtype=float).reshape(-1, len(categories))
    return GroupAgreement(
        len(shared),
        fleiss_kappa(counts),
        {
            d: fleiss_kappa(np.stack([counts[:, k], len(sheets) - counts[:, k]], axis=1))
            for k, d in enumerate(instrument.dimension_ids)
        },
    )
