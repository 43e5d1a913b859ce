"""From microdata to an instrument file and a table of targets, and what is refused on the way."""

import csv

import numpy as np
import pytest

from hofsteer.errors import InstrumentError
from hofsteer.instruments import load_instrument
from hofsteer.instruments.factor.analysis import FitSettings, analyse, inglehart_welzel
from hofsteer.instruments.factor.correlation import pairwise_pearson
from hofsteer.instruments.factor.output import group_rows, instrument_text, target_table
from hofsteer.instruments.factor.sample import group_means, level_answers, take_sample
from hofsteer.instruments.microdata import Column, Microdata, number_column

LABELS = {1.0: "never", 2.0: "seldom", 3.0: "at times", 4.0: "often", 5.0: "always"}
NAN = float("nan")


def survey(groups=24, each=60, items=6, labels=True, seed=1):
    """Two factors, three items each, the second item of each reversed; groups differ on both."""
    rng = np.random.default_rng([seed, 3])
    n = groups * each
    codes = np.repeat(np.arange(groups), each)
    loadings = np.zeros((items, 2))
    loadings[: items // 2, 0] = loadings[items // 2 :, 1] = 0.75
    loadings[1] *= -1
    factors = 0.6 * rng.normal(size=(groups, 2))[codes] + rng.normal(size=(n, 2))
    answers = np.digitize(factors @ loadings.T + 0.6 * rng.normal(size=(n, items)), [-1.2, -0.4, 0.4, 1.2]) + 1.0
    names = [f"q{i + 1}" for i in range(items)]
    columns = {
        name: number_column(name, answers[:, i], f"How about {name}?" if labels else "", LABELS if labels else {})
        for i, name in enumerate(names)
    }
    columns["land"] = Column("land", None, tuple(f"L{g:02d}" for g in range(groups)), codes)
    columns["age"] = number_column("age", rng.integers(18, 90, n).astype(float))
    columns["w"] = number_column("w", rng.uniform(0.5, 2.0, n))
    return Microdata("wave.csv", n, columns, first_row=2)


def changed(data, name, values, **more):
    return Microdata(data.name, data.n, {**data.columns, name: number_column(name, values, **more)}, data.first_row)


def fitted(level="between", data=None, **settings):
    sample = take_sample(data or survey(), ["q*"], "w", "land")
    return analyse(sample, FitSettings(level=level, factors=2, draws=20, **settings))


@pytest.mark.parametrize("level", ["pooled", "within", "between"])
@pytest.mark.parametrize("preset", [False, True])
def test_the_instrument_file_scores_groups_as_the_table_has_them(tmp_path, level, preset):
    sample = take_sample(survey(), ["q*"], "w", "land")
    settings = FitSettings(level=level, factors=2, draws=20)
    analysis = analyse(sample, inglehart_welzel(settings) if preset else settings)
    text, unfilled = instrument_text(analysis, "mine", "Mine", "made up")
    assert not unfilled
    path = tmp_path / "mine.toml"
    path.write_text(text)
    instrument = load_instrument(path)
    rows = group_rows(analysis)
    np.testing.assert_allclose(
        instrument.score_means(group_means(sample)), [row.scores for row in rows], rtol=0, atol=1e-9
    )
    assert instrument.items[0].wordings == ("How about q1?",)
    assert [option.text for option in instrument.items[0].options] == list(LABELS.values())
    if level == "between":  # T scores over the groups, but for the regression's shrinkage
        np.testing.assert_allclose(np.mean([row.scores for row in rows], axis=0), 50, atol=1e-9)
        np.testing.assert_allclose(np.std([row.scores for row in rows], axis=0), 10, rtol=0.1)


def test_components_of_pooled_answers_score_like_principal_components():
    data = survey()
    analysis = analyse(
        take_sample(data, ["q*"], None, "land"), inglehart_welzel(FitSettings(level="pooled", factors=2, draws=20))
    )
    answers = data.answers([f"q{i}" for i in range(1, 7)])
    standardised = (answers - answers.mean(axis=0)) / answers.std(axis=0)
    weights = analysis.loadings @ np.linalg.inv(analysis.loadings.T @ analysis.loadings)
    scores = standardised @ weights
    np.testing.assert_allclose(np.cov(scores.T, ddof=0), np.eye(2), rtol=0, atol=1e-9)
    by_group = [50 + 10 * scores[data.groups("land")[1] == g].mean(axis=0) for g in range(24)]
    np.testing.assert_allclose([row.scores for row in group_rows(analysis)], by_group, rtol=0, atol=1e-8)


def test_standard_errors_without_weights_are_those_of_a_mean():
    data = survey()
    analysis = analyse(take_sample(data, ["q*"], None, "land"), FitSettings(level="pooled", factors=2, draws=20))
    text = group_rows(analysis)
    middle = group_means(analysis.sample)
    slopes = np.linalg.lstsq(
        np.column_stack([middle, np.ones(24)]), np.array([row.scores for row in text]), rcond=None
    )[0]
    scores = analysis.sample.answers @ slopes[:-1] + slopes[-1]
    wanted = [scores[analysis.sample.codes == g].std(axis=0, ddof=1) / np.sqrt(60) for g in range(24)]
    np.testing.assert_allclose([row.errors for row in text], wanted, rtol=1e-6)


def test_small_groups_become_no_targets():
    data = survey()
    weights = data.numbers("w").copy()
    weights[:60] **= 6  # a few respondents of the first group count most
    rows = group_rows(fitted(data=changed(data, "w", weights)))
    table = target_table(rows, ["F1", "F2"], ("own.items.json", "abc"))
    parsed = list(csv.DictReader(table.splitlines()))
    assert list(parsed[0]) == ["group", "n", "n_effective", "items", "items_sha256", "F1", "F1_se", "F2", "F2_se"]
    assert [line["group"] for line in parsed] == [f"L{g:02d}" for g in range(1, 24)]
    assert {(line["items"], line["items_sha256"]) for line in parsed} == {("own.items.json", "abc")}
    assert all(float(line["n_effective"]) >= 50 for line in parsed)
    assert [row.name for row in rows if not row.usable] == ["L00"]


def test_texts_that_are_missing_have_to_be_filled_in(tmp_path):
    text, unfilled = instrument_text(fitted(data=survey(labels=False)), "mine", "Mine", "made up")
    assert unfilled == ("q1", "q2", "q3", "q4", "q5", "q6")
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InstrumentError, match=r"mine.toml: item q1 has texts still to be written: 'FILL IN"):
        load_instrument(path)
    assert load_instrument(path, unwritten=True).item_ids == unfilled  # enough to score answers


