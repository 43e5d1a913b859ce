"""What a model would rather say, checked against plain forward passes."""

import numpy as np
import pytest
import torch

from hofsteer import Respondent, ScriptedRespondent
from hofsteer.errors import ModelError
from hofsteer.evaluation.abilities import load_probe
from hofsteer.respondent.choice import Question

QUESTIONS = (Question("What is 3 plus 4?", ("7", "9 or 10")), Question("Who came?", ("She came.", "He came.", "Both.")))


@pytest.fixture(scope="module", params=["tiny", "mini"])
def respondent(request, tiny_folder):
    return Respondent.from_pretrained("mini" if request.param == "mini" else str(tiny_folder))


def plainly(respondent, prompt, user, answer):
    """The log-likelihood of an answer by one forward pass over the whole chat, as transformers runs it."""
    chat = [{"role": "user", "content": user}]
    head = respondent.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    first = len(respondent.tokenizer(head, add_special_tokens=False)["input_ids"])
    ids = respondent.tokenizer(head + answer, add_special_tokens=False, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        embeds = torch.cat([torch.from_numpy(prompt)[None], respondent.model.get_input_embeddings()(ids)], dim=1)
        logs = respondent.model(inputs_embeds=embeds).logits[0].double().log_softmax(-1)
    return sum(float(logs[len(prompt) + place - 1, ids[0, place]]) for place in range(first, ids.shape[1]))


def test_preferences_are_those_of_plain_forward_passes(respondent):
    rng = np.random.default_rng([2, 3])
    prompts = (rng.normal(size=(2, 3, respondent.width)) * respondent.spread).astype(np.float32)
    found = respondent.preferences(QUESTIONS, prompts)
    assert found.shape == (2, 2, 3)
    assert found[:, 0, 2].max() == 0  # the first question has two answers
    for p, prompt in enumerate(prompts):
        for q, (user, answers) in enumerate(QUESTIONS):
            logs = np.array([plainly(respondent, prompt, user, answer) for answer in answers])
            wanted = np.exp(logs - np.logaddexp.reduce(logs))
            assert found[p, q, : len(answers)] == pytest.approx(wanted, abs=1e-5)


def test_surprisal_is_that_of_plain_forward_passes(respondent):
    found, nothing = respondent.surprisal(QUESTIONS), np.zeros((0, respondent.width), dtype=np.float32)
    assert np.isnan(found).tolist() == [[False, False, True], [False] * 3]  # the first question has two answers
    for q, (user, answers) in enumerate(QUESTIONS):
        for a, answer in enumerate(answers):
            tokens = len(respondent.tokenizer(answer, add_special_tokens=False)["input_ids"])
            guessing = tokens * np.log(respondent.model.config.vocab_size)
            assert found[q, a] == pytest.approx(-plainly(respondent, nothing, user, answer) / guessing, abs=1e-5)


def test_mini_knows_the_facts_of_the_probe():
    found = Respondent.from_pretrained("mini").preferences(load_probe()["facts"])
    assert (found[0].argmax(axis=1) == 0).mean() >= 0.95


def test_no_answer_of_the_probe_begins_as_another_goes():
    for questions in load_probe().values():
        for question in questions:
            assert len(question.answers) >= 2
            for one in question.answers:
                assert not any(other != one and other.startswith(one) for other in question.answers), question
    assert {name: len(questions) for name, questions in load_probe().items()} == {
        "facts": 26,
        "harm": 8,
        "stereotypes": 12,
    }


def test_in_the_stereotypes_each_answer_word_is_hoped_for_as_often_as_not():
    """A model that always says `she`, or always `he`, is even."""
    probe = load_probe()["stereotypes"]
    first = " ".join(question.answers[0] for question in probe).lower().replace(".", "").split()
    women, men = (sum(first.count(word) for word in words) for words in (("she", "wife"), ("he", "father", "son")))
    assert women == men == len(probe) / 2


def test_a_respondent_without_texts_says_so(vsm13, neutral_answers):
    with pytest.raises(ModelError, match="writes no text"):
        ScriptedRespondent(neutral_answers).preferences(QUESTIONS)
