import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from families import FAMILIES
from hofsteer import Respondent
from hofsteer.config import ModelSettings
from hofsteer.errors import InstrumentError, ModelError, SoftPromptError
from hofsteer.instruments import Administration
from hofsteer.respondent import hf, loading, passes
from hofsteer.respondent.hf import HFRespondent

# In float32, sums in another order differ by 2e-7; a wrong mask, place or order shows from 1e-3.
SAME_IN_BATCHES = 2e-6
SAME_AS_PLAIN = 1e-5


def soft_prompts_for(respondent: HFRespondent, candidates: int, tokens: int = 4, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng([5, seed])
    return (rng.normal(size=(candidates, tokens, respondent.width)) * respondent.spread).astype(np.float32)


@pytest.fixture
def own_tiny(tiny_folder: Path) -> HFRespondent:
    """The tiny respondent for a test that breaks it."""
    return Respondent.from_pretrained(str(tiny_folder))


@pytest.fixture
def copy(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model's folder for a test that breaks it."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "copy"))


@pytest.fixture(params=[True, False], ids=["trie", "padded"])
def tiny_path(request, tiny: HFRespondent, monkeypatch: pytest.MonkeyPatch) -> HFRespondent:
    """The tiny respondent, made to take one path or the other."""
    monkeypatch.setattr(tiny.passes, "uses_trie", request.param)
    return tiny


@pytest.fixture
def padded(tiny: HFRespondent, monkeypatch: pytest.MonkeyPatch) -> HFRespondent:
    """The tiny respondent on the reference path."""
    monkeypatch.setattr(tiny.passes, "uses_trie", False)
    return tiny


# A batch of 1 equals a batch of 64.


@pytest.fixture(scope="module")
def one_at_a_time(tiny, short):
    """64 soft prompts, and what each answers in a call of its own."""
    soft_prompts = soft_prompts_for(tiny, 64)
    alone = [tiny.respond([Administration(short)], soft_prompt[None]) for soft_prompt in soft_prompts]
    probabilities = np.concatenate([responses.probabilities for responses in alone])
    assert probabilities.std(axis=0).max(axis=-1).min() > 0.01  # candidates differ, so a mix-up would show
    return soft_prompts, probabilities, np.concatenate([responses.valid_mass for responses in alone])


@pytest.mark.parametrize("positions_per_pass", [1, 700, 5_000, 1 << 14, 1 << 20])
def test_a_batch_of_1_equals_a_batch_of_64(tiny_path, short, one_at_a_time, positions_per_pass, monkeypatch):
    soft_prompts, probabilities, valid_mass = one_at_a_time
    monkeypatch.setattr(tiny_path.passes, "positions_per_pass", positions_per_pass)
    together = tiny_path.respond([Administration(short)], soft_prompts)
    np.testing.assert_allclose(together.probabilities, probabilities, rtol=0, atol=SAME_IN_BATCHES)
    np.testing.assert_allclose(together.valid_mass, valid_mass, rtol=0, atol=SAME_IN_BATCHES)
    assert together.failures == (None,) * 64


@pytest.mark.parametrize("positions_per_pass", [1, 700, 5_000, 1 << 14])
def test_no_pass_is_larger_than_asked_for(tiny_path, short, positions_per_pass, monkeypatch):
    tiny, sizes = tiny_path, []
    passing = tiny.passes._pass

    def measure(prompts, rows, *others):
        sizes.append((len(prompts) * len(rows), prompts.shape[1] + max(map(len, rows))))
        return passing(prompts, rows, *others)

    monkeypatch.setattr(tiny.passes, "_pass", measure)
    monkeypatch.setattr(tiny.passes, "positions_per_pass", positions_per_pass)
    tiny.respond([Administration(short)], soft_prompts_for(tiny, 64))
    # one candidate is passed whatever its size, and rows are grouped before the soft prompt's 4 tokens are known
    assert all(count == 1 or count * (length - 4) <= positions_per_pass for count, length in sizes)
    assert sum(count for count, _ in sizes) == 64 * len(short.items)


def test_rows_share_a_pass_if_they_waste_little_padding():
    rows = [(0,) * length for length in (100, 50, 81, 79, 100, 49)]
    assert passes._groups_of_like_length(rows, 1 << 14) == [[0, 4, 2], [3], [1, 5]]
    assert passes._groups_of_like_length(rows, 200) == [[0, 4], [2, 3], [1, 5]]
    assert passes._groups_of_like_length(rows, 1) == [[0], [4], [2], [3], [1], [5]]


# Padding changes nothing.


@pytest.mark.parametrize("shortest_share", [0.0, 0.8, 1.0], ids=["all padded", "as shipped", "equal lengths only"])
@pytest.mark.parametrize("with_soft_prompt", [False, True])
def test_padding_changes_nothing(padded, short, plain_mass, shortest_share, with_soft_prompt, monkeypatch):
    tiny = padded
    monkeypatch.setattr(passes, "SHORTEST_SHARE", shortest_share)
    administration = Administration(short)
    soft_prompts = soft_prompts_for(tiny, 3) if with_soft_prompt else None
    together = tiny.respond([administration], soft_prompts)
    for i, item in enumerate(short.items):
        alone = tiny.respond([Administration(replace(short, items=(item,)))], soft_prompts)
        np.testing.assert_allclose(
            together.probabilities[:, :, i], alone.probabilities[:, :, 0], rtol=0, atol=SAME_IN_BATCHES
        )
    for candidate in range(len(together.failures)):
        mass = plain_mass(tiny, administration, soft_prompts[candidate] if with_soft_prompt else None)
        valid = mass.sum(axis=-1)
        np.testing.assert_allclose(together.valid_mass[candidate, 0], valid, rtol=0, atol=SAME_AS_PLAIN)
        np.testing.assert_allclose(
            together.probabilities[candidate, 0], mass / valid[:, None], rtol=0, atol=SAME_AS_PLAIN
        )


def test_the_whole_survey_is_what_a_plain_forward_pass_gives(tiny_path, vsm13, plain_mass):
    tiny = tiny_path
    administration = Administration(vsm13, wording=1, system="You live in Japan.")
    responses = tiny.respond([administration])
    mass = plain_mass(tiny, administration)
    np.testing.assert_allclose(
        responses.probabilities[0, 0], mass / mass.sum(axis=-1, keepdims=True), rtol=0, atol=SAME_AS_PLAIN
    )
    np.testing.assert_allclose(responses.valid_mass[0, 0], mass.sum(axis=-1), rtol=0, atol=SAME_AS_PLAIN)


def test_which_token_pads_does_not_matter(padded, short, monkeypatch):
    tiny = padded
    monkeypatch.setattr(passes, "SHORTEST_SHARE", 0.0)
    soft_prompts = soft_prompts_for(tiny, 2)
    before = tiny.respond([Administration(short)], soft_prompts)
    embedded = tiny.passes.embed
    with torch.inference_mode():
        junk = 1e3 * torch.ones(tiny.width)
    monkeypatch.setattr(tiny.passes, "embed", lambda ids: torch.where((ids == 0)[..., None], junk, embedded(ids)))
    assert all(0 not in row for row in tiny.rendered(Administration(short)).rows)
    after = tiny.respond([Administration(short)], soft_prompts)
    np.testing.assert_array_equal(before.probabilities, after.probabilities)


# The soft prompt stays next to the text.


def test_the_soft_prompt_stays_next_to_the_text(padded, short, monkeypatch):
    tiny = padded
    monkeypatch.setattr(passes, "SHORTEST_SHARE", 0.0)
    soft_prompts = soft_prompts_for(tiny, 3, tokens=5)
    administration = Administration(short)
    texts = [tiny.embed(torch.tensor(row)) for row in tiny.rendered(administration).rows]
    seen = []

    def look(model: Any, positional: tuple, named: dict[str, Any]) -> None:
        assert not positional
        assert set(named) <= {"inputs_embeds", "attention_mask", "use_cache", "logits_to_keep"}  # default positions
        for embeds, mask in zip(named["inputs_embeds"], named["attention_mask"], strict=True):
            length = int(mask.sum())
            assert mask[:length].all()  # one block, then the padding
            (candidate,) = (c for c, prompt in enumerate(soft_prompts) if torch.equal(embeds[:5], torch.tensor(prompt)))
            (item,) = (i for i, text in enumerate(texts) if torch.equal(embeds[5:length], text))
            seen.append((candidate, item))

    hook = tiny.model.register_forward_pre_hook(look, with_kwargs=True)
    try:
        tiny.respond([administration], soft_prompts)
    finally:
        hook.remove()
    assert sorted(seen) == list(product(range(3), range(len(short.items))))


# Other architectures: nothing in the respondent knows their names. What they answer is in test_families.py.


@pytest.fixture(scope="module")
def load_family(tiny_tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], HFRespondent]:
    """Load a random model of a family as a user would."""

    def load(name: str) -> HFRespondent:
        family = next(family for family in FAMILIES if family.name == name)
        return Respondent.from_pretrained(str(family.save(tmp_path_factory.mktemp("family"), tiny_tokenizer)))

    return load


@pytest.mark.parametrize("name", [family.name for family in FAMILIES])
def test_width_and_spread_are_those_of_the_embedding_module(load_family, name):
    respondent = load_family(name)
    embeddings = respondent.model.get_input_embeddings()
    values = embeddings(torch.arange(len(embeddings.weight))).detach().double()
    assert respondent.width == values.shape[1] == (16 if name == "OPT" else 32)
    assert respondent.spread == pytest.approx(float(values.std(correction=0)), rel=1e-6)


def test_spread_counts_the_scaling_inside_the_embedding(load_family):
    respondent = load_family("Gemma 3")
    stored = float(respondent.model.get_input_embeddings().weight.std())
    assert respondent.spread == pytest.approx(stored * np.sqrt(32), rel=1e-2)  # Gemma: times the root of the width


def test_spread_takes_every_row_of_a_large_vocabulary(own_tiny, monkeypatch):
    rows = 3 * 8192 + 5
    table = torch.nn.Embedding(rows, 4)
    with torch.no_grad():
        table.weight.copy_(10.0 + torch.arange(rows)[:, None] / rows)  # a mean far from zero, as many tables have
    monkeypatch.setattr(own_tiny.model, "get_input_embeddings", lambda: table)
    assert own_tiny.width == 4
    assert own_tiny.spread == pytest.approx(float(table.weight.detach().double().std(correction=0)), rel=1e-6)


def test_a_model_that_gives_all_logits_reads_the_same(own_tiny, tiny, short):
    own_tiny.keeps_logits = False
    soft_prompts = soft_prompts_for(tiny, 2)
    np.testing.assert_allclose(
        own_tiny.respond([Administration(short)], soft_prompts).probabilities,
        tiny.respond([Administration(short)], soft_prompts).probabilities,
        rtol=0,
        atol=SAME_IN_BATCHES,
    )


# Shapes, and what is refused.


def test_every_administration_is_answered_by_every_candidate(tiny, short):
    forms = [Administration(short), Administration(short, order="reversed"), Administration(short, wording=1)]
    soft_prompts = soft_prompts_for(tiny, 2)
    responses = tiny.respond(forms, soft_prompts)
    assert responses.probabilities.shape == (2, 3, 4, 5)
    assert responses.valid_mass.shape == (2, 3, 4)
    assert responses.probabilities.dtype == responses.valid_mass.dtype == np.float64
    assert (responses.valid_mass > 0).all()
    assert (responses.valid_mass < 1).all()
    np.testing.assert_array_equal(responses.option_mask, short.option_mask)
    for a, administration in enumerate(forms):
        np.testing.assert_array_equal(
            responses.probabilities[:, [a]], tiny.respond([administration], soft_prompts).probabilities
        )


def test_items_with_fewer_options_have_zeros_behind(make_instrument, make_tokenizer, make_respondent, plain_mass):
    respondent = make_respondent(make_tokenizer())
    administration = Administration(make_instrument(2, 5, 3), order="reversed")
    responses = respondent.respond([administration])
    mass = plain_mass(respondent, administration)
    np.testing.assert_allclose(
        responses.probabilities[0, 0], mass / mass.sum(axis=-1, keepdims=True), atol=SAME_AS_PLAIN
    )
    np.testing.assert_array_equal(responses.probabilities[0, 0] > 0, administration.instrument.option_mask)


def test_a_soft_prompt_of_no_tokens_is_none(tiny, short):
    none = tiny.respond([Administration(short)])
    empty = tiny.respond([Administration(short)], np.zeros((2, 0, tiny.width), np.float32))
    np.testing.assert_allclose(empty.probabilities[1], none.probabilities[0], rtol=0, atol=SAME_IN_BATCHES)


def test_soft_prompts_are_left_as_they_were(tiny, short):
    """Read-only and reversed arrays are fine (torch warns of the first, and warnings are errors here)."""
    soft_prompts = soft_prompts_for(tiny, 2)
    before = tiny.respond([Administration(short)], soft_prompts).probabilities
    soft_prompts.setflags(write=False)
    kept = soft_prompts.tobytes()
    np.testing.assert_array_equal(tiny.respond([Administration(short)], soft_prompts).probabilities, before)
    assert soft_prompts.tobytes() == kept
    turned = tiny.respond([Administration(short)], soft_prompts[::-1]).probabilities
    np.testing.assert_allclose(turned[::-1], before, rtol=0, atol=SAME_IN_BATCHES)


@pytest.mark.parametrize("shape", [(1, 4, 31), (1, 4, 33), (4, 32), (1, 1, 4, 32)])
def test_a_wrong_width_is_refused_with_both_widths(tiny, short, shape):
    with pytest.raises(SoftPromptError) as caught:
        tiny.respond([Administration(short)], np.zeros(shape, np.float32))
    assert str(caught.value) == (
        f"want soft prompts (candidates, tokens, 32) for {tiny.settings.id}, got {shape}"  # nothing but these two
    )


def test_the_width_of_opt_is_not_its_hidden_size(load_family, short):
    respondent = load_family("OPT")
    assert (respondent.model.config.hidden_size, respondent.width) == (32, 16)
    with pytest.raises(SoftPromptError, match=r"want soft prompts \(candidates, tokens, 16\) .*, got \(1, 4, 32\)"):
        respondent.respond([Administration(short)], np.zeros((1, 4, 32), np.float32))


def test_administrations_of_two_instruments_are_refused(tiny, short, vsm13):
    with pytest.raises(InstrumentError, match="want administrations of one instrument"):
        tiny.respond([Administration(short), Administration(vsm13)])


# The model is never changed.


def test_the_model_is_frozen_and_stays_as_it_was(own_tiny, short):
    before = {name: tensor.clone() for name, tensor in own_tiny.model.state_dict().items()}
    own_tiny.respond([Administration(short)], soft_prompts_for(own_tiny, 3))
    assert own_tiny.model.state_dict().keys() == before.keys()
    for name, tensor in own_tiny.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert not any(parameter.requires_grad for parameter in own_tiny.model.parameters())
    assert not own_tiny.model.training
    assert torch.is_grad_enabled()  # ours to leave as it was


def test_a_model_in_training_mode_is_put_to_evaluation(tiny_folder, tiny_tokenizer, short, tiny):
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_folder, attention_dropout=0.5).train()
    respondent = HFRespondent(model, tiny_tokenizer, ModelSettings(id="dropout"))
    np.testing.assert_allclose(
        respondent.respond([Administration(short)]).probabilities,
        tiny.respond([Administration(short)]).probabilities,
        rtol=0,
        atol=SAME_IN_BATCHES,
    )


