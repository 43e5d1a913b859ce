import pytest

from hofsteer.targets import country_of, zone_of


@pytest.mark.parametrize("code", ["JPN", "JPN@tao2024", "controls.csv:JPN", "waves/targets.csv:Japan"])
def test_the_zone_of_a_country_by_any_code(code):
    assert zone_of(code) == "Confucian"


@pytest.mark.parametrize(
    "code", ["SAU", "ARAB_COUNTRIES", "controls.csv:CHN-mirror-1", "targets.csv:Nurses", "targets.csv:de"]
)
def test_what_lies_in_no_known_zone(code):
    assert zone_of(code) is None


@pytest.mark.parametrize(
    ("code", "country"),
    [
        ("SAU", "SAU"),  # in no zone, and a country
        ("controls.csv:SAU", "SAU"),
        ("MAC@tao2024", "MAC"),  # on the map alone
        ("ARAB_COUNTRIES", None),
        ("targets.csv:Arab countries", None),
        ("controls.csv:SAU-shuffle-2", None),
        ("COUPLED-1", None),
        ("targets.csv:me", None),
    ],
)
def test_what_is_a_country(code, country):
    assert country_of(code) == country
