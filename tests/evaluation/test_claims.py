"""From numbers to words, by rule."""

from dataclasses import replace

import numpy as np
import pytest

from hofsteer.evaluation.claims import judge
from hofsteer.evaluation.controls import control_targets
from hofsteer.evaluation.evidence import Evidence, Styles, Texts, gain
from hofsteer.evaluation.plan import Margins
from hofsteer.instruments import Administration, load_instrument
from hofsteer.instruments.style import StyleIndices
from hofsteer.targets import COORDINATES, complete_countries, load_coordinates, load_target, zone_of
from hofsteer.world import WorldRespondent, load_census
from hofsteer.world.base import make_world

MARGINS = Margins()
HOME, AWAY = "Confucian", "Catholic Europe"  # zones
EVEN = StyleIndices(0.0, 0.0, 0.0, 0.0)
CLAIMS = ("matches", "carries-over", "specific", "choices", "no-damage")


def about(value, n=10, spread=0.01):
    """One number a seed, close about a value."""
    return value + spread * np.linspace(-1, 1, n)


def evidence(n=10, **changes):
    """Evidence on which every claim is supported."""
    good = Evidence(
        losses={"midpoint": (about(3.0, n)[:, None] + np.array([0.1, -0.1]), np.array([25.0, 25.0]))},
        wordings=(2, 3),
        fitted_losses=about(1.0, n),
        mean_country_loss=15.0,
        rank=1,
        gains={"ivs10": about(0.6, n)},
        control_gains=np.linspace(-0.5, 0.4, 39),
        choice_share=about(0.9, n),
        item_spread=0.1,
        valid_mass=np.full((n, 24), 0.99),
        order_agreement=about(0.95, n),
        style_drift=about(0.05, n),
        styles=Styles(EVEN, (EVEN,) * n),
        variance_kept=about(0.9, n),
        lost={"facts": about(0.005, n, 0.001)},
        kl=about(0.02, n, 0.001),
        noise_floor=10.6,
        persona_loss=4.0,
        persona_gains={"ivs10": 0.7},
    )
    return replace(good, **changes)


def written(n=10, **changes):
    """Written answers that open every gate."""
    names = ("refused", "unparsable", "gap", "losses", "best", "worst", "first_tokens")
    good = Texts(**{name: np.zeros(n) for name in names}, floor=0.0, first_tokens_floor=0.0)
    return replace(good, **changes)


def words(found):
    verdict = judge(found, MARGINS)
    return {name: verdict.word(name) for name in CLAIMS}


def test_good_evidence_supports_everything():
    assert set(words(evidence()).values()) == {"supported"}
    assert judge(evidence(), MARGINS).closed == ()


@pytest.mark.parametrize("n", [1, 2, 3, 9])
def test_fewer_than_ten_seeds_give_no_verdict_however_good(n):
    verdict = judge(evidence(n), MARGINS)
    assert not verdict.given
    assert all(verdict.word(name) is None for name in CLAIMS)


