"""What counts as known: answers read from one pass, habits told from knowledge, losses told from noise."""

from pathlib import Path

import numpy as np
import pytest

from hofsteer import load_target
from hofsteer.config import EXPECTED, ModelSettings
from hofsteer.errors import ModelError
from hofsteer.evaluation.culturalbench import read_benchmark
from hofsteer.evaluation.knowledge import ask, measure_knowledge
from hofsteer.report.knowledge import knowledge_notes, steered_note
from hofsteer.respondent.base import Respondent, make_responses

EASY = Path(__file__).with_name("own-easy.csv")


@pytest.fixture
def easy():
    return read_benchmark(EASY, "easy")


@pytest.fixture
def hard(tmp_path):
    """Three questions; of the second nothing is true, of the third all."""
    rows = [("1", "FTFF"), ("2", "FFFF"), ("3", "TTTT")]
    lines = ["question_idx,prompt_question,prompt_option,answer,country"]
    for idx, answers in rows:
        lines += [
            f"{idx},Is this question {idx}?,option {place},{ {'T': 'True', 'F': 'False'}[a] },Peru"
            for place, a in enumerate(answers)
        ]
    path = tmp_path / "own-hard.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return read_benchmark(path, "hard")


class Told(Respondent):
    """Answers as it was told: for each item, by its id, the place of an option, or None for no answer."""

    settings = ModelSettings(id="told")
    width, spread = 1, 1.0

    def __init__(self, benchmark, alone, steered=()):
        ids = benchmark.administration.instrument.item_ids
        self.answers = [dict(zip(ids, places, strict=True)) for places in (alone, *steered)]

    def respond(self, administrations, soft_prompts=None, read_out=EXPECTED):
        told = self.answers[0 if soft_prompts is None else int(soft_prompts[0, 0, 0])]
        (form,) = administrations
        mask = form.instrument.option_mask
        logs = np.full((1, 1, *mask.shape), -30.0)
        for i, item in enumerate(form.instrument.items):
            if told[item.id] is not None:
                logs[0, 0, i, told[item.id]] = np.log(0.8)
        return make_responses(logs, mask, administrations)


def prompts(n):
    """Soft prompts by which `Told` knows which of its answers are asked for."""
    return np.arange(1, n + 1, dtype=np.float32).reshape(n, 1, 1)


def plainly(respondent, benchmark, soft_prompt=None):
    """The probability of every option (I, K) by a pass of its own, without hofsteer's rendering."""
    import torch

    form, model, tokenizer = benchmark.administration, respondent.model, respondent.tokenizer
    found = []
    for item in form.instrument.items:
        chat = [message._asdict() for message in form.messages(item)]
        prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        joint = [tokenizer.encode(prompt + label, add_special_tokens=False) for label in form.option_labels(item)]
        shared = next(n for n in range(min(map(len, joint))) if len({ids[n] for ids in joint}) > 1)
        probabilities = []
        for ids in joint:
            embeds = model.get_input_embeddings()(torch.tensor([ids]))
            if soft_prompt is not None:
                embeds = torch.cat([torch.tensor(soft_prompt), embeds], dim=1)
            with torch.inference_mode():
                logits = model(inputs_embeds=embeds).logits[0, -len(ids) :].double().log_softmax(-1)
            probabilities.append(np.exp(sum(float(logits[n - 1, ids[n]]) for n in range(shared, len(ids)))))
        found.append(probabilities)
    return np.array(found)


@pytest.mark.parametrize("form", ["easy", "hard"])
def test_answers_are_those_of_plain_passes(tiny, form, request, monkeypatch):
    for module in ("respondent.base", "evaluation.knowledge"):  # to these random weights a whole word is unlikely
        monkeypatch.setattr(f"hofsteer.{module}.LEAST_VALID_MASS", 1e-30)
    benchmark = request.getfixturevalue(form)
    soft_prompts = np.random.default_rng([4, 1]).normal(0, 1, (4, 1, 3, tiny.width)).astype(np.float32)
    chosen = set()
    for given in (None, *soft_prompts):
        found, wanted = ask(tiny, benchmark, given), plainly(tiny, benchmark, given)
        assert found.chosen.ravel().tolist() == wanted.argmax(axis=1).tolist()
        assert found.valid_mass == pytest.approx(wanted.sum(axis=1).mean(), rel=1e-4)
        chosen |= set(found.chosen.ravel().tolist())
    assert len(chosen) > 1  # the comparison has something to tell apart


