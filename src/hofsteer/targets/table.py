"""A user's own targets: a CSV file with one row a group, its scores and what is known of their uncertainty.

Columns: `group`; for each dimension its score and, if known, `DIMENSION_se`, the standard error in the same points;
maybe `name`, `persona` (a sentence that makes one of them, such as "You are a nurse."), `n`, `n_effective`, `source`,
`constants`, the policy under which the scores were made, and `items` with `items_sha256`, the file of the groups' item
distributions beside the table. `hofsteer targets fit` writes such a file.
"""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hofsteer.errors import TargetError, did_you_mean
from hofsteer.instruments import Instrument
from hofsteer.targets.base import Target, load_target
from hofsteer.targets.items import ItemDistributions, read_items
from hofsteer.targets.names import look_up_key

SUFFIX = ".csv"
ERROR = "_se"  # ends the name of a column of standard errors
SHOWN = 12  # columns that an error repeats

Record = Mapping[str, str | None]
Distributions = Mapping[tuple[str, str], Mapping[str, ItemDistributions]]


def is_table(name: str) -> bool:
    """Return whether a target's name is of the form FILE.csv:GROUP.

    >>> is_table("waves/targets.csv:DE"), is_table("SAU@arab-2021-05")
    (True, False)
    """
    return f"{SUFFIX}:" in name.lower() or name.lower().endswith(SUFFIX)


def load_table_target(name: str, instrument: Instrument) -> Target:
    """Return the group of a table that FILE.csv:GROUP names, with the table's other groups beside it.

    Raises:
        TargetError: the file is not such a table, lacks the group, or has no score on the instrument's dimensions.
    """
    at = name.lower().rfind(f"{SUFFIX}:")
    if at < 0:
        raise TargetError(f"want a target as {name}:GROUP, got no group")
    file, group = name[: at + len(SUFFIX)], name[at + len(SUFFIX) + 1 :]
    rows = read_table(Path(file), instrument.dimension_ids)
    groups = [row.code.partition(f"{Path(file).name}:")[2] for row in rows]
    named = list(zip(groups, rows, strict=True))
    found = [row for own, row in named if own == group] or [
        row for own, row in named if look_up_key(group) in (look_up_key(own), look_up_key(row.name))
    ]
    if len(found) != 1:
        raise TargetError(
            f"{Path(file).name}: want one group {group!r}, got {len(found)}{did_you_mean(group, groups)} "
            f"(it has {', '.join(groups[:8])}{', ...' if len(groups) > 8 else ''})"
        )
    return replace(found[0], beside=tuple(row for row in rows if row is not found[0]))


def read_table(path: Path, dimensions: Sequence[str]) -> tuple[Target, ...]:
    """Return the groups of a table of targets, in its order; a blank cell is unknown.

    Raises:
        TargetError: the file is not such a table; one line with the row and what was wanted.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            heads = [head.strip() for head in reader.fieldnames or ()]
            reader.fieldnames = heads
            records: list[tuple[int, Record]] = list(enumerate(reader, start=2))
            _check_heads(path, heads, dimensions, [record.get("group") for _, record in records])
        kept = _distributions(path, records)
        rows = tuple(_row(path, number, record, dimensions, kept) for number, record in records)
    except OSError as error:
        raise TargetError(f"cannot read targets from {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TargetError(f"{path.name}: want text in UTF-8, got bytes that are not") from None
    except csv.Error as error:
        raise TargetError(f"{path.name}: want a CSV file, got an error: {error}") from None
    if len(rows) < 2:
        raise TargetError(
            f"{path.name}: want two groups or more, as a loss is held against the others; got {len(rows)}"
        )
    if len({row.code for row in rows}) < len(rows):
        raise TargetError(f"{path.name}: want each group once, got one twice")
    return rows


def _check_heads(path: Path, heads: Sequence[str], dimensions: Sequence[str], groups: Sequence[str | None]) -> None:
    scored = bool(set(heads) & set(dimensions))
    if "group" not in heads or not scored:
        if scored or not heads:
            hint = ""
        elif "group" in heads and len(set(groups)) == len(groups):
            hint = "; these are scores on another instrument: name it with --instrument"
        else:
            hint = "; these look like respondents: `hofsteer targets fit` makes the table"
        listed = ", ".join(heads[:SHOWN]) + (", ..." if len(heads) > SHOWN else "")
        raise TargetError(
            f"{path.name}: want a table with the column group and scores on {', '.join(dimensions)}, "
            f"got columns {listed or 'none'}{hint}"
        )
    if len(set(heads)) < len(heads):
        raise TargetError(f"{path.name}: want each column once, got one twice")


def _distributions(path: Path, records: Iterable[tuple[int, Record]]) -> Distributions:
    """Return the item distributions of all files that a table names: (file, SHA-256) -> group -> its distributions."""
    found: dict[tuple[str, str], Mapping[str, ItemDistributions]] = {}
    for number, record in records:
        file, sha256 = named = _named(record)
        if bool(file) != bool(sha256) or Path(file).name != file:
            raise TargetError(
                f"{path.name} row {number}: want items as the name of a file beside the table, with its items_sha256, "
                f"got {file!r} and {sha256!r}"
            )
        if file and named not in found:
            found[named] = read_items(path.parent / file, sha256)
    return found


def _named(record: Record) -> tuple[str, str]:
    file, sha256 = ((record.get(column) or "").strip() for column in ("items", "items_sha256"))
    return file, sha256


def _row(path: Path, number: int, record: Record, dimensions: Sequence[str], kept: Distributions) -> Target:
    group = (record["group"] or "").strip()
    if not group:
        raise TargetError(f"{path.name} row {number}: want the name of a group, got a blank cell")

    def cell(column: str, least: float = -math.inf) -> float | None:
        text = (record.get(column) or "").strip()
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value >= least):
            floor = "" if least == -math.inf else f" of at least {least:g}"
            raise TargetError(f"{path.name} row {number}, column {column}: want a number{floor}, got {text!r}")
        return value

    scores = {d: score for d in dimensions if (score := cell(d)) is not None}
    errors = {d: error for d in scores if (error := cell(f"{d}{ERROR}", least=0.0)) is not None}
    if not scores:
        raise TargetError(f"{path.name} row {number}: want a score on one of {', '.join(dimensions)}, got none")
    persona: str | None = (record.get("persona") or "").strip() or None
    try:
        known = load_target(group)
    except TargetError:
        sentence = name = (record.get("name") or "").strip() or group
        persona = persona or f"You belong to the group {name}."
    else:
        sentence, name = known.in_sentence, (record.get("name") or "").strip() or known.name
    n, file = cell("n", least=1.0), _named(record)
    if file in kept and group not in kept[file]:
        raise TargetError(f"{path.name} row {number}: want the group {group!r} in {file[0]}, which lacks it")
    return Target(
        code=f"{path.name}:{group}",
        name=name,
        in_sentence=sentence,
        kind="group",
        scores=scores,
        sources=dict.fromkeys(scores, (record.get("source") or "").strip() or path.name),
        estimated=frozenset(),
        dimensions=tuple(dimensions),
        n=None if n is None else round(n),
        n_effective=cell("n_effective", least=0.0),
        errors=errors,
        persona=persona,
        constants=(record.get("constants") or "").strip() or None,
        items=kept[file][group] if file in kept else None,
    )
