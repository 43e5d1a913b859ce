"""Scoring models of an instrument file, against another implementation or a plain loop over respondents, to 1e-10."""

import numpy as np
import pytest

from hofsteer.errors import InstrumentError
from hofsteer.instruments import load_instrument
from hofsteer.instruments.scoring import score_weights

RNG = np.random.default_rng(20261127)
HEAD = """\
format = 1
id = "toy"
title = "Toy"
source = "made up"
licence = "none needed"
language = "en"
constants = "fixed"
{more}
[scales]
five = ["1", "2", "3", "4", "5"]
top = [{{ text = "no", value = 0 }}, {{ text = "a bit", value = 0 }}, {{ text = "yes", value = 1 }}]
"""
ITEM = """
[[items]]
id = "{0}"
construct = "x"
scale = "{1}"
wordings = ["{0}?"]
"""
CLOSE = {"rtol": 0, "atol": 1e-10}


def toy(tmp_path, dimensions, more="", scales=("five",) * 6):
    path = tmp_path / "toy.toml"
    path.write_text(
        HEAD.format(more=more) + dimensions + "".join(ITEM.format(f"q{i}", s) for i, s in enumerate(scales, 1))
    )
    return load_instrument(path)


def dimension(name, how):
    return f'[[dimensions]]\nid = "{name}"\nname = "{name}"\n{how}\n'


def factors(method, names, loadings, means, deviations, uniquenesses=None, more=""):
    lines = [f'[factors]\nmethod = "{method}"\ndimensions = {names}\n{more}']
    for i, row in enumerate(loadings):
        lines.append(f"[factors.items.q{i + 1}]\nmean = {means[i]!r}\ndeviation = {deviations[i]!r}")
        lines.append(f"loadings = {row.tolist()}")
        if uniquenesses is not None:
            lines.append(f"uniqueness = {uniquenesses[i]!r}")
    return "\n".join([*lines, *(dimension(n, "") for n in names)]).replace("np.float64(", "").replace(")", "")


def people(n=400, items=6):
    common = RNG.normal(size=(n, 2)) @ RNG.normal(size=(2, items))
    return np.clip(np.round(3 + common + RNG.normal(size=(n, items))), 1, 5)


def test_sums_and_means_with_reverse_keys(tmp_path):
    toy_ = toy(
        tmp_path, dimension("S", 'sum = ["q1", "-q2", "q6"]') + dimension("M", 'mean = ["-q3", "q4"]\nintercept = 2')
    )
    answers = people()
    wanted = [[r[0] + (6 - r[1]) + r[5], ((6 - r[2]) + r[3]) / 2 + 2] for r in answers]
    np.testing.assert_allclose(toy_.score_means(answers), wanted, **CLOSE)


def test_share_of_a_pole_is_the_percentage_of_answers_there(tmp_path):
    toy_ = toy(tmp_path, dimension("P", 'share = ["q1", "-q2"]'), scales=("top", "top"))
    chosen = RNG.integers(0, 3, size=(50, 2))
    wanted = 100 * np.mean([int(a == 2) + int(b != 2) for a, b in chosen]) / 2
    shares = np.stack([(chosen == k).mean(axis=0) for k in range(3)], axis=-1)
    np.testing.assert_allclose(toy_.score(shares), [wanted], **CLOSE)


def test_person_centring(tmp_path):
    toy_ = toy(
        tmp_path, dimension("C", 'mean = ["q1", "q2"]') + dimension("D", 'sum = ["q3"]'), "person_centred = true"
    )
    answers = people()
    centred = answers - answers.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(toy_.score_means(answers), np.stack([centred[:, :2].mean(1), centred[:, 2]], 1), **CLOSE)
    np.testing.assert_allclose(toy_.score_means(answers.mean(axis=0)), toy_.score_means(answers).mean(axis=0), **CLOSE)


def test_a_variant_of_a_person_centred_instrument_is_one_too(tmp_path):
    base = toy(tmp_path, dimension("C", 'mean = ["q1", "q2"]'), "person_centred = true")
    (tmp_path / "turned.toml").write_text(
        'format = 1\nextends = "toy"\nid = "turned"\ntitle = "t"\nsource = "s"\n'
        + dimension("C", 'mean = ["q2", "q1"]')
    )
    np.testing.assert_allclose(load_instrument(tmp_path / "turned.toml").weights, base.weights, **CLOSE)


def test_components_with_varimax_and_rescaling_are_those_of_scikit_learn(tmp_path):
    sklearn = pytest.importorskip("sklearn.decomposition")
    answers = people()
    mean, deviation = answers.mean(axis=0), answers.std(axis=0)
    standardised = (answers - mean) / deviation
    pca = sklearn.PCA(2, svd_solver="full").fit(standardised)
    turn = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])  # any rotation, such as varimax's
    whitened = pca.transform(standardised) / np.sqrt(pca.explained_variance_ * 399 / 400)
    wanted = whitened @ turn * [10, -2] + [50, 1]
    loadings = pca.components_.T * np.sqrt(pca.explained_variance_ * 399 / 400) @ turn
    text = factors("components", ["A", "B"], loadings, mean, deviation, more="slopes = [10, -2]\noffsets = [50, 1]")
    np.testing.assert_allclose(toy(tmp_path, text).score_means(answers), wanted, **CLOSE)


