"""Every family gives in one pass, or item by item, what a plain forward pass of each item gives."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from families import FAMILIES, PAGE, Family, table
from hofsteer import Respondent, SoftPrompt
from hofsteer.config import ReadOut
from hofsteer.instruments import Administration
from hofsteer.respondent import passes
from hofsteer.respondent.generate import generate
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
    assert respondent.passes.uses_trie == family.trie, said
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


def test_late_rows_read_what_items_one_by_one_give(respondent, make_instrument, soft_prompts, monkeypatch):
    """Scales of ten: nine rows an item that differ in their last token."""
    form = Administration(make_instrument(10, 7, 10))
    found = respondent.respond([form], soft_prompts)
    monkeypatch.setattr(respondent.passes, "uses_trie", False)
    wanted = respondent.respond([form], soft_prompts)
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, rtol=0, atol=SAME_AS_PLAIN)
    np.testing.assert_allclose(found.valid_mass, wanted.valid_mass, rtol=0, atol=SAME_AS_PLAIN)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # by PEFT 0.21
def test_peft_gives_the_answers_that_hofsteer_gives(respondent, family, short, soft_prompts, tmp_path):
    """The adapter in PEFT, on the same model: the token ids of an item in, the option's log-probabilities out."""
    peft = pytest.importorskip("peft")
    SoftPrompt(soft_prompts[0], respondent.settings.id).save(tmp_path / "adapter")
    model = AutoModelForCausalLM.from_pretrained(respondent.settings.id)
    config = peft.PeftConfig.from_pretrained(tmp_path / "adapter")
    if family.name in ("MPT", "Mamba"):  # PEFT wants this number, does not know their name for it, and never uses it
        config.num_attention_heads = 1
    model = peft.PeftModel.from_pretrained(model, tmp_path / "adapter", config=config).eval()
    item = short.items[1]
    ids = respondent.prompt_ids(Administration(short), 1)
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long)).logits
    labels = [respondent.tokenizer.encode(label, add_special_tokens=False)[-1] for label in "12345"]
    wanted = logits[0, -1].softmax(-1)[labels].double().numpy()
    found = respondent.respond([Administration(short)], soft_prompts[:1])
    assert len(item.options) == 5
    np.testing.assert_allclose(found.probabilities[0, 0, 1], wanted / wanted.sum(), rtol=0, atol=SAME_AS_PLAIN)


def test_generates_what_transformers_generates(respondent, family, short, soft_prompts):
    """With next to no top-p the likeliest token is taken: greedy decoding."""
    start = respondent.prompt_ids(Administration(short), 0)
    likeliest = ReadOut(kind="generated", top_p=1e-6, max_new_tokens=6)
    numbers = np.full((1, 6), 0.5)
    ours = [texts[0] for texts in generate(respondent, torch.from_numpy(soft_prompts), start, numbers, likeliest)]
    text = respondent.embed(torch.tensor([start]))
    theirs = []
    for prompt in torch.from_numpy(soft_prompts):
        embeds = torch.cat([prompt[None], text], dim=1)
        with torch.inference_mode():
            said = respondent.model.generate(
                inputs_embeds=embeds,
                attention_mask=torch.ones(embeds.shape[:2], dtype=torch.long),
                do_sample=False,
                max_new_tokens=6,
                pad_token_id=0,
            )
        theirs.append(respondent.tokenizer.decode(said[0], skip_special_tokens=True))
    assert ours == theirs


def test_a_window_that_is_off_by_one_is_found(tiny_tokenizer, short, tmp_path, monkeypatch):
    """The self-check sees a mask that allows one token too many."""
    family = next(family for family in FAMILIES if family.name == "Mistral")
    model = Respondent.from_pretrained(str(family.save(tmp_path, tiny_tokenizer)))
    right = passes.row_masks

    def wrong(model, length):
        mask, plain = right(model, length)
        return mask | torch.roll(mask, -1, dims=-1).tril(), plain

    monkeypatch.setattr(passes, "row_masks", wrong)
    model.respond([Administration(short)])
    assert not model.passes.uses_trie


def test_a_scale_by_place_in_the_sequence_is_found(tiny_tokenizer, short, tmp_path):
    """Llama 4 scales queries by their place in what is passed, from the 8,192nd on: here from the 16th."""
    llama4 = next(family for family in FAMILIES if family.name == "Llama 4")
    family = replace(llama4, options={**llama4.options, "floor_scale": 16})
    model = Respondent.from_pretrained(str(family.save(tmp_path, tiny_tokenizer)))
    model.respond([Administration(short)])
    assert not model.passes.uses_trie


def test_the_page_has_this_table():
    assert PAGE.read_text(encoding="utf-8").endswith(table())