def test_identity_is_of_the_weights(tiny, own_tiny, tiny_folder, tiny_tokenizer):
    assert own_tiny.identity() == tiny.identity()
    assert set(tiny.identity()) == {"revision", "weights_sha256"}
    assert len(str(tiny.identity()["weights_sha256"])) == 64
    hashes = {tiny.fingerprint}
    for name in ("model.embed_tokens.weight", "model.layers.1.mlp.up_proj.weight", "model.norm.weight"):
        model = transformers.AutoModelForCausalLM.from_pretrained(tiny_folder)
        weight = model.get_parameter(name).data.view(-1)
        weight[-1] = torch.nextafter(weight[-1], torch.tensor(9.0))  # the last bit of one number
        hashes.add(HFRespondent(model, tiny_tokenizer, ModelSettings(id="changed")).fingerprint)
    assert len(hashes) == 4


def test_identity_knows_which_weight_is_which(tiny, own_tiny):
    layers = own_tiny.model.model.layers
    first, second = layers[0].self_attn.q_proj.weight, layers[1].self_attn.q_proj.weight
    with torch.no_grad():
        kept = first.clone()
        first.copy_(second)
        second.copy_(kept)
    assert own_tiny.fingerprint != tiny.fingerprint


def test_bfloat16_is_said_and_soft_prompts_are_cast(tiny, tiny_folder, short):
    half = Respondent.from_pretrained(str(tiny_folder), dtype="bfloat16")
    assert tiny.conditions() == {"device": "cpu", "dtype": "float32"}
    assert half.conditions() == {"device": "cpu", "dtype": "bfloat16"}
    assert half.fingerprint != tiny.fingerprint
    soft_prompts = soft_prompts_for(tiny, 2)
    rounded = torch.tensor(soft_prompts).bfloat16().float().numpy()
    answers = half.respond([Administration(short)], soft_prompts)
    np.testing.assert_array_equal(
        answers.probabilities, half.respond([Administration(short)], rounded).probabilities
    )  # what is evaluated is what can be saved
    whole = tiny.respond([Administration(short)], soft_prompts)
    np.testing.assert_allclose(answers.probabilities, whole.probabilities, atol=0.1)  # eight bits of mantissa
    np.testing.assert_allclose(answers.probabilities.sum(axis=-1), 1.0, rtol=1e-12)  # summed in float64 all the same