@pytest.mark.parametrize(
    ("changes", "gate"),
    [
        ({"valid_mass": np.full((10, 24), 0.85)}, "valid-mass"),
        ({"valid_mass": np.where(np.arange(24) == 7, 0.70, 0.99) * np.ones((10, 1))}, "valid-mass"),
        ({"order_agreement": about(0.6)}, "order"),
        ({"style_drift": about(0.5)}, "style-drift"),
        ({"losses": {"midpoint": (np.full((10, 2), 1.0), np.array([8.0, 8.0]))}}, "nothing-to-move"),
        (
            {"losses": {"midpoint": (np.full((10, 2), 1.0), np.array([12.0, 12.0]))}, "noise_floor": 14.0},
            "nothing-to-move",
        ),
        ({"texts": written(refused=about(0.08), unparsable=about(0.06))}, "refusals"),
        ({"texts": written(gap=about(14.0))}, "text"),
    ],
)
def test_nothing_stands_behind_a_closed_gate(changes, gate):
    verdict = judge(evidence(**changes), MARGINS)
    assert [closed.name for closed in verdict.closed] == [gate]
    assert {verdict.word(name) for name in CLAIMS} == {"refuted"}
    assert all(claim.because == f"the gate {gate} is closed" for claim in verdict.claims)


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"losses": {"midpoint": (about(14.0)[:, None] * np.ones(2), np.array([25.0, 25.0]))}}, "matches"),
        ({"losses": {"midpoint": (about(7.0)[:, None] * np.ones(2), np.array([12.0, 12.0]))}}, "matches"),  # over half
        ({"mean_country_loss": 1.5}, "matches"),
        ({"rank": 4}, "matches"),
        ({"gains": {"ivs10": about(0.6), "globe": about(0.05)}}, "carries-over"),
        ({"control_gains": np.linspace(0.2, 1.0, 39)}, "specific"),
        ({"choice_share": about(0.2)}, "choices"),
        ({"lost": {"facts": about(0.0), "refusals": about(0.1)}}, "no-damage"),
        ({"kl": about(0.2)}, "no-damage"),
        ({"variance_kept": about(0.3)}, "no-damage"),
    ],
)
def test_a_claim_that_fails_takes_the_later_ones_with_it(changes, first):
    found = words(evidence(**changes))
    place = CLAIMS.index(first)
    assert [found[name] for name in CLAIMS] == ["supported"] * place + ["refuted"] * (5 - place)


def test_under_every_policy_of_constants():
    """A match under one constant alone is no match."""
    good = evidence().losses["midpoint"]
    bad = (good[0] + 20, good[1])
    assert words(evidence(losses={"fitted": good, "midpoint": bad}))["matches"] == "refuted"


def test_between_the_bounds_it_is_undecided_and_says_how_many_seeds_it_takes():
    few = np.linspace(-0.5, 0.1, 39)
    verdict = judge(evidence(gains={"ivs10": about(0.16, spread=0.3)}, control_gains=few), MARGINS)
    claim = verdict.claims[1]
    assert (claim.alone, claim.word) == ("undecided", "undecided")
    assert 10 < claim.seeds_needed < 100
    assert verdict.claims[2].word == "undecided"  # it needs the one before
    assert "after carries-over" in verdict.claims[2].because


def test_what_was_not_measured_is_undecided_and_never_supported():
    found = words(evidence(kl=None))
    assert found["no-damage"] == "undecided"
    assert words(evidence(choice_share=None))["choices"] == "undecided"
    assert words(evidence(gains={}, control_gains=np.zeros(0)))["carries-over"] == "undecided"


def test_too_few_controls_decide_nothing():
    assert words(evidence(control_gains=np.linspace(-0.5, 0.4, 38)))["specific"] == "undecided"


def test_few_exceeding_controls_are_undecided_many_refute():
    some = np.where(np.arange(39) < 3, 0.9, 0.0)
    assert words(evidence(control_gains=some))["specific"] == "undecided"
    assert words(evidence(control_gains=np.where(np.arange(39) < 1, 0.9, 0.0)))["specific"] == "supported"  # p = 2 / 40
    assert words(evidence(control_gains=np.where(np.arange(39) < 10, 0.9, 0.0)))["specific"] == "refuted"


def with_controls(inside, outside, near_inside, near_outside, n=10, **changes):
    """Evidence whose G is 0.6; controls inside and outside the zone, and how many of each come as near."""
    gains = [0.9] * near_inside + [0.0] * (inside - near_inside) + [0.9] * near_outside
    gains += [0.0] * (outside - near_outside)
    zones = (HOME,) * inside + (AWAY,) * outside
    return evidence(n, control_gains=np.array(gains), zone=HOME, control_zones=zones, **changes)


