import os
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import integers

from hofsteer.errors import InstrumentError
from hofsteer.instruments import AnswerTable, GroupAnswers, load_instrument, read_answers, score_table

VSM13 = load_instrument("vsm13")
HEADER = ",".join(VSM13.item_ids)
NEUTRAL = ",".join(["3"] * 24)


@pytest.fixture
def write(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "answers.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def message_of(path):
    with pytest.raises(InstrumentError) as caught:
        read_answers(path, VSM13)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def only_group(table):
    (group,) = table.groups
    return group


def test_file_without_groups(write):
    table = read_answers(write(f"{HEADER}\n{NEUTRAL}\n{','.join(['4'] * 24)}\n"), VSM13)
    group = only_group(table)
    assert (group.name, group.n, table.ignored) == ("all", 2, ())
    np.testing.assert_array_equal(group.item_means, np.full(24, 3.5))


def test_groups_in_the_order_of_their_first_rows(write):
    table = read_answers(write("Q1,group,Q2\n1, B ,2\n2,A,3\n5,B,2.5\n"), VSM13)
    assert [(group.name, group.n) for group in table.groups] == [("B", 2), ("A", 1)]
    np.testing.assert_array_equal(table.groups[0].item_means[:3], [3, 2.25, np.nan])
    np.testing.assert_array_equal(table.groups[1].item_means[:3], [2, 3, np.nan])


@settings(max_examples=25, deadline=None, derandomize=True)
@given(arrays(np.int64, (7, 24), elements=integers(0, 5)), arrays(np.int64, 7, elements=integers(0, 2)))
def test_means_are_over_the_answers_that_are_there(tmp_path_factory, answers, groups):
    path = tmp_path_factory.mktemp("answers") / "answers.csv"  # 0 stands for a blank cell
    rows = [f"g{g}," + ",".join(str(a or "") for a in row) for g, row in zip(groups, answers, strict=True)]
    path.write_text("\n".join([f"group,{HEADER}", *rows]), encoding="utf-8")
    for group in read_answers(path, VSM13).groups:
        mine = answers[groups == int(group.name[1:])]
        assert group.n == len(mine)
        for item, mean in zip(mine.T, group.item_means, strict=True):
            given_answers = item[item > 0]
            assert np.isnan(mean) if given_answers.size == 0 else mean == pytest.approx(given_answers.mean())


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends(write, delimiter, newline):
    text = newline.join(["id,group,Q1,Q2", "1,A,1.5,2", "2,A,2.5,"]) + newline
    table = read_answers(write(text.replace(",", delimiter)), VSM13)
    np.testing.assert_array_equal(only_group(table).item_means[:3], [2, 2, np.nan])
    assert table.ignored == ("id",)


def test_delimiter_is_the_one_that_splits_the_header(write):
    table = read_answers(write('Q1;"said, in words";Q2\n1;"a; b";2\n'), VSM13)
    np.testing.assert_array_equal(only_group(table).item_means[:2], [1, 2])
    assert table.ignored == ("said, in words",)


def test_header_in_any_case_with_spaces_and_quotes(write):
    table = read_answers(write(' q1 , "Q2",GROUP\n 1 , "2", A \n'), VSM13)
    assert only_group(table).name == "A"
    np.testing.assert_array_equal(only_group(table).item_means[:2], [1, 2])


def test_byte_order_mark(write):
    assert only_group(read_answers(write("Q1\n4\n", "utf-8-sig"), VSM13)).item_means[0] == 4


def test_columns_that_are_not_read_are_reported(write):
    table = read_answers(write(",Q1,Q25,q3a,age,age,Q 2\n0,1,2,x,40,nan,9\n"), VSM13)
    assert table.ignored == ("column 1", "Q25", "q3a", "age", "age", "Q 2")
    np.testing.assert_array_equal(only_group(table).item_means[:3], [1, np.nan, np.nan])


def test_blank_rows_are_no_respondents(write):
    assert only_group(read_answers(write("\nQ1,Q2\n\n1,2\n , \n,,,\n3,2\n\n"), VSM13)).n == 2


def test_row_without_an_answer_is_a_respondent(write):
    assert only_group(read_answers(write("Q1,group\n1,A\n,A\n"), VSM13)).n == 2


def test_short_row_is_blank_at_its_end(write):
    np.testing.assert_array_equal(
        only_group(read_answers(write("Q1,Q2\n1\n2,5\n"), VSM13)).item_means[:2],
        [1.5, 5],
    )


def test_line_breaks_inside_quotes(write):
    table = read_answers(write('"a\nnote",Q1,Q2\n"two\nlines",1,2\n'), VSM13)
    assert table.ignored == ("a\nnote",)
    np.testing.assert_array_equal(only_group(table).item_means[:2], [1, 2])


def test_pipe_is_read_like_a_file(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=("Q1;Q2\n1;2\n",))
    writer.start()
    table = read_answers(path, VSM13)
    writer.join()
    np.testing.assert_array_equal(only_group(table).item_means[:2], [1, 2])


def test_bounds_are_those_of_the_scale(write):
    assert only_group(read_answers(write("Q1,Q2\n1,5\n"), VSM13)).item_means[:2].tolist() == [1, 5]


WANT = "want a number from 1 to 5, or a blank cell, got"
COLUMNS = "want a header with items of vsm13-own, Q1 to Q24, got"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "answers.csv is empty, want a header with the items of vsm13-own and rows of answers"),
        ("\n \n", "answers.csv is empty, want a header with the items of vsm13-own and rows of answers"),
        ("Q1,Q2\n", "answers.csv: want rows of answers below the header, got none"),
        ("Q1,Q2\n,\n\n", "answers.csv: want rows of answers below the header, got none"),
        ("age,sex\n1,2\n", f"answers.csv: {COLUMNS} 'age, sex'"),
        ("group\nA\n", f"answers.csv: {COLUMNS} 'group'"),
        ("id;Q_1;Q_2\n1;2;3\n", f"answers.csv: {COLUMNS} 'id, Q_1, Q_2'; did you mean 'Q1'?"),
        ("1,2,3\n", f"answers.csv: {COLUMNS} '1, 2, 3'; did you mean 'Q1'?"),
        ("Q1,Q2,q1\n1,2,3\n", "answers.csv: want one column Q1, got two, columns 1 and 3"),
        ("group,Q1,Group\nA,1,B\n", "answers.csv: want one column group, got two, columns 1 and 3"),
        ("Q1,Q2\n1,2\nno,2\n", f"answers.csv row 3, column Q1: {WANT} 'no'"),
        ("Q1,Q2\n\n1,6\n", f"answers.csv row 3, column Q2: {WANT} '6'"),
        ("\n\nQ1,Q2\n1,0\n", f"answers.csv row 4, column Q2: {WANT} '0'"),
        ('note,q1\n"two\nlines",1\nx,9\n', f"answers.csv row 3, column Q1: {WANT} '9'"),
        ("Q1\nNaN\n", f"answers.csv row 2, column Q1: {WANT} 'NaN'"),
        ("Q1\n-inf\n", f"answers.csv row 2, column Q1: {WANT} '-inf'"),
        ("Q1\n" + "x" * 99, f"answers.csv row 2, column Q1: {WANT} '{'x' * 60}...'"),
        ('Q1\n"a\nb"\n', f"answers.csv row 2, column Q1: {WANT} 'a\\nb'"),
        ("Q1;Q2\n3;2,75\n", f"answers.csv row 2, column Q2: {WANT} '2,75' with a decimal comma; write 2.75"),
        ('Q1,Q2\n"3,5",2\n', f"answers.csv row 2, column Q1: {WANT} '3,5' with a decimal comma; write 3.5"),
        (
            "Q1,Q2\n1,2\n3,5,2\n",
            "answers.csv row 3: want 2 cells as in the header, got 3; decimals want a point, texts with a comma want"
            " quotes",
        ),
        ("Q1;Q2\n1;2;\n", "answers.csv row 2: want 2 cells as in the header, got 3"),
        ("Q1,group\n1,A\n2, \n", "answers.csv row 3, column group: want the name of a group, got a blank cell"),
        ('Q1,Q2\n1,2\n"1,2\n', "answers.csv row 3: want a row of a CSV file, got an error: unexpected end of data"),
    ],
)
def test_errors_in_one_line(write, text, message):
    assert message_of(write(text)) == message