# Models that cannot answer.


def test_nan_weights_are_failures(own_tiny, short):
    with torch.no_grad():
        own_tiny.model.model.layers[1].mlp.up_proj.weight[0, 0] = float("nan")
    responses = own_tiny.respond([Administration(short)], soft_prompts_for(own_tiny, 2))
    assert responses.failures == ("the model gave NaN or infinite logits",) * 2
    assert np.isnan(responses.probabilities).all()


def test_a_nan_in_one_soft_prompt_fails_that_candidate_only(tiny, short):
    soft_prompts = soft_prompts_for(tiny, 4)
    clean = tiny.respond([Administration(short)], soft_prompts)
    broken = soft_prompts.copy()
    broken[2, 0, 0] = np.nan
    responses = tiny.respond([Administration(short)], broken)
    assert responses.failures == (None, None, "the model gave NaN or infinite logits", None)
    others = [0, 1, 3]
    np.testing.assert_array_equal(responses.probabilities[others], clean.probabilities[others])


def test_no_mass_on_any_option_is_a_failure_with_the_mass(own_tiny, short):
    labels = [own_tiny.tokenizer.convert_tokens_to_ids(str(label)) for label in range(1, 6)]
    head = torch.nn.Linear(32, len(own_tiny.tokenizer), bias=True).requires_grad_(False)
    head.weight.copy_(own_tiny.model.lm_head.weight)
    head.bias.zero_()
    own_tiny.model.lm_head = head
    assert own_tiny.respond([Administration(short)]).failures == (None,)
    head.bias[labels] = -60.0
    responses = own_tiny.respond([Administration(short)])
    assert str(responses.failures[0]).startswith("the model gives no probability to the answer options (")
    assert np.isnan(responses.probabilities).all()
    assert (responses.valid_mass < 1e-20).all()
    head.bias[labels] = -7.0  # a thousandth is little, but an answer
    assert own_tiny.respond([Administration(short)]).failures == (None,)


