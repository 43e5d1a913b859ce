import math

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from hofsteer import Respondent, ScriptedRespondent
from hofsteer.errors import ModelError, SoftPromptError
from hofsteer.respondent.drift import divergence
from hofsteer.respondent.neutral import MOST_SURPRISAL, Exchange, Neutral, load_exchanges, render_neutral
from hofsteer.world import WorldRespondent, load_census


@pytest.fixture(scope="module")
def mini():
    return Respondent.from_pretrained("mini")


def prompts_for(respondent, candidates=3, tokens=2, seed=0):
    rng = np.random.default_rng([6, seed])
    return (rng.normal(size=(candidates, tokens, respondent.width)) * respondent.spread).astype(np.float32)


def plain_surprisal(respondent, user, assistant):
    """What an answer costs the model alone, where guessing tokens costs 1, from a plain forward pass."""
    chat = [{"role": "user", "content": user}]
    head = respondent.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    first = len(respondent.tokenizer(head, add_special_tokens=False)["input_ids"])
    ids = respondent.tokenizer(head + assistant, add_special_tokens=False, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        logits = respondent.model(input_ids=ids).logits[0, first - 1 : -1]
    return float(torch.nn.functional.cross_entropy(logits, ids[0, first:])) / math.log(logits.shape[-1])


def plainly(respondent, prompt):
    """The drift behind a tensor (L, W), from plain forward passes, chats rendered by the tokenizer, KL by torch."""
    parts, told = [], [*load_exchanges()]
    written = [exchange for exchange in told if plain_surprisal(respondent, *exchange) <= MOST_SURPRISAL]
    for user, assistant in written or told:
        chat = [{"role": "user", "content": user}]
        head = respondent.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        first = len(respondent.tokenizer(head, add_special_tokens=False)["input_ids"]) - 1
        ids = respondent.tokenizer(head + assistant, add_special_tokens=False, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            alone = respondent.model(input_ids=ids).logits[0, first:]
        with torch.no_grad():
            text = respondent.model.get_input_embeddings()(ids)
        behind = respondent.model(inputs_embeds=torch.cat([prompt[None], text], dim=1)).logits[0, len(prompt) + first :]
        alone = Categorical(logits=alone.double().clone())
        parts.append(kl_divergence(alone, Categorical(logits=behind.double())))
    return torch.cat(parts).mean()


@pytest.mark.parametrize("name", ["tiny", "mini"])
def test_drift_is_that_of_plain_forward_passes(name, request):
    respondent = request.getfixturevalue(name)
    prompts = prompts_for(respondent)
    drift = respondent.drift(prompts)
    assert (drift > 0).all()
    np.testing.assert_allclose(
        drift, [float(plainly(respondent, prompt)) for prompt in torch.from_numpy(prompts)], rtol=1e-3, atol=1e-6
    )


@pytest.mark.parametrize("name", ["tiny", "mini"])
def test_gradient_of_the_drift_is_that_of_plain_forward_passes(name, request):
    respondent = request.getfixturevalue(name)
    prompt = prompts_for(respondent, candidates=1)
    drift, gradient = respondent.drift_with_gradient(prompt)
    np.testing.assert_allclose(drift, respondent.drift(prompt), rtol=1e-5)
    leaf = torch.from_numpy(prompt[0]).requires_grad_()
    (wanted,) = torch.autograd.grad(plainly(respondent, leaf), leaf)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))


