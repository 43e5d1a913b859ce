"""Values that look like codes for no answer."""

import numpy as np
import pytest

from hofsteer.instruments.factor.undeclared import undeclared_codes


def battery(scale, rows=210, items=4):
    return np.random.default_rng([5, rows]).choice(np.array(scale, dtype=float), size=(rows, items))


def warned(answers):
    return undeclared_codes([f"q{i + 1}" for i in range(answers.shape[1])], answers)


@pytest.mark.parametrize(
    "scale", [range(1, 6), range(1, 10), range(11), (0, 1), (-2, -1, 0, 1, 2), (1, 3, 5, 7, 9), (0, 25, 50, 75, 100)]
)
def test_scales_are_not_warned_of(scale):
    assert warned(battery(list(scale))) == ()


def test_values_without_end_are_not_warned_of():
    assert warned(np.random.default_rng(1).normal(size=(300, 3))) == ()
    assert warned(np.random.default_rng(1).uniform(0, 200, size=(300, 3)).round(1)) == ()


def test_codes_of_all_items():
    answers = battery(range(1, 6))
    answers[:21] = -1
    answers[30:48] = 99
    assert warned(answers) == (
        "q1 .. q4 count -1 (21 rows) and 99 (18 rows) as answers: name them with --missing -1,99 if they are codes",
    )


def test_codes_of_some_items_are_held_against_their_own_scale():
    answers = battery(range(1, 8))
    answers[:, 1] = battery((1, 2, 3, 4, 8, 9))[:, 0]
    count = [int((answers[:, 1] == v).sum()) for v in (8, 9)]
    assert warned(answers) == (
        f"q2 counts 8 ({count[0]} rows) and 9 ({count[1]} rows) as answers: "
        "name them with --missing 8,9 if they are codes",
    )


def test_a_slip_in_one_row():
    answers = battery(range(1, 6))
    answers[answers[:, 2] == 5, 2] = 4
    answers[7, 2] = 5  # an answer of the other items
    assert warned(answers) == ()
    answers[7, 2] = 6
    assert warned(answers) == ("q3 counts 6 (1 row) as an answer: name it with --missing 6 if it is a code",)
    assert warned(answers[:90]) == ()  # few rows
