"""Sentences of the verdict: the cultural zone, answer style, written answers, seeds; words of claims."""

from types import SimpleNamespace

import numpy as np
import pytest

from hofsteer.evaluation.claims import Claim, Verdict
from hofsteer.evaluation.evidence import Styles, Texts
from hofsteer.evaluation.zones import ZoneFinding
from hofsteer.instruments.style import StyleIndices
from hofsteer.report.verdict import claim_rows, spread_note, style_note, texts_note, zone_note


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


def test_a_claim_refuted_by_rule_alone_shows_what_its_own_evidence_says():
    claims = (
        Claim("specific", "refuted", "refuted", (), ""),
        Claim("choices", "supported", "refuted", (), "after specific, which is refuted"),
        Claim("no-damage", "refuted", "refuted", (), "after specific, which is refuted"),
    )
    evidence = SimpleNamespace(absent={})
    for seeds, shown in ((10, "REFUTED"), (3, "(refuted)")):
        found = SimpleNamespace(verdict=Verdict((), claims, seeds, 10), evidence=evidence)
        assert [row[-1] for _, row in claim_rows(found)] == [
            shown,
            f"{shown}: after specific, which is refuted; by itself supported",
            f"{shown}: after specific, which is refuted",
        ]


def test_how_seeds_differ_beside_how_their_losses_do():
    evidence = SimpleNamespace(fitted_losses=np.array([0.5, 0.42, 0.9]), held_out_losses=np.array([3.24, 4.0, 4.76]))
    said = spread_note(evidence, 0.314)
    assert "Item means differ by 0.31 steps between seeds" in said
    assert "whose fitted losses are 0.4 to 0.9 and held-out losses 3.2 to 4.8 points" in said


def test_answer_style_in_words_is_the_mean_over_seeds():
    before = StyleIndices(directional=0.1, extreme=-0.2, midpoint=0.3, position=0.04)
    after = (StyleIndices(0.2, 0.1, 0.0, -0.4), StyleIndices(0.4, 0.3, 0.1, -0.2))
    said = style_note(Styles(before, after))
    assert "high values +0.20 and +0.60 steps" in said  # a half of a five-point scale has two
    assert (
        "end options -0.20 and +0.20, to the middle one +0.30 and +0.05, to what is shown last +0.04 and -0.30" in said
    )


def written(**changes):
    numbers = {name: np.zeros(2) for name in ("refused", "unparsable", "gap", "best", "worst")}
    numbers |= {"losses": np.array([10.0, 12.0]), "first_tokens": np.array([7.0, 7.5])}
    return texts_note(Texts(**{**numbers, **changes}, floor=13.1, first_tokens_floor=6.04))


def test_written_answers_in_words():
    assert "0.0% refuse, 0.0% cannot be parsed; 11.0 points from the target; read-out floor 13.1." in written()
    assert "First tokens at the same temperature and top-p 7.2; read-out floor 6.0." in written()
    bounds = {"best": np.array([8.0, 9.0]), "worst": np.array([14.0, 17.0])}
    said = written(refused=np.array([0.02, 0.0]), unparsable=np.array([0.0, 0.04]), **bounds)
    assert "1.0% refuse, 2.0% cannot be parsed; 11.0 points" in said
    assert "; had those been answers, 8.5 at best and 15.5 at worst; read-out floor 13.1." in said
    silent = written(refused=np.array([0.02, 0.0]), losses=np.array([np.inf, 12.0]), **bounds)
    assert "12.0 points from the target (1 of 2 seeds left an item without an answer); had those" in silent
    assert "; no loss (2 of 2 seeds" in written(losses=np.full(2, np.inf))
