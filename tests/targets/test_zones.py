import pytest

from hofsteer.targets import zone_of


@pytest.mark.parametrize("code", ["JPN", "JPN@tao2024", "controls.csv:JPN", "waves/targets.csv:Japan"])
def test_the_zone_of_a_country_by_any_code(code):
    assert zone_of(code) == "Confucian"


@pytest.mark.parametrize(
    "code", ["SAU", "ARAB_COUNTRIES", "controls.csv:CHN-mirror-1", "targets.csv:Nurses", "targets.csv:de"]
)
def test_what_lies_in_no_known_zone(code):
    assert zone_of(code) is None
