import numpy as np
import pytest

from hofsteer.errors import TargetError
from hofsteer.instruments import load_instrument
from hofsteer.targets import constants_for, load_constants

VSM13, IVS10 = load_instrument("vsm13"), load_instrument("ivs10")


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


def test_default_follows_the_instrument():
    for instrument, kind, value in ((VSM13, "midpoint", 50.0), (IVS10, "none", 0.0)):
        constants = constants_for(instrument)
        assert constants.kind == kind
        np.testing.assert_array_equal(constants.values, [value] * len(instrument.dimensions))
    assert constants_for(VSM13, "none").kind == "none"
    with pytest.raises(TargetError, match="did you mean 'midpoint'"):
        constants_for(VSM13, "midpiont")


def test_an_instrument_with_its_own_zero_takes_no_constants():
    assert constants_for(IVS10, "none").source == "C = 0: the instrument has its own zero"
    with pytest.raises(TargetError, match=r"^ivs10 has its own zero: want constants none, got 'midpoint'$"):
        constants_for(IVS10, "midpoint")