def test_endless_line(write):
    wanted = "answers.csv row 1: want a row of a CSV file, got an error: field larger than field limit"
    assert message_of(write("x" * 200_000)).startswith(wanted)


def test_missing_file_and_folder(tmp_path):
    path = tmp_path / "answers.csv"
    assert message_of(path) == f"cannot read answers from {path}: No such file or directory"
    assert message_of(tmp_path) == f"cannot read answers from {tmp_path}: Is a directory"


@pytest.mark.parametrize(("text", "encoding"), [("Q1,Länge\n1,2\n", "latin-1"), ("Q1\n1\n", "utf-16")])
def test_other_encodings(write, text, encoding):
    assert message_of(write(text, encoding)) == "answers.csv: want text in UTF-8, got bytes that are not"


def test_score_table():
    everyone, nobody = np.full(24, 3.0), np.full(24, np.nan)
    some = everyone.copy()
    some[[6, 19]] = 4.0, np.nan  # Q7 and Q20 enter PDI
    groups = (GroupAnswers("a", 9, everyone), GroupAnswers("b", 2, some), GroupAnswers("c", 1, nobody))
    a, b, c = score_table(AnswerTable(groups, ()), VSM13, np.array([50.0, 50, 50, 50, 0, 0]))
    assert [(x.name, x.n, x.missing) for x in (a, b)] == [("a", 9, ()), ("b", 2, ("Q20",))]
    np.testing.assert_array_equal(a.scores, [50, 50, 50, 50, 0, 0])
    np.testing.assert_array_equal(b.scores, [np.nan, 50, 50, 50, 0, 0])
    assert c.missing == VSM13.item_ids
    assert np.isnan(c.scores).all()


def test_file_to_scores(write):
    rows = ["JPN," + ",".join(["2", "4"] * 12), "USA," + NEUTRAL, "JPN," + ",".join(["3", "5"] * 12)]
    table = read_answers(write("\n".join([f"group,{HEADER}", *rows])), VSM13)
    japan, states = score_table(table, VSM13, np.zeros(6))
    # Odd items have mean 2.5 and even ones 4.5: PDI = 35(m7 - m2) + 25(m20 - m23) = 35 (-2) + 25 (2), and so on.
    np.testing.assert_array_equal(japan.scores, [-20, 0, 0, 30, -130, -10])
    np.testing.assert_array_equal(states.scores, np.zeros(6))
    assert japan.missing == ()
