import copy

import numpy as np
import pytest
import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from hofsteer.config import EXPECTED, ModelSettings, ReadOut
from hofsteer.errors import ModelError
from hofsteer.instruments import Administration
from hofsteer.respondent.hf import HFRespondent

TOKENS = 3


@pytest.fixture
def double(tiny):
    """The tiny model in float64, but for what Llama itself computes in float32."""
    return HFRespondent(copy.deepcopy(tiny.model).double(), tiny.tokenizer, ModelSettings(id="tiny"))


@pytest.fixture
def own(tiny):
    """The tiny model with settings of its own to change."""
    return HFRespondent(tiny.model, tiny.tokenizer, ModelSettings(id="tiny"))


@pytest.fixture
def prompt(tiny):
    return np.random.default_rng([3, 1]).normal(0, tiny.spread, (1, TOKENS, tiny.width)).astype(np.float32)


def weights_of(instrument):
    """Some derivatives by the options' log-probabilities, (I, K)."""
    drawn = np.random.default_rng([4, 1]).normal(size=instrument.option_mask.shape)
    return np.where(instrument.option_mask, drawn, np.nan)  # what stands at padded options is not read


def gradient_of(respondent, form, prompt, read_out=EXPECTED):
    weights = weights_of(form.instrument)
    return respondent.respond_with_gradient([form], prompt, read_out, lambda *_: weights)[1]


def plain_gradient(model, rendered, weights, prompt):
    """The same through `model(inputs_embeds)` and autograd, row by row: no trie, no padding, none of our passes."""
    soft = torch.tensor(prompt[0], dtype=model.dtype, requires_grad=True)
    total = torch.zeros((), dtype=torch.float64)
    for i, options in enumerate(rendered.reads):
        for k, reads in enumerate(options):
            for read in reads:
                text = model.get_input_embeddings()(torch.tensor(rendered.rows[read.row]))
                logits = model(inputs_embeds=torch.cat([soft, text])[None]).logits[0, len(soft) + read.position]
                total = total + float(weights[i, k]) * logits.double().log_softmax(-1)[read.token]
    return torch.autograd.grad(total, soft)[0].numpy()


@pytest.mark.parametrize("uses_trie", [True, False])
def test_gradient_is_that_of_a_plain_pass(uses_trie, own, short, prompt):
    own.passes.uses_trie = uses_trie
    form = Administration(short)
    wanted = plain_gradient(own.model, own.rendered(form), weights_of(short), prompt)
    np.testing.assert_allclose(gradient_of(own, form, prompt), wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())


@pytest.mark.parametrize("uses_trie", [True, False])
def test_gradient_in_16_bits_is_near_that_in_32(uses_trie, tiny, short, prompt, monkeypatch):
    half = HFRespondent(copy.deepcopy(tiny.model).bfloat16(), tiny.tokenizer, ModelSettings(id="tiny"))
    full = HFRespondent(copy.deepcopy(half.model).float(), tiny.tokenizer, ModelSettings(id="tiny"))
    half.passes.uses_trie = full.passes.uses_trie = uses_trie
    form, rounded, seen, sdpa = Administration(short), half.as_saved(prompt), [], ALL_ATTENTION_FUNCTIONS["sdpa"]

    def watched(module, query, *rest, **options):
        seen.append(query.dtype)
        return sdpa(module, query, *rest, **options)

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS, "sdpa", watched)
    half.respond([form], rounded)
    assert set(seen) == {torch.bfloat16}
    seen.clear()
    gradient_of(half, form, rounded)
    assert set(seen) == {torch.float32 if uses_trie else torch.bfloat16}  # the plain path is the model's own
    found, wanted = (gradient_of(respondent, form, rounded) for respondent in (half, full))
    assert np.linalg.norm(found - wanted) < 0.05 * np.linalg.norm(wanted)


