import json
from dataclasses import replace

import numpy as np
import pytest

from hofsteer.errors import TargetError
from hofsteer.files import hash_bytes
from hofsteer.instruments.base import Option
from hofsteer.targets import constants_for, target_for
from hofsteer.targets.items import item_shares, items_text, read_items
from hofsteer.targets.microdata import Sample, estimate_groups, table_text


@pytest.fixture
def groups(vsm13):
    """Two groups of 90 respondents with weights; item Q2 was asked of 40 of the first, Q3 of nobody in the second."""
    rng = np.random.default_rng([4, 1])
    answers = rng.integers(1, 6, size=(180, 24)).astype(float)
    answers[40:90, 1] = np.nan
    answers[90:, 2] = np.nan
    codes = np.repeat([0, 1], 90)
    alone = np.arange(180)
    sample = Sample(answers, ("JPN", "nurses"), codes, rng.uniform(0.5, 2, 180), np.zeros(180, dtype=np.intp), alone)
    return sample, estimate_groups(sample, vsm13, constants_for(vsm13, "midpoint"))


@pytest.fixture
def table(groups, vsm13, tmp_path):
    """The table of targets of these groups, with its item distributions beside it."""
    text = items_text(groups[1], vsm13, "wave.csv")
    (tmp_path / "own.items.json").write_text(text)
    items = "own.items.json", hash_bytes(text.encode())
    path = tmp_path / "own.csv"
    path.write_text(table_text(groups[1], vsm13.dimension_ids, "wave.csv", "midpoint", items))
    return path


def test_shares_are_weighted(groups, table, vsm13):
    sample, _ = groups
    target = target_for(f"{table}:JPN", vsm13)
    one = target.items.items["Q1"]
    weights, answers = sample.weights[:90], sample.answers[:90, 0]
    assert one.shares == pytest.approx([weights[answers == v].sum() / weights.sum() for v in (1, 2, 3, 4, 5)])
    assert (one.n, one.n_effective) == (90, pytest.approx(weights.sum() ** 2 / (weights**2).sum()))
    goal = target.item_goal(vsm13)
    means = np.delete(goal.shares @ np.arange(1, 6), 1)
    assert means == pytest.approx(np.delete(groups[1][0].item_means, 1))


def test_items_of_too_few_have_no_shares(table, vsm13):
    japan, nurses = (target_for(f"{table}:{name}", vsm13) for name in ("JPN", "nurses"))
    assert (japan.items.items["Q2"].n, japan.items.items["Q2"].shares) == (40, None)
    assert (nurses.items.items["Q3"].n, nurses.items.items["Q3"].n_effective) == (0, 0.0)
    assert np.flatnonzero(~japan.item_goal(vsm13).known).tolist() == [1]
    assert np.flatnonzero(~nurses.item_goal(vsm13).known).tolist() == [2]
    assert japan.beside[0].items.items == nurses.items.items


def test_options_of_one_value_cannot_be_told_apart():
    assert item_shares(np.ones(99), np.ones(99), [1.0, 0.0, 1.0]).shares is None
    assert item_shares(np.ones(99), np.ones(99), [1.0, 0.0]).shares == (1.0, 0.0)


def test_options_are_known_by_their_value(table, vsm13):
    turned = replace(vsm13, items=tuple(replace(i, options=i.options[::-1]) for i in vsm13.items[::-1]))
    target = target_for(f"{table}:JPN", vsm13)
    np.testing.assert_array_equal(target.item_goal(turned).shares[::-1, ::-1], target.item_goal(vsm13).shares)