def test_texts_of_an_instrument(tmp_path):
    vsm13 = load_instrument("vsm13")
    text, unfilled = instrument_text(fitted(data=survey(labels=False)), "mine", "Mine", "made up", vsm13)
    assert not unfilled
    path = tmp_path / "mine.toml"
    path.write_text(text)
    found = load_instrument(path)
    assert found.items[0].wordings == vsm13.items[0].wordings
    assert found.items[0].options == vsm13.items[0].options
    data = survey(labels=False)
    with pytest.raises(InstrumentError, match="item q1 has the answer 0, which the texts' item Q1 lacks"):
        instrument_text(fitted(data=changed(data, "q1", data.numbers("q1") - 1)), "mine", "Mine", "x", vsm13)


def test_levels_are_made_of_what_they_say():
    sample = take_sample(survey(), ["q*"], "w", "land")
    inside, _ = level_answers(sample, "within")
    for g in (0, 5):
        mine = sample.codes == g
        np.testing.assert_allclose(sample.weights[mine] @ inside[mine], 0, atol=1e-9)
    between, weights = level_answers(sample, "between")
    mine = sample.codes == 3
    np.testing.assert_allclose(between[3], np.average(sample.answers[mine], axis=0, weights=sample.weights[mine]))
    assert weights.tolist() == [1.0] * 24


def test_congruence_intraclass_and_warnings():
    pooled = fitted("pooled")
    assert pooled.correlations.kind == "polychoric"
    assert pooled.other.kind == "pearson"
    assert set(pooled.congruence) == {"within", "between"}
    assert pooled.congruence["within"].min() > 0.98
    assert any("ecological fallacy" in warning for warning in pooled.warnings)
    between = fitted("between")
    assert between.correlations.kind == "pearson"
    assert not any("ecological" in warning for warning in between.warnings)
    assert between.intraclass[0].min() > 0.05
    assert sorted(scale.reversed.count(True) for scale in between.scales) == [0, 1]


def test_groups_want_a_level_and_levels_want_groups():
    with pytest.raises(InstrumentError, match=r"name the --level: .*ecological fallacy"):
        fitted(None)
    with pytest.raises(InstrumentError, match="level within wants a column of groups"):
        analyse(take_sample(survey(), ["q*"]), FitSettings(level="within"))
    with pytest.raises(InstrumentError, match="at least 20 groups, got 12"):
        fitted(data=survey(groups=12))
    with pytest.raises(InstrumentError, match="more groups than items, got 24 groups and 24 items"):
        fitted(data=survey(items=24))
    with pytest.raises(InstrumentError, match="polychoric correlations want answers as given"):
        fitted("within", kind="polychoric")


def test_rules_that_disagree_leave_the_choice_to_the_user(monkeypatch):
    noise = np.random.default_rng(1).integers(1, 6, size=(300, 6)).astype(float)
    data = Microdata("x.csv", 300, {f"q{i}": number_column(f"q{i}", noise[:, i]) for i in range(6)})
    with pytest.raises(
        InstrumentError, match=r"how many factors\? parallel analysis finds 0, .* name --factors, from 1"
    ):
        analyse(take_sample(data), FitSettings(draws=20))


def test_items_by_default_are_columns_of_few_values_and_the_others_are_named():
    sample = take_sample(survey(), group="land")
    assert sample.item_ids == ("q1", "q2", "q3", "q4", "q5", "q6")
    assert sample.notes == (
        "items, as none were named: q1, q2, q3, q4, q5, q6",
        "not taken as items (texts, or more than ten values): age, w",
    )


