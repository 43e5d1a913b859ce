"""Draws, temperatures and nuclei against scipy, transformers and each other."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

from hofsteer.config import EXPECTED, ReadOut
from hofsteer.instruments import Administration
from hofsteer.respondent.base import make_responses, option_log_probabilities
from hofsteer.respondent.draws import draw_options, uniforms
from hofsteer.respondent.read_out import token_log_probabilities

PAPER = ReadOut(kind="tempered", temperature=0.8, top_p=0.8)


@pytest.mark.parametrize("temperature", [0.3, 0.8, 1.0, 2.0])
@pytest.mark.parametrize("top_p", [0.1, 0.5, 0.8, 0.95, 1.0])
def test_temperature_and_top_p_are_those_of_transformers(temperature, top_p):
    logits = torch.randn(50, 200, generator=torch.Generator().manual_seed(0)) * 3
    warped = TemperatureLogitsWarper(temperature)(None, logits)
    wanted = (warped if top_p == 1.0 else TopPLogitsWarper(top_p)(None, warped)).log_softmax(-1)
    found = token_log_probabilities(logits, ReadOut(kind="tempered", temperature=temperature, top_p=top_p))
    torch.testing.assert_close(found.exp(), wanted.exp(), rtol=0, atol=1e-6)


def test_greedy_is_the_likeliest_token_alone():
    logits = torch.tensor([[0.1, 3.0, 2.0], [torch.nan, 1.0, 2.0]])
    found = token_log_probabilities(logits, ReadOut(kind="greedy"))
    assert found[0].tolist() == [-np.inf, 0.0, -np.inf]
    assert found[1].isnan().all()


def test_respondents_without_tokens_follow_the_same_rules():
    rng = np.random.default_rng([1, 2])
    mass = rng.dirichlet(np.ones(6), size=(3, 2, 4))  # five options and all the rest, as one token
    logs = np.log(mass)
    for read_out in (EXPECTED, PAPER, ReadOut(kind="greedy"), ReadOut(kind="sampled", temperature=1.5, top_p=0.6)):
        wanted = token_log_probabilities(torch.from_numpy(logs), read_out)[..., :5].exp()
        found = np.exp(option_log_probabilities(logs[..., :5], read_out))
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


def test_draws_have_the_frequencies_of_the_probabilities():
    mass = np.array([0.1, 0.25, 0.0, 0.5])  # the rest is no option
    numbers = np.random.default_rng([3, 1]).random(20_000)
    taken = draw_options(mass, numbers)
    counts = np.bincount(taken + 1, minlength=5)
    assert counts[3] == 0
    assert chisquare(counts[[0, 1, 2, 4]], 20_000 * np.array([0.15, 0.1, 0.25, 0.5])).pvalue > 1e-3


def test_luck_belongs_to_the_question_and_never_to_the_candidate(vsm13):
    read_out = ReadOut(kind="sampled", draws=4)
    form = Administration(vsm13)
    first = uniforms(read_out, form, 3)
    assert first.shape == (4, 1)
    np.testing.assert_array_equal(first, uniforms(read_out, form, 3))
    np.testing.assert_array_equal(first[:2], uniforms(read_out.model_copy(update={"draws": 2}), form, 3))
    others = [
        uniforms(read_out, form, 4),
        uniforms(read_out, Administration(vsm13, order="reversed"), 3),
        uniforms(read_out.model_copy(update={"seed": 1}), form, 3),
        uniforms(read_out.afresh(), form, 3),
    ]
    assert len({round(float(numbers[0, 0]), 12) for numbers in [first, *others]}) == 5


def test_sampled_responses(vsm13):
    mass = np.zeros((2, 1, 24, 5))
    mass[0, :, :, 1] = 1.0
    mass[1, :, :, 2] = 0.999
    mass[1, 0, 7] = [2e-6, 0.0, 0.0, 0.0, 0.0]  # answered, and as good as never drawn
    with np.errstate(divide="ignore"):
        responses = make_responses(
            np.log(mass), vsm13.option_mask, [Administration(vsm13)], ReadOut(kind="sampled", draws=3)
        )
    np.testing.assert_array_equal(responses.probabilities[0, 0, :, 1], 1.0)
    assert responses.failures == (None, "no draw of an item took one of its options")
    assert np.isnan(responses.probabilities[1]).all()
    assert responses.unparsable[1, 0, 7] == 1.0
    assert (responses.refused == 0).all()
