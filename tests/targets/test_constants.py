import numpy as np
import pytest

from hofsteer.errors import TargetError
from hofsteer.targets import load_constants


@pytest.mark.parametrize(("kind", "value"), [("midpoint", 50.0), ("none", 0.0)])
def test_uniform_constants(kind, value):
    constants = load_constants(kind, ["PDI", "IDV", "MAS"])
    assert constants.kind == kind
    assert constants.values.dtype == np.float64
    np.testing.assert_array_equal(constants.values, [value] * 3)
    assert f"C = {value:.0f}" in constants.source


def test_unknown_kind_names_the_nearest():
    with pytest.raises(TargetError, match=r"midpoint, none, got 'midpiont'; did you mean 'midpoint'\?$"):
        load_constants("midpiont", ["PDI"])
