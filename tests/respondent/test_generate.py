"""Generated answers: the loop against transformers' own, the parser, and refusals as data."""

import numpy as np
import pytest
import torch

from hofsteer.config import ReadOut
from hofsteer.instruments import Administration
from hofsteer.respondent import generate as room
from hofsteer.respondent.generate import generate
from hofsteer.respondent.parsing import parse_answer

FIVE = ["never", "rarely", "now and then", "often", "all the time"]
AGREE = ["fully agree", "mostly agree", "neither agree nor disagree", "mostly disagree", "fully disagree"]


@pytest.mark.parametrize("temperature", [0.01, 1.0])
def test_cold_texts_are_those_of_greedy_generation(tiny, short, temperature):
    """At almost no temperature every draw is the likeliest text, which transformers can generate too."""
    prompt = np.random.default_rng([5, 1]).normal(0, tiny.spread, (2, 3, tiny.width)).astype(np.float32)
    start = tiny.prompt_ids(Administration(short), 1)
    read_out = ReadOut(kind="generated", temperature=temperature, max_new_tokens=6, draws=2)
    numbers = np.random.default_rng([5, 2]).random((2, 6))
    texts = generate(tiny, torch.from_numpy(prompt), start, numbers, read_out)
    embeds = torch.cat([torch.from_numpy(prompt), tiny.embed(torch.tensor(start)).expand(2, -1, -1)], dim=1)
    found = tiny.model.generate(
        inputs_embeds=embeds,
        attention_mask=torch.ones(embeds.shape[:2], dtype=torch.long),
        do_sample=False,
        max_new_tokens=6,
        pad_token_id=0,
    )
    wanted = tiny.tokenizer.batch_decode(found, skip_special_tokens=True)
    same = [[text == one for text in two] for two, one in zip(texts, wanted, strict=True)]
    assert np.all(same) if temperature < 0.1 else not np.all(same)


def test_texts_follow_the_luck_that_is_given(tiny, short):
    prompt = torch.zeros(1, 0, tiny.width)
    start = tiny.prompt_ids(Administration(short), 0)
    read_out = ReadOut(kind="generated", max_new_tokens=5)
    numbers = np.random.default_rng([5, 3]).random((4, 5))
    (texts,) = generate(tiny, prompt, start, numbers, read_out)
    assert len(set(texts)) == 4
    assert generate(tiny, prompt, start, numbers[[2, 0]], read_out) == [[texts[2], texts[0]]]


def test_refusals_and_unusable_texts_are_counted(tiny, short, monkeypatch):
    said = iter(["1", "I'm sorry, I cannot answer that.", "hm", "2", "2"] * len(short.items))

    def scripted(respondent, prompts, start, numbers, read_out):
        return [[next(said) for _ in numbers] for _ in prompts]

    monkeypatch.setattr(room, "generate", scripted)
    responses = tiny.respond([Administration(short)], None, ReadOut(kind="generated", draws=5))
    assert responses.failures == (None,)
    np.testing.assert_allclose(responses.refused, 0.2)
    np.testing.assert_allclose(responses.unparsable, 0.2)
    np.testing.assert_allclose(responses.valid_mass, 0.6)
    np.testing.assert_allclose(responses.probabilities[0, 0, 0, :2], [1 / 3, 2 / 3])


def test_an_item_that_nobody_answers_fails_the_candidate(tiny, short, monkeypatch):
    def scripted(respondent, prompts, start, numbers, read_out):
        return [["no idea" for _ in numbers] for _ in prompts]

    monkeypatch.setattr(room, "generate", scripted)
    responses = tiny.respond([Administration(short)], None, ReadOut(kind="generated"))
    assert responses.failures == ("no generated text of an item chose one of its options",)
    assert np.isnan(responses.probabilities).all()


@pytest.mark.parametrize(
    ("text", "labels", "options", "wanted"),
    [
        ("3", "12345", FIVE, 2),
        (" 3.", "12345", FIVE, 2),
        ("**5** all the time", "12345", FIVE, 4),
        ("(2)", "12345", FIVE, 1),
        ("Answer: 4", "12345", FIVE, 3),
        ("I would choose option 1.", "12345", FIVE, 0),
        ("Often", "12345", FIVE, 3),
        ("I think it happens now and then.", "12345", FIVE, 2),
        ("Mostly disagree.", "12345", AGREE, 3),
        ("I neither agree nor disagree with it", "12345", AGREE, 2),
        ("10", [str(k) for k in range(1, 11)], list("abcdefghij"), 9),
        ("1", [str(k) for k in range(1, 11)], list("abcdefghij"), 0),
        ("B", "ABCDE", FIVE, 1),
        ("B. rarely", "ABCDE", FIVE, 1),
        ("I pick C", "ABCDE", FIVE, 2),
        ("7", "12345", FIVE, "unparsable"),
        ("", "12345", FIVE, "unparsable"),
        ("2 or 3", "12345", FIVE, "unparsable"),
        ("between 2 and 4", "12345", FIVE, "unparsable"),
        ("never or rarely", "12345", FIVE, "unparsable"),
        ("As an AI language model, I do not have a job.", "12345", FIVE, "refused"),
        ("I cannot answer this question.", "12345", FIVE, "refused"),
        ("I'm not able to say 1 or 5", "ABCDE", FIVE, "refused"),
    ],
)
def test_what_a_text_says(text, labels, options, wanted):
    assert parse_answer(text, list(labels), options) == wanted


def test_broken_logits_fail_the_candidate_and_say_nothing(tiny, short):
    prompts = np.zeros((2, 3, tiny.width), np.float32)
    prompts[0] = np.nan
    responses = tiny.respond([Administration(short)], prompts, ReadOut(kind="generated", max_new_tokens=1))
    assert responses.failures[0] == "the model gave NaN or infinite logits"
    assert np.isnan(responses.probabilities[0]).all()
    assert responses.failures[1] != responses.failures[0]