def test_gradient_that_does_not_fit_in_memory(tiny, monkeypatch):
    def tight(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(torch.autograd, "grad", tight)
    with pytest.raises(ModelError, match=r"a neutral text of \d+ tokens and its gradient do not fit in memory"):
        tiny.drift_with_gradient(prompts_for(tiny, candidates=1))


def test_drift_does_not_depend_on_the_candidates_beside(tiny, monkeypatch):
    prompts = prompts_for(tiny, candidates=5)
    together = tiny.drift(prompts)
    monkeypatch.setattr(tiny.passes, "batch_size", 2)
    np.testing.assert_allclose(tiny.drift(prompts), together, rtol=1e-5)
    np.testing.assert_allclose(tiny.drift(prompts[3:4]), together[3:4], rtol=1e-5)


def test_out_of_memory_halves_the_candidates(tiny, monkeypatch):
    prompts, whole = prompts_for(tiny, candidates=5), tiny.passes.padded_logits
    together, sizes = tiny.drift(prompts), []

    def tight(prompts, *rest):
        sizes.append(len(prompts))
        if len(prompts) > 2:
            raise torch.OutOfMemoryError
        return whole(prompts, *rest)

    monkeypatch.setattr(tiny.passes, "padded_logits", tight)
    np.testing.assert_allclose(tiny.drift(prompts), together, rtol=1e-5)
    assert sizes[:5] == [1, 5, 2, 2, 1]


def test_out_of_memory_halves_the_texts_of_a_pass(tiny, monkeypatch):
    prompts, whole = prompts_for(tiny, candidates=2), tiny.passes.padded_logits
    together, (drift, gradient) = tiny.drift(prompts), tiny.drift_with_gradient(prompts[:1])

    def tight(prompts, rows, reads):
        if len(rows) > 3:
            raise torch.OutOfMemoryError
        return whole(prompts, rows, reads)

    monkeypatch.setattr(tiny.passes, "padded_logits", tight)
    np.testing.assert_allclose(tiny.drift(prompts), together, rtol=1e-5)
    again, slope = tiny.drift_with_gradient(prompts[:1])
    np.testing.assert_allclose(again, drift, rtol=1e-5)
    np.testing.assert_allclose(slope, gradient, rtol=1e-4, atol=1e-5 * np.abs(gradient).max())


def test_a_pass_gives_no_more_numbers_than_fit(tiny, monkeypatch):
    prompts, whole, given = prompts_for(tiny), tiny.passes.padded_logits, []
    together = tiny.drift(prompts)

    def watched(*asked):
        logits, places = whole(*asked)
        given.append(logits.numel())
        return logits, places

    monkeypatch.setattr(tiny.passes, "padded_logits", watched)
    most = max(len(text.reads) for text in tiny.neutral()) * tiny.passes.vocabulary_size * 3
    monkeypatch.setattr("hofsteer.respondent.drift.MOST_LOGITS", most)
    np.testing.assert_allclose(tiny.drift(prompts), together, rtol=1e-5)
    assert max(given) <= most


def test_what_is_not_a_number_is_told(tiny):
    prompts = prompts_for(tiny)
    prompts[1] = np.nan
    np.testing.assert_array_equal(np.isfinite(tiny.drift(prompts)), [True, False, True])


def test_exchanges_are_compared_over_the_answer_alone(tiny):
    (text,) = render_neutral([load_exchanges()[4]], tiny.tokenizer)
    decoded = tiny.tokenizer.decode(text.tokens)
    assert decoded.endswith("<assistant>Seven plus five is twelve.")
    assert tiny.tokenizer.decode(text.tokens[text.first + 1 :]) == "Seven plus five is twelve."
    assert tiny.tokenizer.decode(text.tokens[text.first]) == "<assistant>"
    assert len(text.reads) == len(text.tokens) - text.first  # one more than the answer has: what comes after it


def test_stored_text_is_used_again(tiny):
    stored = (Neutral((1, 7, 8, 9), 1),)
    before = tiny.neutral()
    try:
        tiny.use_neutral(stored)
        assert tiny.neutral() == stored
        assert (tiny.drift(prompts_for(tiny)) > 0).all()
    finally:
        tiny.use_neutral(before)


def test_what_searches_are_told_is_not_what_evaluations_measure():
    told, held_out = ({user for user, _ in load_exchanges(part)} for part in ("told", "held_out"))
    assert (len(told), len(held_out)) == (50, 30)
    assert not told & held_out


def test_only_what_the_model_writes_counts(mini):
    for part, found in (("told", mini.neutral()), ("held_out", mini.held_out_neutral())):
        written = [e for e in load_exchanges(part) if plain_surprisal(mini, *e) <= MOST_SURPRISAL]
        assert found == render_neutral(written, mini.tokenizer)
    assert (len(mini.neutral()), len(mini.held_out_neutral())) == (39, 10)


def test_an_answer_counts_up_to_half_the_surprisal_of_random_tokens(mini):
    question = "Are you a person?"
    answers = ("No, I am a small model.", "No, I am a small cat.", "Green.")
    costs = {answer: plain_surprisal(mini, question, answer) for answer in answers}
    assert any(0.1 < cost < MOST_SURPRISAL for cost in costs.values()), costs  # between the two units
    texts = render_neutral([Exchange(question, answer) for answer in costs], mini.tokenizer)
    wanted = [text for text, cost in zip(texts, costs.values(), strict=True) if cost <= MOST_SURPRISAL]
    assert list(mini._written(texts)) == wanted
    assert 0 < len(wanted) < len(texts)


def test_all_counts_in_a_search_of_a_model_that_writes_none_of_it(tiny_folder, caplog):
    fresh = Respondent.from_pretrained(str(tiny_folder))
    assert fresh.neutral() == render_neutral(load_exchanges(), fresh.tokenizer)
    assert "would write 0 of the 50 neutral answers: its drift says little" in caplog.text
    assert fresh.held_out_neutral() == ()


def test_drift_on_other_text(mini):
    prompts, (one, other) = prompts_for(mini), mini.held_out_neutral()[:2]
    places = [len(one.reads), len(other.reads)]
    apart = [mini.drift(prompts, (text,)) for text in (one, other)]
    np.testing.assert_allclose(mini.drift(prompts, (one, other)), np.average(apart, axis=0, weights=places), rtol=1e-4)


def test_divergence_of_what_cannot_happen():
    with np.errstate(divide="ignore"):
        before = torch.tensor(np.log([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]))
        after = torch.tensor(np.log([[0.25, 0.75, 0.0], [0.5, 0.25, 0.25]]))
    want = [0.5 * np.log(2) + 0.5 * np.log(2 / 3), np.log(2)]
    np.testing.assert_allclose(divergence(before, after), want)


def test_wrong_width(tiny):
    with pytest.raises(SoftPromptError, match=r"want soft prompts \(candidates, tokens, 32\)"):
        tiny.drift(np.zeros((1, 2, 5), dtype=np.float32))


def test_respondents_without_text(neutral_answers):
    respondent = ScriptedRespondent(neutral_answers)
    assert respondent.neutral() is None
    with pytest.raises(ModelError, match="scripted writes no text, so its drift cannot be penalised"):
        respondent.drift(np.zeros((1, 1, 24), dtype=np.float32))


def test_world_drifts_with_the_displacement():
    world = WorldRespondent(load_census(), seed=3)
    near, far = world.drift(np.stack([np.full((1, 16), 0.01), np.full((1, 16), 1.0)]).astype(np.float32))
    assert 0 <= near < far