def test_items_of_another_instrument(table, vsm13):
    distributions = target_for(f"{table}:JPN", vsm13).items
    fewer = replace(vsm13, items=vsm13.items[:-1])
    with pytest.raises(
        TargetError, match=r"own.items.json \(24\) and of vsm13-own \(23\) to be the same, got Q24 in own"
    ):
        distributions.on(fewer)
    renamed = replace(vsm13, items=(replace(vsm13.items[0], id="X1"), *vsm13.items[1:]))
    with pytest.raises(TargetError, match="got X1 in vsm13-own alone"):
        distributions.on(renamed)
    longer = replace(vsm13.items[0], options=(*vsm13.items[0].options, Option("more", 6.0)))
    with pytest.raises(
        TargetError, match=r"want one scale for Q1, got options 1, 2, 3, 4, 5 in .* and 1, 2, 3, 4, 5, 6"
    ):
        distributions.on(replace(vsm13, items=(longer, *vsm13.items[1:])))
    assert replace(target_for(f"{table}:JPN", vsm13)).item_goal(fewer) is None


def test_a_table_without_distributions_stays_valid(table, vsm13):
    rows = [line.split(",") for line in table.read_text().splitlines()]
    at = rows[0].index("items")
    table.write_text("\n".join(",".join(row[:at] + row[at + 2 :]) for row in rows) + "\n")
    target = target_for(f"{table}:JPN", vsm13)
    assert target.items is None
    assert target.item_goal(vsm13) is None
    assert len(target.scores) == 6  # an index needs means alone


def test_a_changed_file_is_refused(table, vsm13):
    kept = table.with_name("own.items.json")
    kept.write_text(kept.read_text().replace('"n": 90', '"n": 91', 1))
    with pytest.raises(
        TargetError,
        match=r"own.items.json is not what its table names: want SHA-256 \w{12}, got \w{12}; make both again with",
    ):
        target_for(f"{table}:JPN", vsm13)
    kept.unlink()
    with pytest.raises(
        TargetError, match=r"cannot read the item distributions .*own.items.json: No such file"
    ) as error:
        target_for(f"{table}:JPN", vsm13)
    assert str(error.value).endswith("or drop the table's columns items and items_sha256 for scores alone")


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (("own.items.json", ""), "want items as the name of a file beside the table, with its items_sha256"),
        (("", "abc"), "want items as the name of a file beside the table"),
        (("../own.items.json", "abc"), "got '../own.items.json' and 'abc'"),
    ],
)
def test_bad_names_in_the_table(cells, said, table, vsm13):
    rows = [line.split(",") for line in table.read_text().splitlines()]
    at = rows[0].index("items")
    rows[2][at : at + 2] = cells
    table.write_text("\n".join(map(",".join, rows)) + "\n")
    with pytest.raises(TargetError, match=said) as error:
        target_for(f"{table}:JPN", vsm13)
    assert str(error.value).startswith("own.csv row 3: ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.update(schema=2), "want schema 1, got 2"),
        (lambda t: t.pop("options"), "lacks 'options'"),
        (lambda t: t["groups"]["JPN"].pop("Q4"), "lacks 'Q4'"),
        (lambda t: t["groups"]["JPN"]["Q4"].update(shares=[0.5, 0.5]), "JPN, Q4: want 5 shares that add up to 1"),
        (lambda t: t["groups"]["JPN"]["Q4"].update(shares=[0.5, 0.5, 0.5, -0.5, 0]), "that add up to 1, got"),
        (lambda t: t["groups"]["JPN"]["Q4"].update(shares="many"), "could not convert"),
        (lambda t: t.update(groups=[]), "'list' object has no attribute"),
    ],
)
def test_a_file_of_something_else_is_refused(change, said, groups, vsm13, tmp_path):
    content = json.loads(items_text(groups[1], vsm13, "wave.csv"))
    change(content)
    path = tmp_path / "x.items.json"
    path.write_text(json.dumps(content))
    with pytest.raises(TargetError, match=r"x.items.json holds no item distributions: ") as error:
        read_items(path, hash_bytes(path.read_bytes()))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_group_that_the_file_lacks(table, vsm13):
    table.write_text(table.read_text().replace("nurses,", "doctors,"))
    with pytest.raises(TargetError, match=r"own.csv row 3: want the group 'doctors' in own.items.json, which lacks it"):
        target_for(f"{table}:JPN", vsm13)
