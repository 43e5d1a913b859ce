"""Readers of microdata: CSV, Parquet, SPSS (`.sav`, `.zsav`) and Stata (`.dta`) become `Microdata`.

They need `pyarrow` and `pyreadstat`, which `pip install 'hofsteer[fit]'` brings. A blank cell is missing; so are, in a
column of numbers, `NA` and `NaN`, SPSS's declared missing values and ranges, Stata's `.` and `.a` to `.z`, and the
codes that the caller names.
"""

import codecs
import csv
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from hofsteer.errors import InstrumentError, did_you_mean
from hofsteer.instruments.base import Floats
from hofsteer.instruments.microdata import Column, Microdata, number_column

BLANK = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", ".")  # in a column of numbers
DELIMITERS = (",", ";", "\t", "|")
ROWS_AT_ONCE = 100_000  # of a statistics file, whose cells are Python objects until they are numbers


def read_microdata(
    path: Path, columns: Sequence[str] | None = None, missing: Sequence[float] = (), encoding: str | None = None
) -> Microdata:
    r"""Return the respondents in a file, one a row.

    Args:
        path: the suffix says what it is: .csv, .tsv or .txt, .parquet, .sav or .zsav, .dta.
        columns: those to read, in this order; by default all. Names in another case will do.
        missing: codes that stand for no answer in any column of numbers, beside those that the file declares.
        encoding: of the texts, such as `cp1252`; by default UTF-8, and in statistics files what they say.

    Raises:
        InstrumentError: the file cannot be read, or lacks a column; one line.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "wave.csv"
    ...     _ = path.write_text("country,q1,q2\nDE,1,5\nNA,9,\n")
    ...     wave = read_microdata(path, missing=[9])
    >>> wave.answers(["q1", "q2"]).tolist(), wave.column("q1").coded_missing, wave.groups("country")[0]
    ([[1.0, 5.0], [nan, nan]], 1, ('DE', 'NA'))
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InstrumentError(
            f"want a file of microdata ({', '.join(_READERS)}), got {path.name}{did_you_mean(path.suffix, _READERS)}"
        )
    if not path.is_file():
        raise InstrumentError(f"no file of microdata at {path}")
    if encoding is not None:
        try:
            codecs.lookup(encoding)
        except LookupError:
            raise InstrumentError(f"unknown encoding {encoding!r}, want one such as utf-8, cp1252 or latin-1") from None
    try:
        data = reader(path, columns, missing, encoding)
    except OSError as error:
        raise InstrumentError(f"cannot read {path}: {error.strerror or error}") from None
    if data.n == 0:
        raise InstrumentError(f"{path.name}: want rows of respondents below the header, got none")
    return data


def _needed(module: str, path: Path) -> Any:
    """Return an optional library, or say how to get it."""
    try:
        return import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise InstrumentError(f"reading {path.name} needs {package}: pip install 'hofsteer[fit]'") from None


def _wanted(path: Path, there: Sequence[str], columns: Sequence[str] | None) -> list[str]:
    """Return the names of the columns to read as the file writes them."""
    twice = next((name for i, name in enumerate(there) if name in there[:i]), None)
    if twice is not None:
        raise InstrumentError(f"{path.name}: want columns of different names, got {twice!r} twice")
    if columns is None:
        return list(there)
    header = Microdata(path.name, 0, {name: Column(name, None) for name in there})
    return list(dict.fromkeys(header.column(name).name for name in columns))


def _read_csv(path: Path, columns: Sequence[str] | None, missing: Sequence[float], encoding: str | None) -> Microdata:
    arrow, arrow_csv = _needed("pyarrow", path), _needed("pyarrow.csv", path)
    encoding = encoding or "utf-8"
    with path.open("rb") as raw:
        likely = "utf-16" if raw.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "such as cp1252"
    unreadable = InstrumentError(
        f"{path.name}: want text in {encoding}, got bytes that are not; name the encoding with --encoding, {likely}"
    )
    try:
        with path.open(encoding="utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding, newline="") as file:
            first = next(iter(file), "")
    except UnicodeDecodeError:
        raise unreadable from None
    if not first.strip():
        raise InstrumentError(f"{path.name}: want a header with the names of columns, got an empty line")
    delimiter = max(DELIMITERS, key=first.count)
    there = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter))]
    wanted = _wanted(path, there, columns)
    try:
        table = arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(column_names=there, skip_rows=1, encoding=encoding),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(there, arrow.string()), include_columns=wanted, check_utf8=True
            ),
        )
    except (UnicodeDecodeError, arrow.ArrowInvalid) as error:
        said = " ".join(str(error).split())
        if isinstance(error, UnicodeDecodeError) or "UTF8" in said:
            raise unreadable from None
        raise InstrumentError(f"{path.name}: want a CSV file with {len(there)} columns, got: {said[:200]}") from None
    found = {name: _arrow_column(name, table.column(name), missing, path) for name in wanted}
    return Microdata(path.name, table.num_rows, found, first_row=2)


def _read_parquet(
    path: Path, columns: Sequence[str] | None, missing: Sequence[float], encoding: str | None
) -> Microdata:
    arrow, parquet = _needed("pyarrow", path), _needed("pyarrow.parquet", path)
    try:
        there = parquet.read_schema(path).names
        wanted = _wanted(path, there, columns)
        table = parquet.read_table(path, columns=wanted)
    except arrow.ArrowInvalid as error:
        raise InstrumentError(f"{path.name} is not a Parquet file: {' '.join(str(error).split())[:200]}") from None
    found = {name: _arrow_column(name, table.column(name), missing, path) for name in wanted}
    return Microdata(path.name, table.num_rows, found)


def _arrow_column(name: str, column: Any, missing: Sequence[float], path: Path) -> Column:
    """Return an Arrow column as numbers if every cell that is not blank is one, else as texts."""
    arrow, compute = _needed("pyarrow", path), _needed("pyarrow.compute", path)
    if arrow.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if arrow.types.is_decimal(column.type) or arrow.types.is_boolean(column.type):
        column = column.cast(arrow.float64())
    numeric = arrow.types.is_integer(column.type) or arrow.types.is_floating(column.type)
    if not numeric:
        try:
            column = compute.utf8_trim_whitespace(column.cast(arrow.string()))
        except (arrow.ArrowInvalid, arrow.ArrowNotImplementedError):
            raise InstrumentError(
                f"{path.name}, column {name}: want numbers or texts, got {column.type}; name the columns to read"
            ) from None
        blank = compute.is_in(column, value_set=arrow.array(BLANK))
        try:
            cells = compute.if_else(blank, arrow.scalar(None, arrow.string()), column).cast(arrow.float64())
        except arrow.ArrowInvalid:
            return _text_column(name, compute.fill_null(column, "").dictionary_encode())
        if (
            cells.null_count == len(cells)
            and compute.any(compute.is_in(column, value_set=arrow.array(BLANK[1:]))).as_py()
        ):
            return _text_column(name, compute.fill_null(column, "").dictionary_encode())  # "NA" may be a country
        column = cells
    values = np.asarray(column.cast(arrow.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)
    return number_column(name, np.where(np.isfinite(values), values, np.nan), missing=missing)


def _text_column(name: str, encoded: Any) -> Column:
    chunks = encoded.unify_dictionaries().chunks
    texts = [str(text) for text in chunks[0].dictionary.to_pylist()]
    codes = np.concatenate([chunk.indices.to_numpy(zero_copy_only=False) for chunk in chunks])
    order = sorted((text, i) for i, text in enumerate(texts) if text)
    rank = np.full(len(texts), -1, dtype=np.intp)
    for place, (_, i) in enumerate(order):
        rank[i] = place
    return Column(name, None, tuple(text for text, _ in order), rank[codes])


def _read_statistics(
    path: Path, columns: Sequence[str] | None, missing: Sequence[float], encoding: str | None
) -> Microdata:
    """Read an SPSS or Stata file in blocks of rows, so that its cells never all stand in memory as Python objects."""
    pyreadstat = _needed("pyreadstat", path)
    stata = path.suffix.lower() == ".dta"
    read = pyreadstat.read_dta if stata else pyreadstat.read_sav
    given: dict[str, Any] = {"encoding": encoding, "disable_datetime_conversion": True}
    try:
        _, header = read(str(path), metadataonly=True, **given)
        wanted = _wanted(path, header.column_names, columns)
        given |= {"usecols": wanted, "output_format": "dict", "row_limit": ROWS_AT_ONCE}
        if not stata:
            given["user_missing"] = True  # given as they are, with their ranges
        blocks: dict[str, list[Any]] = {name: [] for name in wanted}
        n = 0
        while True:
            cells, meta = read(str(path), row_offset=n, **given)
            rows = len(cells[wanted[0]]) if wanted else 0
            for name in wanted:
                blocks[name].append(_block(cells[name]))
            n += rows
            if rows < ROWS_AT_ONCE:
                break
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, UnicodeError) as error:
        kind = "Stata" if stata else "SPSS"
        raise InstrumentError(f"cannot read {path.name} as a file of {kind}: {' '.join(str(error).split())}") from None
    labels = {name: meta.column_names_to_labels.get(name) or "" for name in wanted}
    ranges = getattr(meta, "missing_ranges", {})
    found = {
        name: _statistics_column(
            name,
            blocks.pop(name),
            labels[name],
            meta.variable_value_labels.get(name, {}),
            ranges.get(name, []),
            missing,
        )
        for name in wanted
    }
    return Microdata(path.name, n, found)


def _block(cells: Any) -> Any:
    """Return cells as numbers (NaN = missing), or as they are if one is no number."""
    if any(isinstance(cell, str) for cell in cells):
        return ["" if cell is None else str(cell).strip() for cell in cells]
    return np.array(cells, dtype=np.float64)


def _statistics_column(
    name: str,
    blocks: list[Any],
    label: str,
    value_labels: Mapping[Any, str],
    ranges: Sequence[Mapping[str, Any]],
    missing: Sequence[float],
) -> Column:
    if all(isinstance(block, np.ndarray) for block in blocks):
        labelled = {float(v): text.strip() for v, text in value_labels.items() if not isinstance(v, str)}
        spans = [(float(r["lo"]), float(r["hi"])) for r in ranges if not isinstance(r["lo"], str)]
        values: Floats = np.concatenate(blocks)
        return number_column(name, values, label.strip(), labelled, missing, spans)
    dropped = {str(r["lo"]).strip() for r in ranges}
    cells = [_as_text(cell) for block in blocks for cell in block]
    coded = sum(cell in dropped for cell in cells if cell)
    names = [str(value_labels.get(cell, cell)) if cell not in dropped else "" for cell in cells]
    texts = sorted(set(names) - {""})
    place = {text: i for i, text in enumerate(texts)} | {"": -1}
    codes = np.array([place[text] for text in names], dtype=np.intp)
    return Column(name, None, tuple(texts), codes, label.strip(), coded_missing=coded)


def _as_text(cell: Any) -> str:
    if isinstance(cell, str):
        return cell
    return "" if np.isnan(cell) else f"{cell:.15g}"


_READERS: Mapping[str, Callable[[Path, Sequence[str] | None, Sequence[float], str | None], Microdata]] = {
    **dict.fromkeys((".csv", ".tsv", ".txt"), _read_csv),
    **dict.fromkeys((".parquet", ".pq"), _read_parquet),
    **dict.fromkeys((".sav", ".zsav", ".dta"), _read_statistics),
}
