"""Microdata: one row a respondent, one column a variable, with the labels and missing codes that a file carries."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hofsteer.errors import InstrumentError, did_you_mean
from hofsteer.instruments.base import Floats

Codes = NDArray[np.intp]
SHOWN = 60  # characters of a cell that an error repeats


@dataclass(frozen=True, eq=False)
class Column:
    """One variable: numbers, or texts where some cell is no number."""

    name: str
    numbers: Floats | None  # (n,), NaN = missing; None if the column holds texts
    texts: tuple[str, ...] = ()  # the distinct texts, sorted
    codes: Codes | None = None  # (n,), index into `texts`, -1 = blank; None if the column holds numbers
    label: str = ""  # what the file says that the variable is, often the question; empty if it does not say
    value_labels: Mapping[float, str] = field(default_factory=dict)  # of the values that are not missing
    coded_missing: int = 0  # cells that held a missing code


@dataclass(frozen=True, eq=False)
class Microdata:
    """What a file of respondents holds."""

    name: str  # of the file
    n: int  # rows
    columns: Mapping[str, Column]  # in the order of the file
    first_row: int = 1  # number of the first respondent's row as a spreadsheet shows it: 2 below a header

    def column(self, name: str) -> Column:
        """Return the column of this name; a name in another case will do if it is no other column's.

        Raises:
            InstrumentError: there is none.
        """
        if name in self.columns:
            return self.columns[name]
        same = [column for column in self.columns if column.lower() == name.lower()]
        if len(same) == 1:
            return self.columns[same[0]]
        raise InstrumentError(
            f"{self.name}: want column {name!r}, which it lacks{did_you_mean(name, self.columns)} "
            f"(it has {shorten(', '.join(self.columns))})"
        )

    def numbers(self, name: str) -> Floats:
        """Return a column (n,) of numbers; NaN = missing.

        Raises:
            InstrumentError: no such column, or a cell of it is no number; the row is named.
        """
        column = self.column(name)
        if column.numbers is not None:
            return column.numbers
        assert column.codes is not None
        bad = [not _is_number(text) for text in column.texts]
        row = int(np.flatnonzero(np.append(bad, False)[column.codes])[0])
        text = column.texts[column.codes[row]]
        hint = f"; write a decimal point: {text.replace(',', '.')}" if re.fullmatch(r"[+-]?\d*,\d+", text) else ""
        raise InstrumentError(
            f"{self.name} row {row + self.first_row}, column {column.name}: want a number or a blank cell, "
            f"got {shorten(text)!r}{hint}"
        )

    def answers(self, items: Sequence[str]) -> Floats:
        """Return the columns of these names as numbers, (n, I); NaN = missing."""
        return np.stack([self.numbers(item) for item in items], axis=1)

    def groups(self, name: str) -> tuple[tuple[str, ...], Codes]:
        """Return the names of a column's groups, and the index (n,) of each row's group; -1 = no group.

        Texts and value labels are names as they stand; a number without a label is written out.

        >>> country = Column("country", None, ("DE", "NA"), np.array([1, 0, -1]))
        >>> Microdata("wave.csv", 3, {"country": country}).groups("country")
        (('DE', 'NA'), array([ 1,  0, -1]))
        """
        column = self.column(name)
        if column.numbers is None:
            assert column.codes is not None
            return column.texts, column.codes
        there = ~np.isnan(column.numbers)
        values, inverse = np.unique(column.numbers[there], return_inverse=True)
        codes = np.full(self.n, -1, dtype=np.intp)
        codes[there] = inverse
        labels = [column.value_labels.get(float(value), f"{value:.15g}") for value in values]
        if len(set(labels)) < len(labels):  # two values under one label: keep them apart
            labels = [
                f"{label} ({value:.15g})" if labels.count(label) > 1 else label
                for label, value in zip(labels, values, strict=True)
            ]
        return tuple(labels), codes


def number_column(
    name: str,
    values: Floats,
    label: str = "",
    value_labels: Mapping[float, str] | None = None,
    missing: Sequence[float] = (),
    ranges: Iterable[tuple[float, float]] = (),
) -> Column:
    """Return a column of numbers whose missing codes are NaN, and whose value labels are those of answers.

    Args:
        name: of the column.
        values: (n,), as the file has them; not changed.
        label: of the variable.
        value_labels: those of missing codes are left out.
        missing: codes that stand for no answer.
        ranges: lowest and highest of codes that do, both included.
    """
    spans = [*((code, code) for code in missing), *ranges]
    coded = np.zeros(values.shape, dtype=bool)
    for lowest, highest in spans:
        coded |= (values >= lowest) & (values <= highest)
    numbers = np.where(coded, np.nan, values) if coded.any() else values
    numbers.setflags(write=False)
    labels = {
        value: text
        for value, text in sorted((value_labels or {}).items())
        if not any(lowest <= value <= highest for lowest, highest in spans)
    }
    return Column(name, numbers, label=label, value_labels=labels, coded_missing=int(coded.sum()))


def shorten(text: str) -> str:
    """Return at most the first `SHOWN` characters of a text, with dots where there are more."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