def test_an_easy_question_is_right_by_its_letter(easy):
    told = easy.key[:, 0].tolist()
    told[0], told[9] = 3, None
    found = measure_knowledge(Told(easy, told), easy)
    assert found.alone.valid_mass == pytest.approx(0.8 * 0.9, abs=1e-6)
    assert (found.count().n, found.count().right) == (10, 8)
    assert [found.count(name).right for name in found.countries()] == [4, 4]
    assert found.alone.chosen[9, 0] == -1  # no answer is not right
    assert found.alone.unanswered == 0.1
    assert "none 10%, where the options got no probability" in knowledge_notes(found, 0.02)[0]


def test_a_hard_question_is_right_if_all_four_are(hard):
    told = [*(1, 0, 1, 1), *(1, 1, 1, 0), *(0, 0, 0, 0)]
    found = measure_knowledge(Told(hard, told), hard)
    assert found.count().right == 2  # one statement of the second is wrong
    assert hard.constant == pytest.approx(1 / 3)


def test_a_habit_is_no_knowledge(easy):
    always_c = measure_knowledge(Told(easy, [2] * 10), easy)
    assert always_c.count().share == always_c.permuted.mean == always_c.permuted.high == 0.3
    assert not always_c.there
    assert "C 100% (right 30%)" in knowledge_notes(always_c, 0.02)[0]
    assert "it knows nothing to be lost" in knowledge_notes(always_c, 0.02)[1]
    knows = measure_knowledge(Told(easy, easy.key[:, 0].tolist()), easy)
    assert knows.there
    assert 0.2 < knows.permuted.mean < 0.35
    assert knows.permuted == measure_knowledge(Told(easy, easy.key[:, 0].tolist()), easy).permuted  # of one seed


def test_before_and_after(easy):
    key = easy.key[:, 0].tolist()
    wrong = [(k + 1) % 4 for k in key]
    alone = [wrong[0], *key[1:]]
    worse = [key[0], *wrong[1:6], *key[6:]]  # one gained; four of Japan's and one of Norway's lost
    found = measure_knowledge(Told(easy, alone, [alone, worse, wrong]), easy, prompts(3))
    assert found.lost.tolist() == pytest.approx([0.0, 0.4, 0.9])
    assert (found.count(number=1).lost, found.count(number=1).gained, found.count(number=1).steered) == (5, 1, 5)
    assert (found.count("Japan", 1).lost, found.count("Norway", 1).lost) == (4, 1)
    assert found.damage(0.02, 0).word == "undecided"  # ten questions prove nothing, even if none changes
    assert found.damage(0.3, 0).word == "supported"
    assert [found.damage(0.02, number).word for number in (1, 2)] == ["undecided", "refuted"]
    table = found.to_json(0.02)
    assert table["steered"][1]["all"]["p"] == pytest.approx(2 * 7 / 64)
    assert table["steered"][1]["damage"] == {"margin": 0.02, "word": "undecided"}
    assert table["steered"][1]["countries"]["Japan"]["share_lost"] == pytest.approx(0.6)
    assert table["all"]["right"] == 9
    said = steered_note(found, load_target("JPN"))
    assert "alone 90.0% right, steered 46.7%" in said
    assert "About Japan (5): 80.0% and 33.3%" in said
    assert "About" not in steered_note(found, load_target("PER"))


def test_one_model_that_gives_no_numbers(easy):
    broken = Told(easy, [0] * 10)
    broken.respond = lambda forms, prompts=None, read_out=EXPECTED: make_responses(
        np.full((1, 1, 10, 4), np.nan), easy.administration.instrument.option_mask, forms
    )
    with pytest.raises(ModelError, match="told, CulturalBench-Easy: the model gave NaN or infinite logits"):
        ask(broken, easy)
    silent = ask(Told(easy, [None] * 10), easy)
    assert (silent.chosen == -1).all()