@pytest.mark.parametrize(
    ("controls", "said"),
    [
        ((9, 30, 0, 0), "country"),
        ((9, 30, 1, 0), "country"),  # p = 2 / 40
        ((9, 30, 6, 0), "zone"),
        ((9, 30, 2, 0), "zone or country"),  # 2 of 39: undecided
        ((9, 30, 6, 1), None),  # p outside = 2 / 31
        ((9, 30, 0, 6), None),
        ((3, 36, 0, 6), None),  # no control of the zone comes near
    ],
)
def test_specific_to_the_zone_by_rule(controls, said):
    assert judge(with_controls(*controls), MARGINS).specific_to == said


def test_the_numbers_of_the_zone():
    zone = judge(with_controls(9, 30, 6, 1), MARGINS).zone
    assert (zone.zone, zone.inside, zone.inside_near, zone.outside, zone.outside_near) == (HOME, 9, 6, 30, 1)
    assert zone.p == pytest.approx(2 / 31)
    assert zone.passes is False


def test_too_few_countries_of_other_zones_are_not_enough_however_many_controls():
    found = with_controls(9, 30, 6, 0)
    for known, said in ((19, "zone"), (18, None)):
        zones = (HOME,) * 9 + (AWAY,) * known + (None,) * (30 - known)  # mirrors and shuffles lie in no zone
        verdict = judge(replace(found, control_zones=zones), MARGINS)
        assert (verdict.specific_to, verdict.zone.elsewhere, verdict.zone.wanted) == (said, known, 19)


def test_a_control_of_no_known_zone_that_comes_near_counts_against_it():
    found = with_controls(9, 30, 6, 2)
    verdict = judge(replace(found, control_zones=(HOME,) * 9 + (None,) * 2 + (AWAY,) * 28), MARGINS)
    assert verdict.specific_to is None


def test_nothing_is_said_after_a_claim_that_fails_or_behind_a_gate_or_without_a_zone():
    found = with_controls(9, 30, 6, 0)
    assert judge(replace(found, rank=9), MARGINS).specific_to is None
    assert judge(replace(found, style_drift=about(0.9)), MARGINS).specific_to is None
    assert judge(replace(found, zone=None), MARGINS).zone is None
    assert judge(with_controls(8, 30, 6, 0), MARGINS).zone is None  # 38 controls are too few for the claim


@pytest.mark.parametrize("target", ["MEX", "NOR"])
@pytest.mark.parametrize(("knows", "said"), [("zones", "zone"), ("countries", "country")])
def test_a_respondent_who_knows_no_more_of_a_country_than_its_zone(knows, said, target):
    """The same target, controls and searches; only what the respondent knows of the map differs."""
    census, mapped = load_census(), [c for c in complete_countries() if zone_of(c.code) is not None]
    if knows == "zones":
        points = {c.code: load_coordinates(c.code).vector(COORDINATES) for c in mapped}
        table = dict(zip(census.codes, census.worlds["ivs10"].profiles, strict=True))
        table |= {one: np.mean([points[c] for c in points if zone_of(c) == zone_of(one)], axis=0) for one in points}
        census = replace(census, worlds={**census.worlds, "ivs10": make_world(load_instrument("ivs10"), table, seed=2)})
    respondent = WorldRespondent(census, seed=5)
    survey, naive = census.survey.instrument, respondent.knowledge.naive.profile
    forms = [Administration(survey, order=order) for order in ("listed", "reversed")]

    def led(country, seeds):
        prompts = respondent.soft_prompts_to(country.vector(survey.dimension_ids), forms, seeds)
        return gain(respondent, prompts, load_coordinates(target), "ivs10")

    controls = control_targets(load_target(target), naive, mapped, 39, 0)
    found = evidence(
        gains={"ivs10": led(load_target(target), range(10))},
        control_gains=np.array([led(control, [100 + k])[0] for k, control in enumerate(controls)]),
        zone=zone_of(target),
        control_zones=tuple(zone_of(control.code) for control in controls),
    )
    assert judge(found, MARGINS).specific_to == said