def test_what_was_not_asked_in_a_group_is_left_out_and_said():
    data = survey()
    codes = data.groups("land")[1]
    gap = changed(data, "q2", np.where(codes < 15, NAN, data.numbers("q2")))
    sample = take_sample(gap, ["q*"], group="land")
    assert sample.item_ids == ("q1", "q3", "q4", "q5", "q6")
    assert sample.notes == ("items left out, not asked in some group: q2",)
    for name in ("q1", "q2", "q3", "q4"):
        data = changed(data, name, np.where(codes == 7, NAN, data.numbers(name)))
    sample = take_sample(data, ["q*"], group="land")
    assert len(sample.groups) == 23
    assert sample.notes == ("groups left out, some item not asked in them: L07",)
    assert sample.codes.max() == 22


def test_rows_that_say_nothing_are_left_out_and_said():
    data = survey()
    weights = data.numbers("w").copy()
    weights[:3] = [0, NAN, 1]
    data = changed(data, "w", weights)
    for name in ("q1", "q2", "q3", "q4", "q5", "q6"):
        data = changed(data, name, np.where(np.arange(data.n) == 9, NAN, data.numbers(name)))
    sample = take_sample(data, ["q*"], "w", "land")
    assert sample.notes == (
        "2 rows without a positive weight or a group are left out",
        "1 rows without any answer are left out",
    )
    assert len(sample.answers) == data.n - 3


@pytest.mark.parametrize(
    ("values", "more", "wanted"),
    [
        (lambda x: x * 0 + 3, {}, "item q3 is constant, everybody answered 3"),
        (lambda x: x * NAN, {}, "item q3 has no answer in any row"),
        (lambda x: np.where(x == 5, 9, x), {"value_labels": LABELS}, "item q3 has value 9 .* labelled scale 1 to 5"),
        (
            lambda x: np.where(x == 1, -1, x),
            {"value_labels": LABELS | {-1.0: "Don't know"}},
            'item q3 counts -1 as an answer, which is labelled "Don\'t know"; name it with --missing -1',
        ),
    ],
)
def test_bad_items(values, more, wanted):
    data = survey()
    with pytest.raises(InstrumentError, match=wanted):
        take_sample(changed(data, "q3", values(data.numbers("q3")), **more), ["q*"])


def test_bad_samples():
    data = survey()
    with pytest.raises(InstrumentError, match="more respondents than items, got 5 respondents and 6 items"):
        take_sample(
            Microdata("x", 5, {f"q{i}": number_column(f"q{i}", np.arange(5.0) % (2 + i)) for i in range(6)}), ["q*"]
        )
    with pytest.raises(InstrumentError, match="weights of at least 0 in column w, got -1"):
        take_sample(changed(data, "w", np.full(data.n, -1.0)), ["q*"], "w")
    with pytest.raises(InstrumentError, match="column w cannot be an item and the weight"):
        take_sample(data, ["q*", "w"], "w")
    with pytest.raises(InstrumentError, match="at least 3 items, got q1, q2"):
        take_sample(data, ["q1", "q2"])
    with pytest.raises(InstrumentError, match=r"want column 'q11', which it lacks; did you mean 'q1'\?"):
        take_sample(data, ["q1", "q2", "q11"])


def test_missing_answers_are_dealt_with_and_never_listwise():
    data = survey()
    rng = np.random.default_rng(1)
    for name in ("q1", "q2", "q3", "q4", "q5", "q6"):
        data = changed(data, name, np.where(rng.random(data.n) < 0.3, NAN, data.numbers(name)))
    sample = take_sample(data, ["q*"])
    em = analyse(sample, FitSettings(factors=2, draws=10, kind="pearson"))
    assert (em.correlations.missing, em.n) == ("em", len(sample.answers))
    assert len(sample.answers) > 0.99 * data.n
    truth = pairwise_pearson(survey().answers(sample.item_ids), np.ones(data.n))
    np.testing.assert_allclose(em.correlations.matrix, truth, rtol=0, atol=0.06)
    poly = analyse(sample, FitSettings(factors=2, draws=10))
    assert (poly.correlations.kind, poly.correlations.missing) == ("polychoric", "pairwise")


def test_heywood_cases_and_smoothing_are_warned_of():
    data = survey()
    twin = changed(data, "q2", data.numbers("q1"))
    found = analyse(take_sample(twin, ["q*"]), FitSettings(factors=2, draws=10, kind="pearson"))
    assert found.correlations.smoothed is not None
    said = " ".join(found.warnings)
    assert "smoothed" in said
    assert "Heywood case: the factors explain all of q1, q2" in said


def test_undeclared_codes_are_warned_of_where_no_labels_guard():
    codes = np.where(np.arange(1440) < 9, 99.0, survey().numbers("q2"))
    bare = survey(labels=False)
    (warning,) = take_sample(changed(bare, "q2", codes), ["q*"]).warnings
    assert warning == "q2 counts 99 (9 rows) as an answer: name it with --missing 99 if it is a code"
    assert take_sample(bare, ["q*"]).warnings == ()
    with pytest.raises(InstrumentError, match="outside of its labelled scale"):
        take_sample(changed(survey(), "q2", codes, value_labels=LABELS), ["q*"])
