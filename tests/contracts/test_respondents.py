"""What every respondent promises, whoever answers."""

from dataclasses import replace

import numpy as np
import pytest

from hofsteer.errors import InstrumentError, SoftPromptError
from hofsteer.instruments import Administration, load_instrument
from hofsteer.respondent import ScriptedRespondent
from hofsteer.world import KINDS, WorldRespondent, load_cases, load_census

NAMES = ["vsm13-own", "ivs10", "vignettes", "style12"]
CASES = load_cases()


def scripted(instrument):
    rng = np.random.default_rng([5, 1])
    answers = np.where(instrument.option_mask, rng.uniform(0.1, 1, instrument.option_values.shape), 0)
    return ScriptedRespondent(answers / answers.sum(axis=1, keepdims=True), valid_mass=0.9)


def world(instrument):
    return WorldRespondent(load_census(), seed=3)


MAKERS = {"scripted": scripted, "world": world} | {
    f"world-{case.id}": lambda instrument, case=case: case.respondent()
    for case in (CASES[f"{kind}-{n}"] for kind in KINDS for n in ((1, 2) if kind == "style" else (1,)))
}


@pytest.fixture(scope="module", params=NAMES)
def instrument(request):
    return load_instrument(request.param)


@pytest.fixture(scope="module", params=MAKERS)
def respondent(request, instrument):
    return MAKERS[request.param](instrument)


@pytest.fixture
def prompts(respondent):
    values = np.random.default_rng([5, 2]).normal(size=(7, 3, respondent.width)).astype(np.float32)
    values.flags.writeable = False
    return values


@pytest.fixture
def forms(instrument):
    plain = Administration(instrument)
    return [
        plain,
        replace(plain, order="reversed"),
        replace(plain, wording=1, system="You live in Japan."),
        replace(plain, labels="letters"),
    ]


def test_shapes_and_sums(respondent, instrument, forms, prompts):
    responses = respondent.respond(forms, prompts)
    n_items, n_options = instrument.option_values.shape
    assert responses.probabilities.shape == (7, 4, n_items, n_options)
    assert responses.valid_mass.shape == (7, 4, n_items)
    np.testing.assert_array_equal(responses.option_mask, instrument.option_mask)
    assert responses.failures == (None,) * 7
    np.testing.assert_allclose(responses.probabilities.sum(axis=-1), 1, rtol=0, atol=1e-9)
    assert (responses.probabilities[..., ~instrument.option_mask] == 0).all()
    assert (responses.probabilities >= 0).all()
    assert ((responses.valid_mass > 0) & (responses.valid_mass <= 1)).all()


def test_no_soft_prompt_is_one_candidate_like_a_soft_prompt_of_zeros(respondent, forms):
    naive = respondent.respond(forms)
    zeros = respondent.respond(forms, np.zeros((2, 5, respondent.width), dtype=np.float32))
    assert naive.probabilities.shape[0] == naive.valid_mass.shape[0] == len(naive.failures) == 1
    for row in zeros.probabilities:
        np.testing.assert_allclose(row, naive.probabilities[0], rtol=0, atol=1e-12)


def test_answering_is_pure(respondent, forms, prompts):
    first = respondent.respond(forms, prompts)
    respondent.respond(forms[::-1], np.array(prompts[:2] * 3))
    respondent.respond(forms[:1])
    again = respondent.respond(forms, prompts)
    assert first.probabilities.tobytes() == again.probabilities.tobytes()
    assert first.valid_mass.tobytes() == again.valid_mass.tobytes()


def test_a_candidate_does_not_depend_on_its_batch(respondent, forms, prompts):
    together = respondent.respond(forms, prompts).probabilities
    for p in range(7):
        alone = respondent.respond(forms, prompts[p : p + 1]).probabilities[0]
        np.testing.assert_allclose(alone, together[p], rtol=0, atol=1e-12)
    turned = respondent.respond(forms, prompts[::-1]).probabilities
    np.testing.assert_allclose(turned[::-1], together, rtol=0, atol=1e-12)


def test_a_form_does_not_depend_on_the_forms_beside_it(respondent, forms, prompts):
    together = respondent.respond(forms, prompts).probabilities
    for a, form in enumerate(forms):
        alone = respondent.respond([form], prompts).probabilities[:, 0]
        np.testing.assert_allclose(alone, together[:, a], rtol=0, atol=1e-12)


def test_answers_are_in_canonical_order_however_they_were_shown(respondent, instrument):
    """Without a soft prompt and a style, the order in which options are shown changes nothing."""
    forms = [Administration(instrument, order=order) for order in ("listed", "reversed")]
    listed, turned = respondent.respond(forms).probabilities[0]
    np.testing.assert_allclose(listed, turned, rtol=0, atol=1e-12)
    assert np.abs(listed - listed[:, ::-1]).max() > 0.05  # or the test would see nothing


def test_the_mean_row_of_a_soft_prompt_decides(respondent, forms, prompts):
    """True of these simulated respondents; a language model may do otherwise."""
    mean = prompts.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    found = [respondent.respond(forms, p).probabilities for p in (prompts, mean)]
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-5)


def test_wrong_width_and_mixed_instruments_are_refused(respondent, forms):
    with pytest.raises(SoftPromptError, match="want soft prompts"):
        respondent.respond(forms, np.zeros((2, 3, respondent.width + 1), dtype=np.float32))
    with pytest.raises(InstrumentError, match="want administrations of one instrument"):
        respondent.respond([forms[0], Administration(load_instrument("vsm13-cat"))])


def test_a_broken_candidate_fails_alone(respondent, forms, prompts):
    broken = np.array(prompts)
    broken[2] = np.nan
    responses = respondent.respond(forms, broken)
    assert [reason is not None for reason in responses.failures] == [False, False, True] + [False] * 4
    assert np.isnan(responses.probabilities[2]).all()
    assert np.isfinite(responses.probabilities[[0, 1, 3, 4, 5, 6]]).all()