def run_out_of_memory(
    respondent: HFRespondent, most: int, monkeypatch: pytest.MonkeyPatch, by_rows: bool = False
) -> list[int]:
    """Let passes of more than `most` candidates (times rows) run out of memory; return the list of sizes tried."""
    tried = []
    passing = respondent.passes._pass

    def small(prompts, rows, *others):
        tried.append(len(prompts))
        if len(prompts) * (len(rows) if by_rows else 1) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return passing(prompts, rows, *others)

    monkeypatch.setattr(respondent.passes, "_pass", small)
    return tried


def test_out_of_memory_halves_the_batch_and_goes_on(own_tiny, short, monkeypatch, caplog):
    short = replace(short, items=short.items[:1])
    soft_prompts = soft_prompts_for(own_tiny, 50)
    wanted = own_tiny.respond([Administration(short)], soft_prompts)
    length = len(own_tiny.rendered(Administration(short)).rows[0])
    own_tiny.passes.positions_per_pass = 40 * (length + 4)  # 40 candidates a pass
    tried = run_out_of_memory(own_tiny, 12, monkeypatch)
    with caplog.at_level(logging.WARNING, logger="hofsteer"):
        found = own_tiny.respond([Administration(short)], soft_prompts)
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, rtol=0, atol=SAME_IN_BATCHES)
    assert tried == [40, 20, 10, 10, 10, 10, 10]
    assert [record.getMessage() for record in caplog.records] == [
        "out of memory: going on with 20 candidates at a time",
        "out of memory: going on with 10 candidates at a time",
    ]
    tried.clear()
    own_tiny.respond([Administration(short)], soft_prompts)
    assert tried == [10] * 5  # it remembers


