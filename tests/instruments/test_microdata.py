"""Readers of microdata: what pandas, pyarrow and pyreadstat wrote comes back, with labels and missing codes."""

import sys

import numpy as np
import pytest

from hofsteer.errors import InstrumentError
from hofsteer.instruments import microdata_files
from hofsteer.instruments.microdata import Microdata, number_column
from hofsteer.instruments.microdata_files import read_microdata

pa = pytest.importorskip("pyarrow")
pyreadstat = pytest.importorskip("pyreadstat")
pandas = pytest.importorskip("pandas")
parquet = pytest.importorskip("pyarrow.parquet")

NAN = float("nan")
FRAME = {"q1": [1.0, 2.0, 9.0, NAN], "q2": [1.5, 2.0, 98.0, 3.0], "land": ["DE", "NA", "", "DE"]}


@pytest.fixture
def sav(tmp_path):
    path = tmp_path / "wave.sav"
    pyreadstat.write_sav(
        pandas.DataFrame(FRAME),
        str(path),
        column_labels={"q1": "How often?"},
        variable_value_labels={"q1": {1: "never", 2: "often", 9: "no answer"}},
        missing_ranges={"q1": [9], "q2": [{"lo": 97, "hi": 99}]},
    )
    return path


def csv_of(tmp_path, text, name="wave.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def test_spss_labels_missing_values_and_ranges(sav):
    wave = read_microdata(sav)
    np.testing.assert_array_equal(wave.answers(["q1", "q2"]), [[1, 1.5], [2, 2], [NAN, NAN], [NAN, 3]])
    assert wave.column("q1").label == "How often?"
    assert wave.column("q1").value_labels == {1.0: "never", 2.0: "often"}  # that of the missing code is gone
    assert [wave.column(name).coded_missing for name in ("q1", "q2")] == [1, 1]
    names, codes = wave.groups("land")
    assert names == ("DE", "NA")
    assert codes.tolist() == [0, 1, -1, 0]


def test_stata(tmp_path):
    path = tmp_path / "wave.dta"
    pyreadstat.write_dta(
        pandas.DataFrame(FRAME),
        str(path),
        column_labels={"q2": "How much?"},
        variable_value_labels={"q1": {1: "never", 2: "often"}},
    )
    wave = read_microdata(path, missing=[9, 98])
    np.testing.assert_array_equal(wave.answers(["q1", "q2"]), [[1, 1.5], [2, 2], [NAN, NAN], [NAN, 3]])
    assert wave.column("q2").label == "How much?"
    assert wave.column("q1").value_labels == {1.0: "never", 2.0: "often"}


def test_parquet(tmp_path):
    path = tmp_path / "wave.parquet"
    table = pa.table(
        {**FRAME, "yes": [True, False, None, True], "kind": pa.array(["a", "b", "a", None]).dictionary_encode()}
    )
    parquet.write_table(table, path)
    wave = read_microdata(path, missing=[9])
    np.testing.assert_array_equal(wave.numbers("q1"), [1, 2, NAN, NAN])
    np.testing.assert_array_equal(wave.numbers("yes"), [1, 0, NAN, 1])
    assert wave.groups("kind")[1].tolist() == [0, 1, 0, -1]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_with_each_delimiter(tmp_path, delimiter):
    text = "\ufeffq1,land,q2\n1,DE,\n2.5,NA,NA\n,,3\n".replace(",", delimiter)
    wave = read_microdata(csv_of(tmp_path, text))
    assert list(wave.columns) == ["q1", "land", "q2"]
    np.testing.assert_array_equal(wave.answers(["q1", "Q2"]), [[1, NAN], [2.5, NAN], [NAN, 3]])
    assert wave.groups("land") == (("DE", "NA"), pytest.approx([0, 1, -1]))


def test_columns_and_their_order(tmp_path):
    path = csv_of(tmp_path, "a,b,c\n1,2,x\n3,4,y\n")
    assert list(read_microdata(path, columns=["C", "a"]).columns) == ["c", "a"]


def test_a_column_of_the_country_na_alone_is_no_column_of_blanks(tmp_path):
    assert read_microdata(csv_of(tmp_path, "land,q\nNA,1\nNA,2\n")).groups("land")[0] == ("NA",)


def test_groups_by_number_take_value_labels(tmp_path):
    column = number_column("land", np.array([2.0, 1.0, 9.0]), value_labels={1.0: "North", 9.0: "?"}, missing=[9])
    names, codes = Microdata("x", 3, {"land": column}).groups("land")
    assert names == ("North", "2")
    assert codes.tolist() == [1, 0, -1]


def test_other_encodings(tmp_path):
    path = csv_of(tmp_path, "land,q\nCôte,1\n", encoding="cp1252")
    with pytest.raises(InstrumentError, match=r"wave.csv: want text in utf-8, .*name the encoding"):
        read_microdata(path)
    assert read_microdata(path, encoding="cp1252").groups("land")[0] == ("Côte",)
    with pytest.raises(InstrumentError, match="unknown encoding 'klingon'"):
        read_microdata(path, encoding="klingon")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "want a header"),
        ("a,b\n", "want rows of respondents below the header"),
        ("a,a\n1,2\n", "'a' twice"),
        ("a,b\n1,2\n1,2,3\n", "want a CSV file with 2 columns"),
        ("q1,b\n1,2\nx,3\n", r"wave.csv row 3, column q1: want a number or a blank cell, got 'x'"),
        ("q1;b\n1;2\n1,5;3\n", r"decimal point: 1\.5"),
        ("q11,b\n1,2\n", r"want column 'q1', which it lacks; did you mean 'q11'\?"),
    ],
)
def test_bad_csv(tmp_path, text, wanted):
    with pytest.raises(InstrumentError, match=wanted) as caught:
        read_microdata(csv_of(tmp_path, text)).numbers("q1")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["wave.sav", "wave.dta", "wave.parquet"])
def test_files_that_are_not_what_they_are_called(tmp_path, name):
    with pytest.raises(InstrumentError, match=name) as caught:
        read_microdata(csv_of(tmp_path, "a,b\n1,2\n", name=name))
    assert "\n" not in str(caught.value)


def test_no_file_and_unknown_kinds(tmp_path):
    with pytest.raises(InstrumentError, match="no file of microdata"):
        read_microdata(tmp_path / "nowhere.csv")
    with pytest.raises(InstrumentError, match=r"want a file of microdata .*got wave.xlsx"):
        read_microdata(csv_of(tmp_path, "a", name="wave.xlsx"))
    with pytest.raises(InstrumentError, match="want column 'zz'"):
        read_microdata(csv_of(tmp_path, "a,b\n1,2\n"), columns=["zz"])


def test_blocks_of_rows_are_put_together(sav, monkeypatch):
    monkeypatch.setattr(microdata_files, "ROWS_AT_ONCE", 2)
    wave = read_microdata(sav)
    assert wave.n == 4
    np.testing.assert_array_equal(wave.numbers("q2"), [1.5, 2, NAN, 3])
    assert wave.groups("land")[1].tolist() == [0, 1, -1, 0]


def test_a_missing_library_is_named(sav, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyreadstat", None)
    with pytest.raises(InstrumentError, match=r"wave.sav needs pyreadstat: pip install 'hofsteer\[fit\]'"):
        read_microdata(sav)
