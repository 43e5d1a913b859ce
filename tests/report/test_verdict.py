"""The sentence on the target's cultural zone."""

import pytest

from hofsteer.evaluation.claims import Claim, Verdict
from hofsteer.evaluation.zones import ZoneFinding
from hofsteer.report.verdict import zone_note


def note(specific, carries="supported", **changes):
    numbers = {"inside": 9, "inside_near": 6, "outside": 30, "outside_near": 0, "elsewhere": 29, "p": 1 / 31}
    zone = ZoneFinding(**{"zone": "Confucian", "wanted": 19, "level": 0.05, **numbers, **changes})
    claims = (Claim("carries-over", carries, carries, (), ""), Claim("specific", specific, specific, (), ""))
    return zone_note(Verdict((), claims, 10, 10, zone), zone)


@pytest.mark.parametrize(
    ("specific", "changes", "begins"),
    [
        ("refuted", {}, "Specific to the zone (Confucian), not to the country: 6 of the 9 controls in it"),
        ("undecided", {}, "Specific to the zone (Confucian); whether to the country is undecided: 6 of the 9"),
        ("refuted", {"p": 0.2}, "Not shown to be specific to the zone (Confucian) either: 6 of the 9"),
        ("refuted", {"elsewhere": 18}, "Whether the soft prompts are specific to the zone (Confucian) is not said: 18"),
    ],
)
def test_the_zone_in_words(specific, changes, begins):
    assert note(specific, **changes).startswith(begins)


def test_no_word_on_the_zone_where_the_country_is_supported_or_nothing_carries_over():
    assert note("supported") == note("refuted", carries="undecided") == ""
