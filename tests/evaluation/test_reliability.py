import json
from dataclasses import replace

import numpy as np
import pytest

from hofsteer import ScriptedRespondent, load_target
from hofsteer.config import EXPECTED
from hofsteer.errors import InstrumentError, ModelError, TargetError
from hofsteer.evaluation.reliability import (
    COMPONENTS,
    Reliability,
    icc2,
    measure_reliability,
    usual_countries,
    variance_components,
)
from hofsteer.instruments import Administration
from hofsteer.world import BIAS_LEFT, WorldRespondent, load_census

# standard deviations of country, wording, order, country x wording, country x order, wording x order, rest
TRUE = np.array([12.0, 4.0, 3.0, 5.0, 6.0, 2.0, 3.0])


def drawn(countries, wordings, orders, seed, deviations=TRUE):
    """Scores of the random-effects model, (C, W, O, 1)."""
    rng = np.random.default_rng([seed, 6])
    shapes = [
        (countries, 1, 1), (1, wordings, 1), (1, 1, orders), (countries, wordings, 1), (countries, 1, orders),
        (1, wordings, orders), (countries, wordings, orders),
    ]  # fmt: skip
    effects = (rng.normal(0, d, shape) for d, shape in zip(deviations, shapes, strict=True))
    return (50 + sum(effects))[..., None]


def frame(scores):
    pandas = pytest.importorskip("pandas")
    c, w, o = np.indices(scores.shape[:3])
    return pandas.DataFrame({"y": scores[..., 0].ravel(), "c": c.ravel(), "w": w.ravel(), "o": o.ravel()})


def test_components_against_the_mean_squares_of_statsmodels():
    anova = pytest.importorskip("statsmodels.stats.anova")
    formula = pytest.importorskip("statsmodels.formula.api")
    scores = drawn(10, 4, 2, seed=1)
    fitted = formula.ols("y ~ C(c) + C(w) + C(o) + C(c):C(w) + C(c):C(o) + C(w):C(o)", frame(scores)).fit()
    table = anova.anova_lm(fitted)
    square = (table["sum_sq"] / table["df"]).to_dict()
    # expected mean squares: each holds the components that contain its effect, times the cells they are spread over
    names = ["C(c)", "C(w)", "C(o)", "C(c):C(w)", "C(c):C(o)", "C(w):C(o)", "Residual"]
    holds = np.array([
        [8, 0, 0, 2, 4, 0, 1], [0, 20, 0, 2, 0, 10, 1], [0, 0, 40, 0, 4, 10, 1],
        [0, 0, 0, 2, 0, 0, 1], [0, 0, 0, 0, 4, 0, 1], [0, 0, 0, 0, 0, 10, 1], [0, 0, 0, 0, 0, 0, 1],
    ])  # fmt: skip
    wanted = np.linalg.solve(holds, [square[name] for name in names])
    np.testing.assert_allclose(variance_components(scores)[:, 0], wanted, rtol=1e-9)


def test_components_against_restricted_likelihood():
    # with balanced data and no negative estimate both methods agree (Searle, Casella and McCulloch 1992)
    formula = pytest.importorskip("statsmodels.formula.api")
    scores = drawn(10, 4, 3, seed=4)
    found = variance_components(scores)[:, 0]
    assert (found > 0).all()
    parts = {"c": "0 + C(c)", "w": "0 + C(w)", "o": "0 + C(o)", "cw": "0 + C(c):C(w)", "co": "0 + C(c):C(o)"}
    parts["wo"] = "0 + C(w):C(o)"
    model = formula.mixedlm("y ~ 1", frame(scores), groups=np.ones(scores.size), vc_formula=parts)
    fitted = model.fit(reml=True, method=["lbfgs"])
    by_name = dict(zip(model.exog_vc.names, fitted.vcomp, strict=True))
    likely = [*(by_name[name] for name in ("c", "w", "o", "cw", "co", "wo")), fitted.scale]
    np.testing.assert_allclose(found, likely, rtol=0.02)


def test_components_are_unbiased():
    found = np.stack([variance_components(drawn(12, 4, 2, seed)) for seed in range(600)])[..., 0]
    error = found.std(axis=0) / np.sqrt(len(found))
    assert (np.abs(found.mean(axis=0) - TRUE**2) < 4 * error).all()


