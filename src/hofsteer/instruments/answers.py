"""Tables of answers: a CSV file with one column per item becomes item means, and scores, for each group.

Columns carry the ids of the items, in any case; a column `group` splits the rows; other columns are not read. A blank
cell is a missing answer. The file is UTF-8 and separated by commas, semicolons or tabs; decimals have a point.
"""

import csv
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from hofsteer.errors import InstrumentError, did_you_mean
from hofsteer.instruments.base import Floats, Instrument

GROUP = "group"  # the column that splits the rows
EVERYONE = "all"  # the one group of a file without that column
DELIMITERS = (",", ";", "\t")
SHOWN = 60  # characters of a cell or header that an error repeats


@dataclass(frozen=True, eq=False)
class GroupAnswers:
    """The answers of one group: the mean over its rows, item by item, of those that are there."""

    name: str
    n: int  # rows, one without any answer included
    item_means: Floats  # (I,), in option values; NaN = no answer in any row


@dataclass(frozen=True, eq=False)
class AnswerTable:
    """What a file of answers holds."""

    groups: tuple[GroupAnswers, ...]  # in the order of their first rows
    ignored: tuple[str, ...]  # columns that were not read, in the order of the file
    fractions: bool = False  # some answers are no option's value, as where rows are item means


@dataclass(frozen=True, eq=False)
class GroupScores:
    """The dimension scores of one group."""

    name: str
    n: int  # rows
    scores: Floats  # (M,), in points; NaN = an item of the dimension is missing
    missing: tuple[str, ...]  # items without an answer in any row


def read_answers(path: Path, instrument: Instrument) -> AnswerTable:
    r"""Return the item means of each group in a CSV file; a file without the column `group` is one group, `all`.

    A row stands for one respondent, or for a sample by its item means: an answer may lie anywhere from the lowest to
    the highest value of the item's options. An item without a column is missing for all, a cell that a short row lacks
    is blank, and a row that is blank throughout is skipped. The file is read in one pass, so a pipe will do.

    Raises:
        InstrumentError: the file cannot be read or is not such a table; one line with row, column and what was wanted.

    >>> from hofsteer.instruments import load_instrument
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "answers.csv"
    ...     _ = path.write_text("group,Q1,Q2,age\nA,1,2,30\nA,2,,41\nB,5,4,\n")
    ...     table = read_answers(path, load_instrument("vsm13"))
    >>> [(group.name, group.n, group.item_means[:3].tolist()) for group in table.groups]
    [('A', 2, [1.5, 2.0, nan]), ('B', 1, [5.0, 4.0, nan])]
    >>> table.ignored
    ('age',)
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read(file, path.name, instrument)
    except OSError as error:
        raise InstrumentError(f"cannot read answers from {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InstrumentError(f"{path.name}: want text in UTF-8, got bytes that are not") from None


def score_table(table: AnswerTable, instrument: Instrument, constants: Floats) -> tuple[GroupScores, ...]:
    """Return the scores of each group, with `constants` (M,) added, and the items that it has no answer to.

    >>> from hofsteer.instruments import load_instrument
    >>> everyone_neutral = AnswerTable((GroupAnswers("all", 20, np.full(24, 3.0)),), ignored=())
    >>> score_table(everyone_neutral, load_instrument("vsm13"), constants=np.full(6, 50.0))[0].scores
    array([50., 50., 50., 50., 50., 50.])
    """
    return tuple(
        GroupScores(
            group.name,
            group.n,
            instrument.score_means(group.item_means) + constants,
            tuple(np.array(instrument.item_ids)[np.isnan(group.item_means)].tolist()),
        )
        for group in table.groups
    )


@dataclass(frozen=True)
class _ItemColumn:
    column: int  # in the file
    index: int  # on the I axis
    item_id: str
    lowest: float
    highest: float


@dataclass(frozen=True)
class _Header:
    width: int
    items: tuple[_ItemColumn, ...]
    group: int | None  # the column of group names
    ignored: tuple[str, ...]


@dataclass
class _Tally:
    """Running totals of a group, (I,) each; lists, since single numbers are added to them."""

    sums: list[float]
    counts: list[int]
    rows: int = 0

    def means(self) -> Floats:
        return np.array([s / n if n else math.nan for s, n in zip(self.sums, self.counts, strict=True)])


def _read(lines: Iterable[str], name: str, instrument: Instrument) -> AnswerTable:
    numbered = enumerate(lines, start=1)
    row, first = next(((i, line) for i, line in numbered if line.strip()), (0, ""))
    if not first:
        raise InstrumentError(f"{name} is empty, want a header with the items of {instrument.id} and rows of answers")
    delimiter = max(DELIMITERS, key=lambda d: _count_matches(first, d, instrument))
    records = _records(chain([first], (line for _, line in numbered)), delimiter, row, name)
    header = _read_header(next(records)[1], name, instrument)
    tallies: dict[str, _Tally] = {}
    fractions = False
    for row, cells in records:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > header.width:
            hint = "; decimals want a point, texts with a comma want quotes" if delimiter == "," else ""
            raise InstrumentError(
                f"{name} row {row}: want {header.width} cells as in the header, got {len(cells)}{hint}"
            )
        cells += [""] * (header.width - len(cells))
        group = EVERYONE if header.group is None else cells[header.group].strip()
        if not group:
            raise InstrumentError(f"{name} row {row}, column {GROUP}: want the name of a group, got a blank cell")
        if group not in tallies:
            tallies[group] = _Tally([0.0] * len(instrument.items), [0] * len(instrument.items))
        tally = tallies[group]
        tally.rows += 1
        for item in header.items:
            if text := cells[item.column].strip():
                number = _number(text)
                if not item.lowest <= number <= item.highest:  # nor is a NaN
                    raise InstrumentError(f"{name} row {row}, column {item.item_id}: {_want_number(item, text)}")
                fractions |= not number.is_integer()
                tally.sums[item.index] += number
                tally.counts[item.index] += 1
    if not tallies:
        raise InstrumentError(f"{name}: want rows of answers below the header, got none")
    groups = (GroupAnswers(group, tally.rows, tally.means()) for group, tally in tallies.items())
    return AnswerTable(tuple(groups), header.ignored, fractions)


def _records(lines: Iterable[str], delimiter: str, first: int, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (row number as a spreadsheet shows it, cells): a quoted line break does not count, a blank line does."""
    row = first - 1
    try:
        for cells in csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True):
            row += 1
            yield row, cells
    except csv.Error as error:
        raise InstrumentError(f"{name} row {row + 1}: want a row of a CSV file, got an error: {error}") from None


