"""How carry-over moves along searches: by rule, from numbers whose shape is known."""

from xml.etree import ElementTree

import numpy as np
import pytest

from hofsteer.evaluation.transfer import Transfer
from hofsteer.report.transfer import transfer_figure, transfer_notes, transfer_rows

POINTS = (32, 64, 128, 200)


def along(means, seeds=10, spread=0.05):
    """G of seeds that differ by `spread` about means, point by point."""
    noise = np.random.default_rng([6, 1]).normal(0, spread, (seeds, len(means)))
    gains = np.array(means) + noise - noise.mean(axis=0)
    fitted = np.linspace(30, 5, len(means)) + noise
    return Transfer(POINTS, fitted, fitted + 3, {"ivs10": gains})


@pytest.mark.parametrize(
    ("means", "word", "since"),
    [
        ((0.1, 0.2, 0.4, 0.5), "rises", 32),
        ((0.1, 0.6, 0.5, 0.3), "falls", 64),  # above the first point at the end, and below its peak all the same
        ((0.4, 0.3, 0.2, 0.0), "falls", 32),
        ((0.3, 0.3, 0.3, 0.3), "undecided", 32),
        ((0.3, 0.31, 0.33, 0.31), "undecided", 32),
    ],
)
def test_shapes(means, word, since):
    shape = along(means).shape("ivs10")
    assert (shape.word, shape.since) == (word, since)
    assert shape.difference.value == pytest.approx(means[-1] - means[POINTS.index(since)])
    assert (shape.bound > 0) == (word == "rises")
    assert (shape.bound < shape.difference.value) == (word != "falls")


@pytest.mark.parametrize("seeds", [1, 2])
def test_below_three_seeds_nothing_is_decided(seeds):
    found = along((0.1, 0.2, 0.4, 0.9), seeds)
    assert found.shape("ivs10").word == "undecided"
    assert found.to_json()["shapes"]["ivs10"]["bound"] is None
    assert "at least" not in transfer_notes(found)[0]


def test_no_movement_is_seldom_called_one():
    rng = np.random.default_rng([6, 2])
    flat = np.zeros((1, len(POINTS)))
    words = []
    for _ in range(400):
        gains = rng.normal(0, 0.1, (10, len(POINTS)))
        words.append(Transfer(POINTS, flat, flat, {"ivs10": gains}).shape("ivs10").word)
    assert words.count("falls") / 400 < 0.08  # 5 % and what 400 draws vary
    assert words.count("rises") / 400 < 0.08


def test_table_notes_and_figure():
    found = along((0.1, 0.6, 0.5, 0.3))
    assert transfer_rows(found)[1] == ("64", "21.7", "24.7", "0.60")
    first, last = transfer_notes(found)
    assert first.startswith("G on ivs10 falls from 64 evaluations to the end (-0.30, at most -0.2")
    assert first.endswith("; 10 seeds).")
    assert "leaves nothing held out" in last
    svg = transfer_figure(found)
    assert ElementTree.fromstring(svg.encode()).tag.endswith("svg")
    assert "ivs10" in svg
    assert svg == transfer_figure(found)
    alone = Transfer(POINTS, found.fitted, found.held_out, {})
    assert transfer_rows(alone)[1] == ("64", "21.7", "24.7")
    assert "ivs10" not in transfer_figure(alone)
