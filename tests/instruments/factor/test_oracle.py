"""Against psych, GPArotation and polycor (R), which tools/factor_oracle.R ran on tests/golden/factor_data.csv."""

import json
from pathlib import Path

import numpy as np
import pytest

from hofsteer.instruments.factor.correlation import correlations, pairwise_pearson
from hofsteer.instruments.factor.extraction import extract
from hofsteer.instruments.factor.number import average_partials
from hofsteer.instruments.factor.reliability import (
    cronbach_alpha,
    determinacy,
    mcdonald_omega,
    sampling_adequacy,
    sphericity,
)
from hofsteer.instruments.factor.rotation import congruence, rotate

GOLDEN = Path(__file__).parents[2] / "golden"
ORACLE = {
    k: v if isinstance(v, dict) else np.array(v)
    for k, v in json.loads((GOLDEN / "factor_oracle.json").read_text()).items()
}
ANSWERS = np.loadtxt(GOLDEN / "factor_data.csv", delimiter=",", skiprows=1)
ONES = np.ones(len(ANSWERS))
PEARSON = pairwise_pearson(ANSWERS, ONES)


def aligned(loadings, wanted):
    """`loadings` with the columns, and the signs, of `wanted`."""
    found = congruence(wanted, loadings)
    order = np.abs(found).argmax(axis=1)
    assert sorted(order) == list(range(wanted.shape[1]))
    return loadings[:, order] * np.sign(found[np.arange(len(order)), order])


def close(found, wanted, tolerance):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)


def test_pearson():
    close(PEARSON, ORACLE["pearson"], 1e-10)


def test_polychoric():
    close(correlations(ANSWERS, ONES, "polychoric", "em").matrix, ORACLE["polychoric"], 1e-4)


def test_principal_components_and_kaiser_varimax():
    found = extract(PEARSON, 3, "components").loadings
    close(aligned(found, ORACLE["components"]), ORACLE["components"], 1e-6)
    close(aligned(rotate(found, "varimax").loadings, ORACLE["varimax"]), ORACLE["varimax"], 1e-6)


def test_minres():
    found = extract(PEARSON, 3, "minres")
    close(aligned(found.loadings, ORACLE["minres"]), ORACLE["minres"], 1e-3)
    close(found.uniquenesses, ORACLE["minres_uniquenesses"], 1e-3)
    assert found.converged
    assert not found.heywood


def test_oblimin_with_kaiser_normalisation():
    rotated = rotate(ORACLE["minres"], "oblimin")
    close(aligned(rotated.loadings, ORACLE["oblimin"]), ORACLE["oblimin"], 1e-3)
    close(np.sort(np.abs(rotated.correlations), axis=None), np.sort(np.abs(ORACLE["oblimin_phi"]), axis=None), 1e-3)
    assert rotated.converged
    assert rotated.best_starts >= 10


@pytest.mark.slow  # to import statsmodels
def test_oblimin_finds_no_worse_a_rotation_than_statsmodels():
    rotation = pytest.importorskip("statsmodels.multivariate.factor_rotation")
    loadings = ORACLE["minres"]
    length = np.sqrt((loadings**2).sum(axis=1, keepdims=True))
    wanted, _ = rotation.rotate_factors(loadings / length, "oblimin", 0, "oblique", max_tries=2000, tol=1e-9)
    close(aligned(rotate(loadings, "oblimin").loadings, wanted * length), wanted * length, 1e-5)


def test_adequacy_and_sphericity():
    overall, by_item = sampling_adequacy(PEARSON)
    close(overall, ORACLE["kmo"], 1e-6)
    close(by_item, ORACLE["kmo_items"], 1e-6)
    bartlett = sphericity(PEARSON, 400)
    close(bartlett.chi_square, ORACLE["bartlett_chi"], 1e-6)
    assert bartlett.degrees_of_freedom == 66
    assert bartlett.p == pytest.approx(float(ORACLE["bartlett_p"]), rel=1e-6)


def test_alpha_and_omega_of_the_first_four_items():
    close(cronbach_alpha(np.cov(ANSWERS[:, :4].T)), ORACLE["alpha"], 1e-6)
    close(mcdonald_omega(PEARSON[:4, :4]), ORACLE["omega"], 1e-3)


def test_average_partials():
    close(average_partials(PEARSON)[1:9], ORACLE["map"], 1e-6)


def test_determinacy():
    found = determinacy(PEARSON, ORACLE["oblimin"], ORACLE["oblimin_phi"])
    close(found**2, ORACLE["determinacy"], 1e-6)
