"""The benchmark of coverage, with fewer samples; docs/LOG.md has the thousand."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from target_coverage import STRATA, clustered, coverage


@pytest.mark.parametrize("estimator", ["linearised", "bootstrap"])
def test_intervals_hold_the_truth(estimator):
    shares = coverage(clustered, STRATA * 7, 200, estimator)
    assert np.abs(shares.mean() - 0.95) < 0.025  # six indices of 200 samples: a standard error of about 0.6 %