@pytest.mark.slow  # to import statsmodels
@pytest.mark.parametrize("method", ["regression", "bartlett"])
def test_factor_scores_are_those_of_statsmodels(tmp_path, method):
    statsmodels = pytest.importorskip("statsmodels.multivariate.factor")
    answers = people()
    fitted = statsmodels.Factor(answers, n_factor=2, method="ml").fit()
    wanted = fitted.factor_scoring(method=method)
    loadings, uniquenesses = np.asarray(fitted.loadings), np.asarray(fitted.uniqueness)
    # statsmodels takes the observed correlations for regression scores
    observed = f"item_correlations = {np.corrcoef(answers.T).tolist()}\n" if method == "regression" else ""
    text = factors(method, ["A", "B"], loadings, answers.mean(0), answers.std(0, ddof=1), uniquenesses, observed)
    np.testing.assert_allclose(toy(tmp_path, text).score_means(answers), wanted, **CLOSE)


def test_oblique_regression_scores_are_conditional_expectations():
    """E[f | x] of the joint normal distribution of factors and items, with the general formula S_fx S_xx^-1."""
    loadings, correlations = RNG.uniform(0.3, 0.8, size=(6, 2)), np.array([[1, 0.4], [0.4, 1]])
    uniquenesses = RNG.uniform(0.3, 0.6, size=6)
    draw = np.block([[correlations, correlations @ loadings.T], [loadings @ correlations, np.zeros((6, 6))]])
    draw[2:, 2:] = loadings @ correlations @ loadings.T + np.diag(uniquenesses)
    wanted = draw[:2, 2:] @ np.linalg.inv(draw[2:, 2:])
    np.testing.assert_allclose(score_weights("regression", loadings, uniquenesses, correlations).T, wanted, **CLOSE)
    bartlett = score_weights("bartlett", loadings, uniquenesses, correlations)
    np.testing.assert_allclose(bartlett.T @ loadings, np.eye(2), **CLOSE)  # unbiased given the factors


ONE = np.full((6, 1), 0.7)


@pytest.mark.parametrize(
    ("dimensions", "more", "wanted"),
    [
        (dimension("S", ""), "", "dimension S wants one of weights, sum, mean, share .*got none"),
        (dimension("S", 'sum = ["q1"]\nmean = ["q2"]'), "", "got sum and mean"),
        (dimension("S", 'sum = ["-q11"]'), "", "names item 'q11', which is not in the instrument; did you mean"),
        (dimension("S", 'sum = ["q1", "-q1"]'), "", "got q1 twice"),
        (dimension("S", 'share = ["q1"]'), "", "those of q1 count 1, 2, 3, 4, 5"),
        (factors("regression", ["S"], ONE, [3] * 6, [1] * 6), "", "item q1 wants a uniqueness"),
        (factors("bartlett", ["S"], ONE, [3] * 6, [1] * 6, [0] * 6), "", "Heywood"),
        (factors("components", ["S"], np.hstack([ONE, ONE]), [3] * 6, [1] * 6), "", "wants 1 loadings"),
        (factors("components", ["S", "T"], np.hstack([ONE, ONE]), [3] * 6, [1] * 6), "", "positive definite"),
        (factors("components", ["S"], ONE, [3] * 6, [0] * 6), "", r"deviation: .*greater than 0"),
        (factors("components", ["S"], ONE, [3] * 6, [1] * 6, more="slopes = [1, 2]"), "", "wants 1 slopes, got 2"),
        (factors("components", ["S"], ONE, [3] * 6, [1] * 6, more="slope = [1]"), "", "did you mean 'slopes'"),
        (
            factors("regression", ["S"], ONE, [3] * 6, [1] * 6, [0.5] * 6, "correlations = [[2.0]]"),
            "",
            "symmetric with 1 on the diagonal",
        ),
    ],
)
def test_a_declaration_is_checked_on_load(tmp_path, dimensions, more, wanted):
    with pytest.raises(InstrumentError, match=wanted) as caught:
        toy(tmp_path, dimensions, more)
    assert str(caught.value).startswith("toy.toml: ")
    assert "\n" not in str(caught.value)


def test_person_centring_wants_one_scale(tmp_path):
    with pytest.raises(InstrumentError, match="q1 counts 1 to 5, q2 0 to 1"):
        toy(tmp_path, dimension("S", 'sum = ["q1"]'), "person_centred = true", scales=("five", "top"))
