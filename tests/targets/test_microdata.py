import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hofsteer.instruments import load_instrument
from hofsteer.targets import constants_for
from hofsteer.targets.microdata import Sample, estimate_groups, kish, overall_scores, shrunken

ORACLE = json.loads((Path(__file__).parents[1] / "golden" / "survey_oracle.json").read_text())
DESIGNS = ["plain", "weighted", "clustered", "stratified", "both"]


@pytest.fixture(scope="module")
def index():
    """One index of three items, as in tools/survey_oracle.R."""
    vsm = load_instrument("vsm13")
    items = tuple(replace(item, id=name) for item, name in zip(vsm.items, "abc", strict=False))
    weights = tuple(ORACLE["index"].items())
    return replace(vsm, items=items, dimensions=(replace(vsm.dimensions[0], weights=weights),))


def oracle_sample(design):
    data = {name: np.array(column, dtype=float) for name, column in ORACLE["data"].items()}
    n = len(data["a"])
    return Sample(
        np.stack([data["a"], data["b"], data["c"]], axis=1),
        ("all",),
        np.zeros(n, dtype=np.intp),
        np.ones(n) if design == "plain" else data["weight"],
        (data["stratum"] if design in ("stratified", "both") else np.zeros(n)).astype(np.intp),
        (data["cluster"] if design in ("clustered", "both") else np.arange(n)).astype(np.intp),
    )


@pytest.mark.parametrize("design", DESIGNS)
def test_linearised_errors_are_those_of_r_survey(design, index):
    (group,) = estimate_groups(oracle_sample(design), index, constants_for(index, "none"))
    score, error = ORACLE["results"][design]
    assert group.scores[0] == pytest.approx(score, abs=1e-9)
    assert group.errors[0] == pytest.approx(error, abs=1e-9)
    assert group.lonely == (design == "both")


@pytest.mark.parametrize("design", DESIGNS[:4])
def test_bootstrap_agrees_with_linearisation(design, index):
    (group,) = estimate_groups(
        oracle_sample(design), index, constants_for(index, "none"), "bootstrap", replicates=4000, seed=1
    )
    assert group.errors[0] == pytest.approx(ORACLE["results"][design][1], rel=0.06)


def test_groups_are_samples_of_their_own(index):
    one = oracle_sample("both")
    two = Sample(
        np.concatenate([one.answers, one.answers]),
        ("A", "B"),
        np.repeat([0, 1], len(one.answers)),
        np.tile(one.weights, 2),
        np.tile(one.strata, 2),  # the same names of strata and clusters in both
        np.tile(one.clusters, 2),
    )
    groups = estimate_groups(two, index, constants_for(index, "none"))
    assert [g.errors[0] for g in groups] == pytest.approx([ORACLE["results"]["both"][1]] * 2, abs=1e-9)
    assert overall_scores(groups, "population") == pytest.approx(groups[0].scores)


def test_a_group_of_one_cluster_has_no_error(index):
    one = oracle_sample("weighted")
    (group,) = estimate_groups(replace(one, clusters=np.zeros_like(one.clusters)), index, constants_for(index, "none"))
    assert np.isnan(group.errors).all()
    assert (group.usable, group.clusters, group.lonely) == (True, 1, 0)


def test_shrunken_scores_lie_between_score_and_mean(index):
    (group,) = estimate_groups(oracle_sample("plain"), index, constants_for(index, "none"))
    groups = [replace(group, name=str(s), scores=np.array([s])) for s in (40.0, 50.0, 60.0)]
    tau, square = 100 - group.errors[0] ** 2, group.errors[0] ** 2
    assert shrunken(groups)[0] == pytest.approx(50 - 10 * tau / (tau + square))


def test_scores_of_unknown_error_are_not_shrunken(index):
    (group,) = estimate_groups(oracle_sample("plain"), index, constants_for(index, "none"))
    groups = [replace(group, name=str(s), scores=np.array([s])) for s in (40.0, 50.0, 60.0)]
    unknown = [*groups[:2], replace(groups[2], errors=np.array([np.nan]))]
    assert np.isnan(shrunken(unknown)[2])
    assert shrunken(unknown)[:2] == pytest.approx(shrunken(groups)[:2])


def test_kish():
    assert kish(np.full(80, 3.0)) == pytest.approx(80)
