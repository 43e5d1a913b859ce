"""Samples: who is asked, as cells of a grid such as gender x age x education x job, each with its weight.

A model that answers once is one voice. Asked as every respondent of a sample, by a system text that describes each, it
has means and a spread, like a survey of people.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Annotated

import numpy as np
from pydantic import Field, ValidationError

from hofsteer.errors import ConfigError, InstrumentError, did_you_mean
from hofsteer.instruments.administration import Administration
from hofsteer.instruments.base import Floats
from hofsteer.instruments.format import Table, Text, first_problem
from hofsteer.tables import read_toml

FORMAT = 1
DATA = Path(str(files("hofsteer.instruments"))) / "samples"
DEFAULT = "grid-24"
FEWEST = 20  # cells; below that the spread of a sample is that of a few texts


@dataclass(frozen=True)
class Cell:
    """One kind of respondent."""

    levels: tuple[tuple[str, str], ...]  # (factor, level), such as ("age", "45")
    text: str  # the system text
    weight: float  # positive; how many people it stands for


@dataclass(frozen=True)
class Sample:
    """Respondents and their weights."""

    id: str
    title: str
    cells: tuple[Cell, ...]

    @property
    def shares(self) -> Floats:
        """Weights of the cells (N,), sum 1."""
        weights = np.array([cell.weight for cell in self.cells])
        return np.asarray(weights / weights.sum())

    @property
    def effective_cells(self) -> float:
        """Kish's effective number of cells: 1 / sum of squared shares."""
        return float(1 / (self.shares**2).sum())

    def administrations(self, form: Administration) -> tuple[Administration, ...]:
        """Return a form as each cell is asked it; a system text of the form itself, such as a persona, comes first."""
        before = [] if form.system is None else [form.system]
        return tuple(replace(form, system=" ".join([*before, cell.text])) for cell in self.cells)


class _Cells(Table):
    cells: Annotated[list[dict[str, str | float | int]], Field(min_length=1)]


class SampleFile(Table):
    """A sample file: texts of the levels of each factor, and the cells with their weights."""

    format: int
    id: Text
    title: Text
    text: Text  # of a cell, with {factor} where the text of its level goes
    levels: Annotated[dict[str, dict[str, Text]], Field(min_length=1)]
    sample: _Cells


def load_sample(name: str | Path = DEFAULT) -> Sample:
    """Return a bundled sample by id, or the one in a TOML file by its path.

    Raises:
        InstrumentError: nothing has that name, or the file is not a valid sample.

    >>> sample = load_sample("grid-24")
    >>> len(sample.cells), sample.cells[0].text
    (24, 'You are a 25-year-old woman. You left school at sixteen. You have always worked with your hands.')
    """
    return _build(sample_file(name))


def sample_file(name: str | Path = DEFAULT) -> Path:
    """Return the file of a sample; see `load_sample`."""
    text = str(name)
    if isinstance(name, Path) or text.endswith(".toml") or "/" in text:
        if not Path(name).is_file():
            raise InstrumentError(f"no sample file at {text}")
        return Path(name)
    names = sample_names()
    if text.lower() not in names:
        raise InstrumentError(
            f"want a TOML file or a bundled sample ({', '.join(names)}), got {text!r}{did_you_mean(text, names)}"
        )
    return DATA / f"{text.lower()}.toml"


def sample_names() -> tuple[str, ...]:
    """Return the names of the bundled samples."""
    return tuple(sorted(path.stem for path in DATA.glob("*.toml")))


def _build(path: Path) -> Sample:
    try:
        table = read_toml(path)
    except ConfigError as error:
        raise InstrumentError(str(error)) from None
    if table.get("format", FORMAT) != FORMAT:
        raise InstrumentError(f"{path.name}: want format {FORMAT}, got {table['format']!r}")
    try:
        file = SampleFile.model_validate(table)
    except ValidationError as error:
        raise InstrumentError(f"{path.name}: {first_problem(error, SampleFile)}") from None
    try:
        named = {field for _, field, _, _ in Formatter().parse(file.text) if field is not None}
    except ValueError as error:
        raise InstrumentError(f"{path.name}: text: {error}, got {file.text!r}") from None
    for factor in (*named, *file.levels):
        if factor not in file.levels or factor not in named:
            where = "levels, but not in text" if factor in file.levels else "text, but not in levels"
            raise InstrumentError(f"{path.name}: factor {factor!r} is named in {where}")
    cells = tuple(_cell(number, row, file, path) for number, row in enumerate(file.sample.cells, start=1))
    if len(cells) < FEWEST:
        raise InstrumentError(f"{path.name}: want at least {FEWEST} cells, got {len(cells)}")
    _refuse_twins(cells, path)
    return Sample(file.id, file.title, cells)


def _cell(number: int, row: dict[str, str | float | int], file: SampleFile, path: Path) -> Cell:
    place = f"{path.name}: cell {number}"
    for key in row:
        if key not in (*file.levels, "weight"):
            raise InstrumentError(f"{place} has an unknown key {key!r}{did_you_mean(key, [*file.levels, 'weight'])}")
    chosen = {}
    for factor, levels in file.levels.items():
        level = str(row.get(factor, ""))
        if level not in levels:
            raise InstrumentError(
                f"{place} wants {factor} {', '.join(levels)}, got {level!r}{did_you_mean(level, levels)}"
            )
        chosen[factor] = level
    weight = row.get("weight")
    if isinstance(weight, str) or weight is None or not 0 < weight < float("inf"):
        raise InstrumentError(f"{place} wants a positive weight, got {weight!r}")
    text = file.text.format(**{factor: file.levels[factor][level] for factor, level in chosen.items()})
    return Cell(tuple(chosen.items()), text, float(weight))


def _refuse_twins(cells: Sequence[Cell], path: Path) -> None:
    seen: dict[str, int] = {}
    for number, cell in enumerate(cells, start=1):
        if cell.text in seen:
            raise InstrumentError(f"{path.name}: cells {seen[cell.text]} and {number} are the same respondent")
        seen[cell.text] = number
