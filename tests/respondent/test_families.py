"""Every family gives in one pass, or item by item, what a plain forward pass of each item gives."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from families import FAMILIES, PAGE, Family, table
from hofsteer import Respondent, SoftPrompt
from hofsteer.instruments import Administration
from hofsteer.respondent import hf
from hofsteer.respondent.hf import HFRespondent

SAME_AS_PLAIN = 1e-5


@pytest.fixture(scope="module", params=FAMILIES, ids=[family.name for family in FAMILIES])
def family(request) -> Family:
    return request.param


@pytest.fixture(scope="module")
def respondent(family, tiny_tokenizer, tmp_path_factory) -> HFRespondent:
    return Respondent.from_pretrained(str(family.save(tmp_path_factory.mktemp("family"), tiny_tokenizer)))


@pytest.fixture(scope="module")
def soft_prompts(respondent) -> np.ndarray:
    rng = np.random.default_rng([5, 7])
    return (rng.normal(size=(3, 4, respondent.width)) * respondent.spread).astype(np.float32)


def test_reads_what_a_plain_forward_pass_gives(respondent, family, short, soft_prompts, plain_mass, caplog):
    administration = Administration(short)
    with caplog.at_level(logging.WARNING):
        responses = respondent.respond([administration], soft_prompts)
    said = [record.message for record in caplog.records if "one by one" in record.message]
    assert respondent.uses_trie == family.trie, said
    assert len(said) == (not family.trie)  # one line says so
    for candidate, prompt in enumerate(soft_prompts):
        mass = plain_mass(respondent, administration, prompt)
        valid = mass.sum(axis=-1)
        np.testing.assert_allclose(responses.valid_mass[candidate, 0], valid, rtol=0, atol=SAME_AS_PLAIN)
        np.testing.assert_allclose(
            responses.probabilities[candidate, 0], mass / valid[:, None], rtol=0, atol=SAME_AS_PLAIN
        )
    assert np.ptp(responses.probabilities, axis=2).max() > 0.01  # items are answered differently
    assert np.ptp(responses.probabilities, axis=0).max() > 0.001  # and candidates answer differently


def test_an_exported_soft_prompt_reads_the_same(respondent, short, soft_prompts, tmp_path):
    before = respondent.respond([Administration(short)], soft_prompts[:1])
    SoftPrompt(soft_prompts[0], respondent.settings.id).save(tmp_path / "adapter")
    again = SoftPrompt.load(tmp_path / "adapter").values[None]
    np.testing.assert_array_equal(
        respondent.respond([Administration(short)], again).probabilities, before.probabilities
    )


def test_a_window_that_is_off_by_one_is_found(tiny_tokenizer, short, tmp_path, monkeypatch):
    """The self-check sees a mask that allows one token too many."""
    family = next(family for family in FAMILIES if family.name == "Mistral")
    model = Respondent.from_pretrained(str(family.save(tmp_path, tiny_tokenizer)))
    right = hf.row_masks

    def wrong(model, length):
        mask, plain = right(model, length)
        return mask | torch.roll(mask, -1, dims=-1).tril(), plain

    monkeypatch.setattr(hf, "row_masks", wrong)
    model.respond([Administration(short)])
    assert not model.uses_trie


def test_a_scale_by_place_in_the_sequence_is_found(tiny_tokenizer, short, tmp_path):
    """Llama 4 scales queries by their place in what is passed, from the 8,192nd on: here from the 16th."""
    llama4 = next(family for family in FAMILIES if family.name == "Llama 4")
    family = replace(llama4, options={**llama4.options, "floor_scale": 16})
    model = Respondent.from_pretrained(str(family.save(tmp_path, tiny_tokenizer)))
    model.respond([Administration(short)])
    assert not model.uses_trie


def test_the_page_has_this_table():
    assert PAGE.read_text(encoding="utf-8").endswith(table())