@pytest.mark.parametrize(("best", "most", "chosen"), [(8, 64, 8), (1, 64, 1), (64, 20, 16)])
def test_the_batch_size_is_the_last_that_pays(own_tiny, short, monkeypatch, best, most, chosen):
    """A clock by which a candidate costs less and less up to batches of `best`."""
    now = 0.0
    answering = own_tiny.respond

    def respond(administrations, prompts):
        nonlocal now
        now += len(prompts) / min(len(prompts), best)
        return answering(administrations, prompts)

    monkeypatch.setattr(own_tiny, "respond", respond)
    monkeypatch.setattr(hf.time, "perf_counter", lambda: now)
    own_tiny.measure_batch_size(Administration(short), 3, most)
    assert own_tiny.settings.batch_size == chosen
    monkeypatch.undo()
    sizes = []
    passing = own_tiny.passes._pass
    monkeypatch.setattr(
        own_tiny.passes, "_pass", lambda prompts, *others: sizes.append(len(prompts)) or passing(prompts, *others)
    )
    own_tiny.respond([Administration(short)], soft_prompts_for(own_tiny, 32))
    assert max(sizes) == chosen
    own_tiny.measure_batch_size(Administration(short), 3, 1)  # what is set is not measured
    assert own_tiny.settings.batch_size == chosen