def _count_matches(line: str, delimiter: str, instrument: Instrument) -> tuple[int, int]:
    """Return how many cells of a header line we know, and how many there are, if `delimiter` separates them."""
    try:
        cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
    except csv.Error:  # said with its row once the rows are read
        return 0, 0
    known = _known_columns(instrument)
    return sum(_key(cell) in known for cell in cells), len(cells)


def _known_columns(instrument: Instrument) -> dict[str, str]:
    """Return lower-case name -> name of each column that is read."""
    return {_key(item_id): item_id for item_id in instrument.item_ids} | {GROUP: GROUP}


def _key(name: str) -> str:
    return name.strip().lower()


def _read_header(cells: list[str], name: str, instrument: Instrument) -> _Header:
    known = _known_columns(instrument)
    found: dict[str, int] = {}
    ignored = []
    for column, cell in enumerate(cells):
        if _key(cell) not in known:
            ignored.append(cell.strip() or f"column {column + 1}")
            continue
        column_name = known[_key(cell)]
        if column_name in found:
            raise InstrumentError(
                f"{name}: want one column {column_name}, got two, columns {found[column_name] + 1} and {column + 1}"
            )
        found[column_name] = column
    values = instrument.option_values
    lowest, highest = np.nanmin(values, axis=1).tolist(), np.nanmax(values, axis=1).tolist()
    items = tuple(
        _ItemColumn(found[item_id], index, item_id, lowest[index], highest[index])
        for index, item_id in enumerate(instrument.item_ids)
        if item_id in found
    )
    if not items:
        ids = instrument.item_ids
        hints = (did_you_mean(column_name, ids) for column_name in ignored)
        raise InstrumentError(
            f"{name}: want a header with items of {instrument.id}, {ids[0]} to {ids[-1]}, "
            f"got {_shorten(', '.join(cells))}{next(filter(None, hints), '')}"
        )
    return _Header(len(cells), items, found.get(GROUP), tuple(ignored))


def _number(text: str) -> float:
    """Return the number that `text` is, NaN if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan  # refused at once, like one that is spelled out


def _want_number(item: _ItemColumn, text: str) -> str:
    wanted = f"want a number from {item.lowest:g} to {item.highest:g}, or a blank cell, got {_shorten(text)}"
    if re.fullmatch(r"[+-]?\d*,\d+", text):
        return f"{wanted} with a decimal comma; write {text.replace(',', '.')}"
    return wanted


def _shorten(text: str) -> str:
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
