"""Files of questions, ours in the form of the benchmark's."""

import csv
from pathlib import Path

import numpy as np
import pytest

from hofsteer.errors import InstrumentError
from hofsteer.evaluation import culturalbench
from hofsteer.evaluation.culturalbench import load_benchmarks, read_benchmark

EASY = Path(__file__).with_name("own-easy.csv")
HARD_HEAD = ["data_idx", "question_idx", "prompt_question", "prompt_option", "answer", "country"]


def write_hard(path):
    """Our questions in the Hard form; of question 10 two statements are true."""
    with EASY.open(encoding="utf-8", newline="") as file, path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(HARD_HEAD)
        for row in csv.DictReader(file):
            for letter in "ABCD":
                true = letter == row["answer"] or (row["question_idx"], letter) == ("10", "A")
                option = row[f"prompt_option_{letter.lower()}"]
                writer.writerow(["", row["question_idx"], row["prompt_question"], option, true, row["country"]])
    return path


@pytest.fixture
def hard(tmp_path):
    return write_hard(tmp_path / "own-hard.csv")


def test_easy():
    found = read_benchmark(EASY, "easy")
    assert (found.name, found.source, found.left_out, found.chance) == ("CulturalBench-Easy", "own-easy.csv", 0, 0.25)
    assert found.countries == ("Japan",) * 5 + ("Norway",) * 5
    assert "".join(found.answers[k] for k in found.key[:, 0]) == "BACDABACDC"
    assert found.constant == 0.3
    form = found.administration
    (asked,) = form.messages(form.instrument.items[0])
    assert asked.content == (
        "Where would a guest of hofsteer's tests in Japan leave wet shoes?\nA. On the table\nB. At the entrance\n"
        "C. On the bed\nD. None\nReply with one letter only."
    )


def test_hard(hard):
    found = read_benchmark(hard, "hard")
    assert (found.chance, found.constant, found.key.shape) == (1 / 16, 0.0, (10, 4))
    assert [found.answers[k] for k in found.key[0]] == ["False", "True", "False", "False"]
    assert (found.key[9] == 0).sum() == 2
    form = found.administration
    (asked,) = form.messages(form.instrument.items[1])
    assert asked.content == (
        "Where would a guest of hofsteer's tests in Japan leave wet shoes?\nAnswer: At the entrance\n"
        "Is this answer true or false?\nTrue\nFalse\nReply with one of these answers only."
    )
    assert form.option_labels(form.instrument.items[1]) == ("True", "False")


@pytest.mark.parametrize("form", ["easy", "hard"])
def test_parquet_is_read_as_csv_is(form, hard, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = EASY if form == "easy" else hard
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    columns["question_idx"] = [int(idx) for idx in columns["question_idx"]]
    if form == "hard":
        columns["answer"] = [answer == "True" for answer in columns["answer"]]
    parquet.write_table(pyarrow.table(columns), tmp_path / "own.parquet")
    one, other = read_benchmark(path, form), read_benchmark(tmp_path / "own.parquet", form)
    assert one.administration.instrument.items == other.administration.instrument.items
    assert np.array_equal(one.key, other.key)


def test_a_question_with_a_blank_option_is_left_out_and_counted(hard):
    lines = hard.read_text(encoding="utf-8").replace("None,False", ",False")
    hard.write_text(lines, encoding="utf-8")
    found = read_benchmark(hard, "hard")
    assert (found.left_out, len(found.countries)) == (1, 9)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("prompt_option_c", "prompt_option_C3", "got no prompt_option_c; did you mean 'prompt_option_C3'?"),
        ("answer,country", "answer,land", "got no country"),
        ("answer,country", "country,country", "own.csv: want each column once, got country 2 times"),
        (",B,Japan", ",E,Japan", "own.csv, row 2 (question 1): want the answer A, B, C or D, got 'E'"),
        (",B,Japan", ",True,Japan", "want the answer A, B, C or D, got 'True'"),
        (",B,Japan", ",B,", "own.csv, row 2: want a country, got a blank cell"),
        (",B,Japan", ",B,Japan,", "own.csv, row 2: want 9 cells as the header has, got 10"),
        ("\n2,", "\n1,", "own.csv: want 1 row of every question, got 2 of question 1"),
    ],
)
def test_bad_cells(old, new, said, tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(EASY.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InstrumentError) as refused:
        read_benchmark(path, "easy")
    assert said in str(refused.value)


def test_bad_files(hard, tmp_path):
    def said(*arguments):
        with pytest.raises(InstrumentError) as refused:
            read_benchmark(*arguments)
        return str(refused.value)

    assert "own-hard.csv is of the hard form: want a file of the easy one, or culturalbench-hard=own-hard.csv" in said(
        hard, "easy"
    )
    assert "own-easy.csv is of the easy form" in said(EASY, "hard")
    assert "no file of questions at" in said(tmp_path / "none.csv", "easy")
    assert "want a file of questions (.csv or .parquet), got own.xlsx" in said(tmp_path / "own.xlsx", "easy")
    empty = tmp_path / "empty.csv"
    empty.write_text("", encoding="utf-8")
    assert "got an empty file" in said(empty, "easy")
    empty.write_text(EASY.read_text(encoding="utf-8").splitlines()[0], encoding="utf-8")
    assert "want rows of questions below the header, got none" in said(empty, "easy")
    empty.write_bytes("Malmö\n".encode("latin-1"))
    assert "want text in UTF-8" in said(empty, "easy")
    (tmp_path / "own.parquet").write_bytes(b"no")
    assert "cannot read own.parquet as a Parquet file" in said(tmp_path / "own.parquet", "easy")
    lines = hard.read_text(encoding="utf-8").splitlines(keepends=True)
    hard.write_text("".join(lines[:4]), encoding="utf-8")
    assert "want 4 statements of every question, got 3 of question 1" in said(hard, "hard")


def test_names(monkeypatch, hard):
    given = {"CulturalBench-Easy.csv": EASY, "CulturalBench-Hard.csv": hard}
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda repo, file, repo_type: str(given[file]))
    assert [(b.name, b.source) for b in load_benchmarks(["CulturalBench"])] == [
        ("CulturalBench-Easy", culturalbench.HUB),
        ("CulturalBench-Hard", culturalbench.HUB),
    ]
    assert load_benchmarks([f"culturalbench-hard={hard}"])[0].source == "own-hard.csv"
    for spec, said in (
        (
            "culturebench",
            "want a benchmark culturalbench, culturalbench-easy, culturalbench-hard, got 'culturebench'; did",
        ),
        (f"culturalbench={EASY}", "a file holds one form: want culturalbench-easy="),
    ):
        with pytest.raises(InstrumentError, match=said.replace("?", ".")):
            load_benchmarks([spec])
    with pytest.raises(InstrumentError, match="want each benchmark once, got CulturalBench-Easy twice"):
        load_benchmarks(["culturalbench", f"culturalbench-easy={EASY}"])