def test_running_out_of_memory_never_raises_the_budget(own_tiny, make_instrument, monkeypatch):
    """Late rows take a quarter of a place each: half of them by length would be more than was tried."""
    form = Administration(make_instrument(10))
    own_tiny.respond([form])
    before = own_tiny.passes.places(list(own_tiny.rendered(form).rows), 0)
    own_tiny.passes.positions_per_pass = before
    run_out_of_memory(own_tiny, 4, monkeypatch, by_rows=True)
    own_tiny.respond([form])
    assert own_tiny.passes.positions_per_pass <= before // 2


def test_a_batch_size_above_the_candidates_is_not_tried(own_tiny, short, monkeypatch):
    own_tiny.passes.batch_size = 64
    tried = run_out_of_memory(own_tiny, 2, monkeypatch)
    own_tiny.respond([Administration(replace(short, items=short.items[:1]))], soft_prompts_for(own_tiny, 3))
    assert tried == [3, 1, 1, 1]


def test_one_candidate_that_does_not_fit_is_an_error(own_tiny, short, monkeypatch):
    run_out_of_memory(own_tiny, 0, monkeypatch)
    with pytest.raises(ModelError, match=r"one candidate and one item of \d+ tokens do not fit in memory$"):
        own_tiny.respond([Administration(short)], soft_prompts_for(own_tiny, 4))


@pytest.mark.parametrize("uses_trie", [True, False])
def test_one_candidate_whose_items_do_not_fit_is_asked_in_parts(own_tiny, short, monkeypatch, uses_trie):
    own_tiny.passes.uses_trie = uses_trie
    soft_prompts = soft_prompts_for(own_tiny, 3)
    wanted = own_tiny.respond([Administration(short)], soft_prompts)
    run_out_of_memory(own_tiny, 1, monkeypatch, by_rows=True)
    found = own_tiny.respond([Administration(short)], soft_prompts)
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, rtol=0, atol=SAME_IN_BATCHES)


# Loading.


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def rewritten(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def pickled(folder: Path) -> None:
    from safetensors.torch import load_file

    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def without_tensor(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def with_another_shape(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))


def with_unknown_tokenizer(folder: Path) -> None:
    table = json.loads((folder / "tokenizer.json").read_text())
    table["model"]["type"] = "Nonsense"
    (folder / "tokenizer.json").write_text(json.dumps(table))


def cut_off(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (without("config.json"), "has no config.json"),
        (without("model.safetensors"), "no file named model.safetensors"),
        (without("tokenizer.json"), "tokenizer"),
        (pickled, "no file named model.safetensors"),
        (without_tensor, "its weights lack 1 tensors, such as lm_head.weight"),
        (with_another_shape, "mismatched"),
        (with_unknown_tokenizer, "untagged enum"),
        (cut_off, "incomplete metadata"),
        (rewritten("model.safetensors", b"hello"), "header too small"),
        (rewritten("config.json", b"{"), "not a valid JSON file"),
        (rewritten("config.json", b'{"model_type": "zorg"}'), "model type `zorg`"),
        (rewritten("tokenizer.json", b"{"), "line 1 column"),
    ],
    ids=[
        "no config",
        "no weights",
        "no tokenizer",
        "pickle",
        "no head",
        "other shape",
        "unknown tokenizer",
        "cut off",
        "no safetensors",
        "broken config",
        "unknown type",
        "broken tokenizer",
    ],
)
def test_a_damaged_folder_is_one_line(copy, damage, reason):
    damage(copy)
    with pytest.raises(ModelError) as caught:
        Respondent.from_pretrained(str(copy))
    assert str(copy) in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "~/nowhere-at-all", "some/deep/folder", "gpt2"])
