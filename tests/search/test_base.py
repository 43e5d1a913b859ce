import pytest

from hofsteer.errors import ConfigError
from hofsteer.search import OPTIMIZERS, DifferentialEvolution, make_optimizer


def test_make_optimizer_passes_settings_on():
    settings = {"population_size": 12, "strategy": "best/1", "seed": 4}
    assert make_optimizer("de", **settings) == DifferentialEvolution(**settings)
    assert OPTIMIZERS["de"] is DifferentialEvolution


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("dE", {}, ", got 'dE'; did you mean 'de'?"),
        ("simplex", {}, "search wants one of "),
        (
            "de",
            {"diferential_weight": 0.5},
            "search 'de' has no setting 'diferential_weight'; did you mean 'differential_weight'?",
        ),
        ("de", {"population_size": 3}, "population_size wants an integer of at least 4, got 3"),
    ],
)
def test_make_optimizer_refuses_in_one_line(name, settings, message):
    with pytest.raises(ConfigError) as refused:
        make_optimizer(name, **settings)
    if name == "simplex":  # the message ends there: nothing is near
        assert str(refused.value).endswith("got 'simplex'")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