@pytest.mark.parametrize("uses_trie", [True, False])
@pytest.mark.parametrize("read_out", [EXPECTED, ReadOut(kind="tempered", temperature=0.7)])
def test_gradient_is_the_difference_of_values(read_out, uses_trie, double, short, prompt):
    double.passes.uses_trie = uses_trie
    form, weights = Administration(short), np.nan_to_num(weights_of(short))
    found = gradient_of(double, form, prompt, read_out)
    rendered, h = double.rendered(form), 3e-3

    def value(moved):
        logs = double.passes.log_probabilities(torch.from_numpy(moved[None]), rendered, read_out)
        return sum(
            weights[i, k] * logs[read][0]
            for i, options in enumerate(rendered.reads)
            for k, reads in enumerate(options)
            for read in reads
        )

    at = prompt[0].astype(np.float64)
    drawn = np.random.default_rng([6, 1]).normal(size=at.shape)
    for direction in (found / np.linalg.norm(found), drawn / np.linalg.norm(drawn)):
        slope = (value(at + h * direction) - value(at - h * direction)) / (2 * h)
        assert (found * direction).sum() == pytest.approx(slope, abs=2e-3 * np.linalg.norm(found))


@pytest.mark.parametrize("uses_trie", [True, False])
def test_answers_are_those_without_a_gradient(uses_trie, own, vsm13, prompt):
    own.passes.uses_trie = uses_trie
    forms = [Administration(vsm13), Administration(vsm13, order="reversed")]
    weights = weights_of(vsm13)
    found, _ = own.respond_with_gradient(forms, prompt, EXPECTED, lambda *_: weights)
    plain = own.respond(forms, prompt)
    np.testing.assert_allclose(found.probabilities, plain.probabilities, atol=1e-6)
    np.testing.assert_allclose(found.valid_mass, plain.valid_mass, atol=1e-6)


def test_weights_never_get_a_gradient(own, short, prompt):
    gradient_of(own, Administration(short), prompt)
    assert all(weight.grad is None and not weight.requires_grad for weight in own.model.parameters())


def test_items_in_parts_give_the_same_gradient(own, short, prompt):
    form = Administration(short)
    whole = gradient_of(own, form, prompt)
    own.passes.positions_per_pass = 1  # each item by itself
    assert len(own.passes.groups(own.rendered(form).rows, TOKENS, 1)) == len(short.items)
    np.testing.assert_allclose(gradient_of(own, form, prompt), whole, rtol=1e-3, atol=1e-4 * np.abs(whole).max())


def failing_backward(monkeypatch, fits):
    """Let backward passes of more than so many log-probabilities run out of memory."""
    real, sizes = torch.autograd.grad, []

    def grad(values, *rest):
        sizes.append(len(values))
        if len(values) > fits:
            raise torch.OutOfMemoryError("no")
        return real(values, *rest)

    monkeypatch.setattr(torch.autograd, "grad", grad)
    return sizes


def test_out_of_memory_in_the_backward_pass_splits_items(own, short, prompt, monkeypatch, caplog):
    form = Administration(short)
    whole = gradient_of(own, form, prompt)
    sizes = failing_backward(monkeypatch, fits=10)  # two items of five options
    found = gradient_of(own, form, prompt)
    assert sizes[0] == 20
    assert max(sizes[-2:]) <= 10
    assert "out of memory: gradients go on with" in caplog.text
    np.testing.assert_allclose(found, whole, rtol=1e-3, atol=1e-4 * np.abs(whole).max())
    sizes.clear()
    gradient_of(own, form, prompt)
    assert max(sizes) <= 10  # remembered


def test_one_item_that_does_not_fit_is_a_named_error(own, short, prompt, monkeypatch):
    failing_backward(monkeypatch, fits=0)
    with pytest.raises(ModelError, match=r"^one item of \d+ tokens and its gradient do not fit in memory$"):
        gradient_of(own, Administration(short), prompt)