def test_a_folder_that_is_not_there(name):
    with pytest.raises(ModelError) as caught:
        Respondent.from_pretrained(name)
    assert str(caught.value) == f"want a hub id (owner/name), a model folder or 'mini', got {name!r}"


def test_a_file_is_not_a_model(tiny_folder):
    with pytest.raises(ModelError, match=r"a model folder or 'mini', got '.*config\.json'$"):
        Respondent.from_pretrained(str(tiny_folder / "config.json"))


@pytest.mark.parametrize("device", ["cuda", "nowhere"])
def test_a_device_that_is_not_there(tiny_folder, device):
    if torch.cuda.is_available() and device == "cuda":
        pytest.skip("there is a GPU")
    with pytest.raises(ModelError, match=r"^cannot load model .*") as caught:
        Respondent.from_pretrained(str(tiny_folder), device=device)
    assert "\n" not in str(caught.value)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No hub and nothing kept from it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))


@pytest.mark.parametrize("name", ["mimi", "Mini"])
def test_a_misspelt_bundled_model_is_refused_at_once(name):
    with pytest.raises(ModelError, match=f"got '{name}'; did you mean 'mini'\\?$"):
        Respondent.from_pretrained(name)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("some-org/some-model", "cannot load model 'some-org/some-model': "),
        ("some-org/not a name", "cannot load model 'some-org/not a name': "),
    ],
)
def test_a_hub_id_that_cannot_be_had_is_one_line(name, start):
    with pytest.raises(ModelError) as caught:
        Respondent.from_pretrained(name)
    assert str(caught.value).startswith(start)
    assert len(str(caught.value)) > len(start) + 10  # the reason
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("local", [False, True])
def test_the_revision_is_asked_of_the_hub_alone(tiny_folder, local, monkeypatch):
    def look(name: str, **options: Any) -> None:
        seen.append((name, options))
        raise OSError("seen")

    seen: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(loading.AutoTokenizer, "from_pretrained", look)
    model_id = str(tiny_folder) if local else "some-org/some-model"
    with pytest.raises(ModelError, match=r"seen$"):
        Respondent.from_pretrained(model_id, revision="abc123")
    wanted = {"local_files_only": True} if local else {"local_files_only": False, "revision": "abc123"}
    assert seen == [(model_id, {"trust_remote_code": False, **wanted})]


@pytest.mark.usefixtures("offline")
def test_code_that_comes_with_a_model_is_not_run(copy):
    config = json.loads((copy / "config.json").read_text())
    named = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    (copy / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": named}))
    (copy / "code.py").write_text(f"open({str(copy / 'trace')!r}, 'w').close()\n")
    with pytest.raises(ModelError, match="contains custom code which must be executed"):
        Respondent.from_pretrained(str(copy))
    assert not (copy / "trace").exists()


def test_a_folder_in_the_working_directory_goes_before_the_hub(tiny_folder, short, tiny, monkeypatch):
    monkeypatch.chdir(tiny_folder.parent)
    respondent = Respondent.from_pretrained(tiny_folder.name)
    assert respondent.settings == ModelSettings(id=tiny_folder.name)
    assert respondent.fingerprint == tiny.fingerprint


def test_a_model_that_takes_no_embeddings_is_refused_by_name(tiny_folder, tiny_tokenizer):
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_folder)
    model.forward = lambda input_ids, attention_mask: None
    with pytest.raises(ModelError, match=r"^old: LlamaForCausalLM takes no inputs_embeds, so no soft prompt either$"):
        HFRespondent(model, tiny_tokenizer, ModelSettings(id="old"))
