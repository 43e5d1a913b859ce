"""The numbers behind a verdict, each computed anew from the answers."""

import numpy as np
import pytest

from hofsteer.evaluation.evidence import Question, collect
from hofsteer.instruments import Administration, load_instrument
from hofsteer.targets import complete_countries, load_constants
from hofsteer.world import load_cases, load_census


def collected(name, n=3):
    """Respondent, soft prompts, question and evidence of a case of the world."""
    case = load_cases()[name]
    respondent = case.respondent(load_census(), seed=1)
    survey = respondent.census.survey.instrument
    forms = [Administration(survey, wording=w, order=o) for w in (0, 1, 2) for o in ("listed", "reversed")]
    question = Question(
        target=case.target(),
        fitted=tuple(forms[:4]),
        held_out=tuple(forms[4:]),
        constants={"midpoint": load_constants("midpoint", survey.dimension_ids)},
        countries=complete_countries(),
        elsewhere={},
        choices=None,
        persona=f"You live in {case.country.in_sentence}.",
        noise_floor=10.0,
    )
    prompts = respondent.soft_prompts_to(case.country.profiles[survey.id], question.fitted, range(n))
    return respondent, prompts, question, collect(respondent, prompts, question)


@pytest.fixture(scope="module")
def coupled():
    return collected("coupled-1")


def leanings(respondent, prompts):
    """By hand, for each soft prompt: level in steps from the middle, shares of end options and of middle options."""
    style = load_instrument("style12")
    forms = [Administration(style, order=order) for order in ("listed", "reversed")]
    found = []
    for answers in respondent.respond(forms, prompts).probabilities:
        level, ends, middle = [], [], []
        for i, item in enumerate(style.items):
            values = [option.value for option in item.options]
            shares = answers[:, i, : len(values)].mean(axis=0)
            half = (max(values) - min(values)) / 2
            level.append(2 * (shares @ values - (max(values) + min(values)) / 2) / half)
            ends.append((shares[0] + shares[-1], 2 / len(values)))
            if len(values) % 2:
                middle.append((shares[len(values) // 2], 1 / len(values)))
        found.append((level, ends, middle))
    return found


def beyond_even(shares):
    return np.mean([(share - even) / (1 - even) for share, even in shares])


@pytest.mark.parametrize("name", ["style-1", "coupled-1"])
def test_answer_style_before_and_after(name):
    respondent, prompts, _, evidence = collected(name)
    before, *after = leanings(respondent, None) + leanings(respondent, prompts)
    assert len(evidence.styles.steered) == len(after) == 3
    for found, (level, ends, middle) in zip(
        (evidence.styles.naive, *evidence.styles.steered), (before, *after), strict=True
    ):
        assert 2 * found.directional == pytest.approx(np.mean(level))
        assert found.extreme == pytest.approx(beyond_even(ends))
        assert found.midpoint == pytest.approx(beyond_even(middle))
    moved = max(
        abs(getattr(evidence.styles.naive, index) - getattr(evidence.styles.steered[0], index))
        for index in ("directional", "extreme", "midpoint", "position")
    )
    assert (moved > 0.1) == (name == "style-1")
    table = evidence.styles.to_json()
    assert table["steered"][1]["position"] == evidence.styles.steered[1].position


def test_style_drift_is_the_mean_of_what_each_answer_moves(coupled):
    respondent, prompts, _, evidence = coupled
    style = load_instrument("style12")
    for s, prompt in enumerate(prompts):
        moved = []
        for order in ("listed", "reversed"):
            form = [Administration(style, order=order)]
            before, after = (respondent.respond(form, p).probabilities[0, 0] for p in (None, prompt[None]))
            for i, item in enumerate(style.items):
                values = np.array([option.value for option in item.options])
                step = (values.max() - values.min()) / 4
                moved.append(abs((after - before)[i, : len(values)] @ values) / step)
        assert evidence.style_drift[s] == pytest.approx(np.mean(moved))


def test_losses_of_seeds_and_variance_kept(coupled):
    respondent, prompts, question, evidence = coupled
    instrument, values = question.instrument, np.arange(1.0, 6.0)
    goal = question.target.vector(instrument.dimension_ids)
    for forms, losses in ((question.fitted, evidence.fitted_losses), (question.held_out, evidence.held_out_losses)):
        answers = respondent.respond(forms, prompts).probabilities
        by_hand = [np.mean([np.abs(instrument.score(form) + 50 - goal).mean() for form in one]) for one in answers]
        np.testing.assert_allclose(losses, by_hand)
    assert len(set(evidence.fitted_losses)) == 3

    def variance(prompts):
        answers = respondent.respond(question.fitted, prompts).probabilities
        return ((answers * (values - (answers @ values)[..., None]) ** 2).sum(axis=-1)).mean(axis=(1, 2))

    np.testing.assert_allclose(evidence.variance_kept, variance(prompts) / variance(None))
