"""CulturalBench (Chiu et al. 2024, arXiv 2410.02677): what is known of everyday life in 45 countries and regions.

Two forms of the same questions. Easy: four options, one is right. Hard: each option is a statement of its own, true or
false, and a question counts only if all four are judged right; several may be true. The questions (CC BY 4.0) are not
part of hofsteer: they come from the hub, or from a file of the same form. The files themselves are read, not a table
that a library made of them: a reader that takes the option "None" for a gap would lose it.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hofsteer.errors import InstrumentError, did_you_mean
from hofsteer.files import hash_file
from hofsteer.instruments import Administration, Instrument, Item, Option

Form = Literal["easy", "hard"]
Choices = NDArray[np.int64]  # (Q, J): for each of J judgements the place of an answer in `answers`; -1 for none

HUB = "kellycyy/CulturalBench"
FILES: Mapping[Form, str] = {"easy": "CulturalBench-Easy.csv", "hard": "CulturalBench-Hard.csv"}
NAMES: Mapping[str, tuple[Form, ...]] = {
    "culturalbench": ("easy", "hard"),
    "culturalbench-easy": ("easy",),
    "culturalbench-hard": ("hard",),
}
LETTERS, TRUTH = ("A", "B", "C", "D"), ("True", "False")
OPTIONS = tuple(f"prompt_option_{letter.lower()}" for letter in LETTERS)
COLUMNS: Mapping[Form, tuple[str, ...]] = {
    "easy": ("question_idx", "prompt_question", *OPTIONS, "answer", "country"),
    "hard": ("question_idx", "prompt_question", "prompt_option", "answer", "country"),
}


@dataclass(frozen=True, eq=False)
class Benchmark:
    """Q questions of one form, as judgements that a respondent is asked for: one each in Easy, four in Hard."""

    form: Form
    source: str  # the hub's dataset, or the name of a file
    sha256: str  # of the file
    countries: tuple[str, ...]  # (Q,)
    key: Choices  # (Q, J), the right answers
    administration: Administration  # its items are the judgements, question by question
    left_out: int  # questions with a blank option

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return f"CulturalBench-{self.form.title()}"

    @property
    def answers(self) -> tuple[str, ...]:
        """What can be answered."""
        return LETTERS if self.form == "easy" else TRUTH

    @property
    def chance(self) -> float:
        """The share of questions that guessing gets right: a quarter, or four coins."""
        return float(len(self.answers) ** -self.key.shape[1])

    @property
    def constant(self) -> float:
        """The share of questions that the best of all constant answers gets right."""
        return max(float((self.key == place).all(axis=1).mean()) for place in range(len(self.answers)))


def load_benchmarks(specs: Sequence[str]) -> tuple[Benchmark, ...]:
    """Return the benchmarks that are named, such as `culturalbench` (both forms) or `culturalbench-easy=FILE`.

    Raises:
        InstrumentError: nothing has that name, it cannot be had, or a file is not of that form; one line.
    """
    found = []
    for spec in specs:
        name, given, file = spec.partition("=")
        forms = NAMES.get(name.strip().lower())
        if forms is None:
            raise InstrumentError(f"want a benchmark {', '.join(NAMES)}, got {name!r}{did_you_mean(name, NAMES)}")
        if given and len(forms) > 1:
            raise InstrumentError(f"a file holds one form: want culturalbench-easy={file} or culturalbench-hard={file}")
        for form in forms:
            found.append(read_benchmark(Path(file), form) if given else fetch_benchmark(form))
    if twice := {b.name for b in found if sum(other.name == b.name for other in found) > 1}:
        raise InstrumentError(f"want each benchmark once, got {sorted(twice)[0]} twice")
    return tuple(found)


def fetch_benchmark(form: Form) -> Benchmark:
    """Return a form from the hub, or from its cache. Raises InstrumentError if it is in neither."""
    from huggingface_hub import hf_hub_download

    try:
        path = Path(hf_hub_download(HUB, FILES[form], repo_type="dataset"))
    except OSError as error:  # every error of the hub's is one, those of a missing network too
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InstrumentError(
            f"cannot get {FILES[form]} of {HUB} from the hub ({reason}); with a copy, culturalbench-{form}=FILE"
        ) from None
    return read_benchmark(path, form, HUB)


def read_benchmark(path: Path, form: Form, source: str | None = None) -> Benchmark:
    """Return the questions in a file of one form.

    Args:
        path: .csv (UTF-8), or .parquet, which needs pyarrow (extra `fit`).
        form: which columns and answers it must have (`COLUMNS`): a letter, or True and False.
        source: what is said of where it comes from; by default the file's name.

    Raises:
        InstrumentError: it cannot be read, lacks a column, is of the other form, is empty, or has an answer that is
            none; one line.
    """
    wanted = LETTERS if form == "easy" else TRUTH
    by_question = _questions(path, form, wanted)
    texts = OPTIONS if form == "easy" else ("prompt_option",)
    whole = [asked for asked in by_question.values() if all(cell[text] for cell in asked for text in texts)]
    if not whole:
        raise InstrumentError(f"{path.name}: want questions whose options are filled in, got none")
    sha256 = hash_file(path)
    items = tuple(_item(cell, place, form) for asked in whole for place, cell in enumerate(asked))
    instrument = Instrument(
        id=f"culturalbench-{form}",
        title=f"CulturalBench, {form} form",
        source="Chiu et al. 2024, arXiv 2410.02677",
        licence="CC BY 4.0",
        language="en",
        neutral=None,
        items=items,
        dimensions=(),
        hash=sha256,
        constants="fixed",
    )
    return Benchmark(
        form=form,
        source=source or path.name,
        sha256=sha256,
        countries=tuple(asked[0]["country"] for asked in whole),
        key=np.array([[wanted.index(cell["answer"]) for cell in asked] for asked in whole], dtype=np.int64),
        administration=Administration(instrument, labels="letters" if form == "easy" else "words"),
        left_out=len(by_question) - len(whole),
    )


def _questions(path: Path, form: Form, wanted: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """Return the checked rows of a file by question."""
    rows = _rows(path)
    _check_columns(rows, path, form)
    if not rows[1:]:
        raise InstrumentError(f"{path.name}: want rows of questions below the header, got none")
    found: dict[str, list[dict[str, str]]] = {}
    for number, row in enumerate(rows[1:], start=2):
        cell = dict(zip(rows[0], row, strict=True))
        if blank := next((c for c in ("question_idx", "prompt_question", "country") if not cell[c]), None):
            raise InstrumentError(f"{path.name}, row {number}: want a {blank}, got a blank cell")
        cell["answer"] = cell["answer"].capitalize()
        if cell["answer"] not in wanted:
            raise InstrumentError(
                f"{path.name}, row {number} (question {cell['question_idx']}): want the answer "
                f"{', '.join(wanted[:-1])} or {wanted[-1]}, got {cell['answer']!r}"
            )
        found.setdefault(cell["question_idx"], []).append(cell)
    each, what = (1, "row") if form == "easy" else (len(LETTERS), "statements")
    if odd := next((idx for idx, asked in found.items() if len(asked) != each), None):
        raise InstrumentError(
            f"{path.name}: want {each} {what} of every question, got {len(found[odd])} of question {odd}"
        )
    return found


def _item(cell: Mapping[str, str], place: int, form: Form) -> Item:
    if form == "easy":
        stem, shown = cell["prompt_question"], tuple(cell[text] for text in OPTIONS)
    else:
        stem, shown = (
            f"{cell['prompt_question']}\nAnswer: {cell['prompt_option']}\nIs this answer true or false?",
            TRUTH,
        )
    options = tuple(Option(text, float(value)) for value, text in enumerate(shown))
    return Item(f"{cell['question_idx']}.{place}", "knowledge", (stem,), options)


def _rows(path: Path) -> list[list[str]]:
    """Return header and rows as stripped texts."""
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise InstrumentError(f"want a file of questions (.csv or .parquet), got {path.name}")
    if not path.is_file():
        raise InstrumentError(f"no file of questions at {path}")
    rows = _csv_rows(path) if suffix == ".csv" else _parquet_rows(path)
    return [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]


def _csv_rows(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except UnicodeDecodeError:
        raise InstrumentError(f"{path.name}: want text in UTF-8, got bytes that are not") from None
    except (OSError, csv.Error) as error:
        raise InstrumentError(f"cannot read {path.name}: {error}") from None
    for number, row in enumerate(rows, start=1):
        if row and len(row) != len(rows[0]):
            raise InstrumentError(
                f"{path.name}, row {number}: want {len(rows[0])} cells as the header has, got {len(row)}"
            )
    return rows


def _parquet_rows(path: Path) -> list[list[str]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise InstrumentError(f"reading {path.name} needs pyarrow: pip install 'hofsteer[fit]'") from None
    try:
        table = parquet.read_table(path)
    except (OSError, pyarrow.ArrowInvalid) as error:
        said = " ".join(str(error).split())[:200]
        raise InstrumentError(f"cannot read {path.name} as a Parquet file: {said}") from None
    columns = [["" if cell is None else str(cell) for cell in column.to_pylist()] for column in table.columns]
    return [list(table.column_names), *map(list, zip(*columns, strict=True))]


def _check_columns(rows: list[list[str]], path: Path, form: Form) -> None:
    if not rows:
        raise InstrumentError(f"{path.name}: want a header and rows of questions, got an empty file")
    other: Form = "hard" if form == "easy" else "easy"
    there = rows[0]
    if set(COLUMNS[other]) <= set(there) and not set(COLUMNS[form]) <= set(there):
        raise InstrumentError(
            f"{path.name} is of the {other} form: want a file of the {form} one, or culturalbench-{other}={path.name}"
        )
    if twice := [name for name in COLUMNS[form] if there.count(name) > 1]:
        raise InstrumentError(f"{path.name}: want each column once, got {twice[0]} {there.count(twice[0])} times")
    if missing := [name for name in COLUMNS[form] if name not in there]:
        raise InstrumentError(
            f"{path.name}: want the columns {', '.join(COLUMNS[form])}, got no {missing[0]}"
            f"{did_you_mean(missing[0], [name for name in there if name not in COLUMNS[form]])}"
        )