def test_icc2_of_shrout_and_fleiss():
    ratings = np.array(
        [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float
    )
    single, average = icc2(ratings)  # Psychological Bulletin 86, table 4
    assert (round(float(single), 2), round(float(average), 2)) == (0.29, 0.62)


def test_what_follows_from_the_components():
    scores = drawn(40, 4, 2, seed=3)
    found = Reliability(("PDI",), tuple(f"C{n}" for n in range(40)), scores)
    c, w, o, cw, co, wo, rest = found.components[:, 0]
    assert found.error()[0] == pytest.approx(w + o + cw + co + wo + rest)
    assert found.error(4, 2, relative=True)[0] == pytest.approx(cw / 4 + co / 2 + rest / 8)
    assert found.generalizability()[0] == pytest.approx(c / (c + cw + co + rest))
    # the mean over forms: what a repetition of the study with forms as many would correlate, on average
    assert found.generalizability(4, 2)[0] == pytest.approx(c / (c + cw / 4 + co / 2 + rest / 8))
    table = found.to_json()
    assert json.loads(json.dumps(table, allow_nan=False)) == table
    assert list(table["variance"]) == list(COMPONENTS)
    assert table["standard_error"]["one_form"]["PDI"] == pytest.approx(np.sqrt(w + o + cw + co + wo + rest))


def test_negative_estimates_count_as_nothing():
    scores = drawn(10, 4, 2, seed=2, deviations=np.array([10.0, 0, 0, 0, 0, 0, 5]))
    assert (variance_components(scores) < 0).any()
    assert (Reliability(("PDI",), ("A",) * 10, scores).components >= 0).all()


def test_conditions_of_a_world_in_which_forms_make_no_difference(vsm13):
    countries = usual_countries()
    assert len(countries) == 13
    found = measure_reliability(WorldRespondent(load_census()), Administration(vsm13), countries, EXPECTED)
    assert found.scores.shape == (13, 8, 2, 6)
    np.testing.assert_allclose(found.components[1:], 0, atol=1e-9)
    published = np.stack([country.vector(vsm13.dimension_ids) for country in countries])
    np.testing.assert_allclose(found.components[0], (1 - BIAS_LEFT) ** 2 * published.var(axis=0, ddof=1), rtol=1e-6)
    np.testing.assert_allclose(found.generalizability(), np.ones(6))


def test_order_that_moves_all_countries_alike(vsm13):
    class Placed(WorldRespondent):
        def _stand(self, form):
            stand = super()._stand(form)
            shift = 10.0 if form.order == "reversed" else 0.0
            return replace(stand, profile=stand.profile + shift)

    found = measure_reliability(Placed(load_census()), Administration(vsm13), usual_countries(), EXPECTED)
    np.testing.assert_allclose(found.components[2], 50.0, rtol=1e-6)  # two orders 10 points apart
    np.testing.assert_allclose(found.generalizability(), np.ones(6), atol=1e-6)  # they do not change places
    single, average = found.icc2
    assert (single < average).all()
    assert (average < 1).all()


def test_answers_that_never_vary(vsm13, neutral_answers):
    found = measure_reliability(ScriptedRespondent(neutral_answers), Administration(vsm13), usual_countries(), EXPECTED)
    assert np.isnan(found.generalizability()).all()
    assert np.isnan(found.icc2).all()
    np.testing.assert_array_equal(found.error(), np.zeros(6))
    json.dumps(found.to_json(), allow_nan=False)


def test_bad_conditions(vsm13, neutral_answers):
    respondent, form = ScriptedRespondent(neutral_answers), Administration(vsm13)
    with pytest.raises(TargetError, match=r"^reliability wants at least 10 countries, each once; got JPN, USA$"):
        measure_reliability(respondent, form, [load_target("JPN"), load_target("USA")], EXPECTED)
    with pytest.raises(TargetError, match="each once"):
        measure_reliability(respondent, form, [load_target("JPN")] * 12, EXPECTED)
    one = replace(vsm13, items=tuple(replace(item, wordings=item.wordings[:1]) for item in vsm13.items))
    with pytest.raises(InstrumentError, match="wants two wordings or more of every item, vsm13-own has 1 of some"):
        measure_reliability(respondent, Administration(one), usual_countries(), EXPECTED)
    silent = ScriptedRespondent(neutral_answers, valid_mass=1e-12)
    with pytest.raises(ModelError, match=r"^scripted, 'You live in .*': the model gives no probability"):
        measure_reliability(silent, form, usual_countries(), EXPECTED)
