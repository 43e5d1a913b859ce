"""Methods over targets, seeds and wordings: intervals, adjusted p-values, words, from numbers whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from hofsteer.evaluation.cells import Cell
from hofsteer.evaluation.methods import method_statistics
from hofsteer.evaluation.statistics import mean_over_seeds_and_wordings

REPETITIONS = 600


def cells_of(tables):
    """Cells of method -> held-out losses (T, S, W), or (T, 1, W) for a method without a seed."""
    found = []
    for method, table in tables.items():
        for t, seeds in enumerate(table):
            for s, losses in enumerate(seeds):
                seed = s if len(seeds) > 1 else None
                forms, wordings = tuple(losses.tolist()), tuple(range(len(losses)))
                found.append(
                    Cell(f"T{t}", method, seed, 0.0, float(losses.mean()), 1.0, "", forms, wordings, (1.0 * t, None))
                )
    return [*found, Cell("T0", "flat", None, 20.0, None, None)]


def drawn(rng, truth, n_seeds, n_wordings):
    """Losses (T, S, F) about `truth` (T,): seeds matter, for all targets and for each, and so do wordings."""
    shape = len(truth), n_seeds, n_wordings
    seeds = rng.normal(0, 1.0, (1, n_seeds, 1)) + rng.normal(0, 0.7, (len(truth), n_seeds, 1))
    wordings = rng.normal(0, 1.0, (1, 1, n_wordings))
    return truth[:, None, None] + seeds + wordings + rng.normal(0, 0.5, shape)


def test_means_are_over_fixed_targets_and_cover_the_truth():
    """Targets differ by 30 points and add nothing to the intervals, which cover in 93 to 97 % of the repetitions."""
    truth, hits, widths = np.array([5.0, 15.0, 35.0]), 0, []
    rng = np.random.default_rng([3, 3])
    for _ in range(REPETITIONS):
        mean = method_statistics(cells_of({"de": drawn(rng, truth, 10, 4)})).means["de"]
        low, high = mean.bounds()
        hits += low <= truth.mean() <= high
        widths.append(high - low)
    assert 0.93 <= hits / REPETITIONS <= 0.975
    assert np.median(widths) < 5


def test_the_degrees_of_freedom_follow_the_design():
    """One wording: seeds alone, S - 1, however many targets."""
    table = np.random.default_rng(4).normal(10, 1, (6, 12, 1))
    mean = method_statistics(cells_of({"de": table})).means["de"]
    assert mean.degrees_of_freedom == 11
    wanted = stats.t.interval(0.95, 11, table.mean(), stats.sem(table.mean(axis=(0, 2))))
    assert mean.bounds() == pytest.approx(wanted)


def test_orders_of_a_wording_are_one_draw():
    table = drawn(np.random.default_rng(7), np.array([10.0, 20.0]), 10, 3)
    cells = [
        replace(cell, held_out_forms=tuple(np.repeat(cell.held_out_forms, 2)), held_out_wordings=(2, 2, 5, 5, 7, 7))
        for cell in cells_of({"de": table})
        if cell.held_out_forms
    ]
    assert method_statistics(cells).means["de"].bounds() == mean_over_seeds_and_wordings(table.mean(axis=0)).bounds()


def test_differences_between_targets_know_no_constants():
    """Three targets with errors 1, 2 and 6 on one dimension and none known on the other: pairs differ by 1, 5 and 4."""

    def cells(shift):
        return [
            replace(cell, held_out_errors=({"T0": 1.0, "T1": 2.0, "T2": 6.0}[cell.target] + shift, None))
            for cell in cells_of({"de": drawn(np.random.default_rng(7), np.full(3, 10.0), 4, 2)})
            if cell.held_out_forms
        ]

    for shift in (0.0, 25.0):
        mean = method_statistics(cells(shift)).between_targets["de"]
        assert (mean.value, mean.n) == (pytest.approx(10 / 3), 4)
    one = [cell for cell in cells(0.0) if cell.target == "T0"]
    assert method_statistics(one).between_targets == {}
    known = {"T0": (1.0, None), "T1": (None, 2.0), "T2": (None, None)}
    nothing_shared = [replace(cell, held_out_errors=known[cell.target]) for cell in cells(0.0)]
    assert method_statistics(nothing_shared).between_targets == {}


def test_the_interval_of_differences_between_targets_is_that_of_the_seeds():
    errors = np.random.default_rng(12).normal(0, 3, (2, 5, 3))  # two targets, five seeds, three dimensions
    errors[1, :, 2] = np.nan
    cells = [
        replace(
            cell, held_out_errors=tuple(None if np.isnan(e) else e for e in errors[int(cell.target[1:]), cell.seed])
        )
        for cell in cells_of({"de": drawn(np.random.default_rng(7), np.full(2, 10.0), 5, 2)})
        if cell.held_out_forms
    ]
    wanted = np.abs(errors[0] - errors[1])[:, :2].mean(axis=1)
    mean = method_statistics(cells).between_targets["de"]
    assert mean.value == pytest.approx(wanted.mean())
    assert mean.bounds() == pytest.approx(stats.t.interval(0.95, 4, wanted.mean(), stats.sem(wanted)))


def test_differences_are_paired():
    """What seeds and wordings do to both methods alike is no doubt about their difference."""
    rng = np.random.default_rng([5, 1])
    shared = drawn(rng, np.array([10.0, 20.0]), 10, 4)
    cells = cells_of({"a": shared, "b": shared + 0.5 + rng.normal(0, 0.05, shared.shape)})
    found = method_statistics(cells)
    (one,) = found.differences
    assert (one.method, one.other, one.word) == ("a", "b", "lower")
    assert one.mean.value == pytest.approx(-0.5, abs=0.05)
    assert one.mean.upper() - one.mean.lower() < 0.2 < found.means["a"].upper() - found.means["a"].lower()


def test_a_baseline_without_seeds_has_no_interval_but_its_difference_to_a_search_has():
    rng = np.random.default_rng([5, 2])
    search, naive, persona = (drawn(rng, np.array([m, m]), s, 4) for m, s in ((5.0, 10), (25.0, 1), (12.0, 1)))
    found = method_statistics(cells_of({"naive": naive, "persona": persona, "de": search}))
    assert found.means["naive"].standard_error is None
    words = {(d.method, d.other): (d.word, d.p is None) for d in found.differences}
    assert words == {
        ("naive", "persona"): ("no verdict", True),
        ("naive", "de"): ("higher", False),
        ("persona", "de"): ("higher", False),
    }
    assert list(found.means) == ["naive", "persona", "de"]  # `flat` was asked nothing


def test_p_values_are_those_of_scipy_and_adjusted_by_holm():
    rng = np.random.default_rng([6, 6])
    tables = {name: rng.normal(10 + shift, 1, (3, 12, 1)) for name, shift in (("a", 0), ("b", 0.3), ("c", 0.6))}
    found = method_statistics(cells_of(tables))
    raw = []
    for one in found.differences:
        apart = (tables[one.method] - tables[one.other]).mean(axis=(0, 2))
        raw.append(stats.ttest_1samp(apart, 0).pvalue)
        assert one.p == pytest.approx(raw[-1])
    order = np.argsort(raw)
    wanted = np.maximum.accumulate(np.array(raw)[order] * [3, 2, 1]).clip(max=1)
    assert [found.differences[i].p_adjusted for i in order] == pytest.approx(list(wanted))


def test_few_false_differences_among_methods_that_are_alike():
    """Ten pairs of five like methods: any is told apart in about 5 % of the repetitions, unadjusted far more often."""
    rng = np.random.default_rng([7, 7])
    adjusted = raw = 0
    for _ in range(300):
        tables = {name: rng.normal(10, 1, (2, 10, 1)) for name in "abcde"}
        found = method_statistics(cells_of(tables)).differences
        adjusted += any(d.word != "not told apart" for d in found)
        raw += any(d.p <= 0.05 for d in found)
    assert adjusted / 300 <= 0.08
    assert raw / 300 > 0.15


@pytest.mark.parametrize(("n", "interval"), [(2, False), (3, True), (9, True), (10, True)])
def test_below_three_seeds_no_interval_and_below_ten_no_verdict(n, interval):
    rng = np.random.default_rng([8, n])
    tables = {"naive": np.full((12, 1, 4), 30.0), "de": rng.normal(5, 0.1, (12, n, 4))}
    found = method_statistics(cells_of(tables))
    (one,) = found.differences
    assert (one.mean.standard_error is not None) == interval
    assert one.word == ("higher" if n == 10 else "no verdict")
    assert len(found.beaten) == (12 if interval else 0)
    assert {b.word for b in found.beaten} <= {"beaten" if n == 10 else "no verdict"}


def test_where_the_model_alone_is_beaten_in_many_countries():
    """In ten of twenty targets it is not: of those called beaten few are false."""
    rng, false, told = np.random.default_rng([9, 9]), [], []
    for _ in range(200):
        gain = np.where(np.arange(20) < 10, 1.5, 0.0)
        tables = {"naive": np.full((20, 1, 1), 20.0), "de": 20 - gain[:, None, None] + rng.normal(0, 1, (20, 10, 1))}
        beaten = [int(b.target[1:]) for b in method_statistics(cells_of(tables)).beaten if b.word == "beaten"]
        false.append(np.mean([t >= 10 for t in beaten]) if beaten else 0.0)
        told.append(sum(t < 10 for t in beaten))
    assert np.mean(false) <= 0.05
    assert np.mean(told) > 8


def test_one_sided_a_method_that_is_worse_beats_nobody():
    tables = {"naive": np.full((10, 1, 4), 5.0), "de": np.random.default_rng(2).normal(20, 1, (10, 10, 4))}
    assert {b.word for b in method_statistics(cells_of(tables)).beaten} == {"not shown"}


def test_nothing_on_many_countries_below_ten_of_them_or_without_the_model_alone():
    rng = np.random.default_rng(3)
    few = {"naive": np.full((9, 1, 4), 30.0), "de": rng.normal(5, 0.1, (9, 10, 4))}
    assert method_statistics(cells_of(few)).beaten == ()
    assert method_statistics(cells_of({"de": rng.normal(5, 0.1, (12, 10, 4))})).beaten == ()


def test_no_spread_at_all():
    same = np.full((2, 10, 4), 5.0)
    (one,) = method_statistics(cells_of({"a": same, "b": same})).differences
    assert (one.p, one.word) == (1.0, "not told apart")
    (one,) = method_statistics(cells_of({"a": same, "b": same + 1})).differences
    assert (one.p, one.word) == (0.0, "lower")


def test_the_sum_over_seeds_and_forms_is_that_of_the_verdict():
    table = drawn(np.random.default_rng(6), np.array([10.0]), 10, 4)
    assert method_statistics(cells_of({"de": table})).means["de"] == mean_over_seeds_and_wordings(table[0])


def test_json_and_rows_have_one_shape():
    rng = np.random.default_rng(1)
    tables = {"naive": np.full((10, 1, 4), 30.0), "de": rng.normal(5, 0.1, (10, 10, 4))}
    table = method_statistics(cells_of(tables)).to_json()
    kinds = [row["kind"] for row in table["rows"]]
    assert (kinds.count("mean"), kinds.count("difference"), kinds.count("beats-naive")) == (2, 1, 10)
    assert len({tuple(row) for row in table["rows"]}) == 1
    assert (table["targets"], table["seeds"]) == (10, 10)
