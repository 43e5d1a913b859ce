import logging

import numpy as np
import pytest

from hofsteer import ScriptedRespondent, SoftPrompt
from hofsteer.alignment.space import FullSpace, make_space
from hofsteer.alignment.start import load_start, start_identity, start_note, starting_population
from hofsteer.config import SpaceSettings
from hofsteer.errors import ModelError, SoftPromptError

TEXT = "How important is it to you"


def begin(respondent, settings, population_size=6, seed=3):
    """The soft prompts that a search starts from."""
    space = make_space(settings, respondent)
    population = starting_population(space, settings, respondent, population_size, seed)
    assert population.shape == (population_size, space.dim)
    np.testing.assert_array_equal(population, starting_population(space, settings, respondent, population_size, seed))
    return space, space.decode(population)


@pytest.fixture
def save(tmp_path):
    def save(tokens, width=32, base_model=None, seed=1):
        values = np.random.default_rng([9, seed]).normal(size=(tokens, width)).astype(np.float32)
        SoftPrompt(values, base_model).save(tmp_path / "found")
        return values, str(tmp_path / "found")

    return save


def test_noise_is_what_it_was_before_there_was_another_start(tiny):
    space, prompts = begin(tiny, SpaceSettings(tokens=2, start_scale=0.5))
    noise = np.random.default_rng([3, 1]).normal(0.0, 0.5, size=(6, 64))
    np.testing.assert_array_equal(prompts, (space.spread * noise).astype(np.float32).reshape(6, 2, 32))


def test_vocabulary_rows_are_those_of_ordinary_tokens(tiny):
    vocabulary = tiny.vocabulary()
    _, prompts = begin(tiny, SpaceSettings(tokens=3, start="vocabulary"), population_size=20)
    rows = vocabulary.rows(vocabulary.ordinary_ids)
    nearest = np.abs(prompts[:, :, None].astype(float) - rows).max(axis=-1).min(axis=-1)
    assert nearest.max() < 1e-6
    assert len(np.unique(prompts.reshape(60, 32), axis=0)) > 40
    other = begin(tiny, SpaceSettings(tokens=3, start="vocabulary"), population_size=20, seed=4)[1]
    assert not np.array_equal(prompts, other)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # PEFT 0.21's own
@pytest.mark.parametrize("tokens", [2, 40])
def test_a_text_starts_where_peft_starts_from_it(tokens, tiny, tiny_folder):
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    config = peft.PromptTuningConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=tokens,
        prompt_tuning_init="TEXT",
        prompt_tuning_init_text=TEXT,
        tokenizer_name_or_path=str(tiny_folder),
    )
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_folder), config)
    theirs = model.prompt_encoder["default"].embedding.weight.detach().numpy()
    space, prompts = begin(tiny, SpaceSettings(tokens=tokens, start=f"text:{TEXT}", start_jitter=0.1))
    np.testing.assert_array_equal(prompts[0], theirs)
    apart = (prompts[1:] - theirs) / space.spread
    assert apart.std() == pytest.approx(0.1, rel=0.2)


def test_another_run_is_gone_on_from(tiny, save):
    values, folder = save(3)
    space, prompts = begin(tiny, SpaceSettings(tokens=3, start=f"run:{folder}"))
    np.testing.assert_array_equal(prompts[0], values)
    assert ((prompts[1:] - values) / space.spread).std() == pytest.approx(0.2, rel=0.2)


def test_rows_that_a_run_lacks_stand_in_front_and_are_noise(tiny, save):
    values, folder = save(2)
    settings = SpaceSettings(tokens=5, start=f"run:{folder}")
    _, prompts = begin(tiny, settings)
    np.testing.assert_array_equal(prompts[0, 3:], values)
    noise = begin(tiny, settings.model_copy(update={"start": "noise"}))[1]
    np.testing.assert_array_equal(prompts[:, :3], noise[:, :3])


def test_a_run_with_more_tokens_is_refused(tiny, save):
    _, folder = save(20)
    with pytest.raises(SoftPromptError) as caught:
        begin(tiny, SpaceSettings(tokens=8, start=f"run:{folder}"))
    assert str(caught.value) == (
        f"the soft prompt in {folder} has 20 tokens and the search 8: to cut it would lose what was found; "
        "set space.tokens to 20 or more"
    )


def test_a_run_of_another_width_is_refused(tiny, save):
    _, folder = save(2, width=24)
    with pytest.raises(SoftPromptError, match="want a soft prompt of width 32 to start from, got one of width 24"):
        begin(tiny, SpaceSettings(start=f"run:{folder}"))


def test_a_run_of_another_model_is_said(tiny, save, caplog):
    _, folder = save(2, base_model="org/other")
    with caplog.at_level(logging.WARNING):
        begin(tiny, SpaceSettings(start=f"run:{folder}"))
    assert "the start was found for org/other, not for " in caplog.text


def test_row_0_from_bos(tiny):
    bos = tiny.vocabulary().bos_row
    space, prompts = begin(tiny, SpaceSettings(tokens=3, bos=True, start_jitter=0.05))
    np.testing.assert_array_equal(prompts[0, 0], bos.astype(np.float32))
    assert ((prompts[1:, 0] - bos) / space.spread).std() == pytest.approx(0.05, rel=0.2)
    noise = begin(tiny, SpaceSettings(tokens=3))[1]
    np.testing.assert_array_equal(prompts[:, 1:], noise[:, 1:])


@pytest.mark.parametrize("kind", ["random", "pca"])
@pytest.mark.parametrize("start", ["vocabulary", f"text:{TEXT}", "run"])
def test_starts_in_a_subspace_are_the_nearest_it_has(kind, start, tiny, save):
    values, folder = save(4)
    start = f"run:{folder}" if start == "run" else start
    settings = SpaceSettings(tokens=4, coordinates=6, map=kind, start=start, bos=True)
    space, prompts = begin(tiny, settings)
    np.testing.assert_allclose(space.decode(space.encode(prompts)), prompts, atol=1e-5)  # inside
    if start.startswith("run"):
        np.testing.assert_allclose(prompts[0, 1:], space.decode(space.encode(values[None]))[0, 1:], rtol=1e-6)


@pytest.mark.parametrize("settings", [{"start": "vocabulary"}, {"start": "text:a"}, {"bos": True}])
def test_starts_that_need_a_vocabulary(settings, neutral_answers):
    respondent = ScriptedRespondent(neutral_answers)
    settings = SpaceSettings(tokens=1, **settings)
    with pytest.raises(ModelError, match="scripted has no vocabulary"):
        starting_population(FullSpace(1, 24, 1.0), settings, respondent, 4, 0)


def test_what_a_run_records_of_its_start(save):
    values, folder = save(3, base_model="org/model")
    assert start_identity(SpaceSettings()) == {"kind": "noise"}
    assert start_identity(SpaceSettings(start="text: Hello ")) == {"kind": "text", "text": "Hello"}
    identity = start_identity(SpaceSettings(start=f"run:{folder}"))
    assert identity == {"kind": "run", **SoftPrompt(values, "org/model").identity()}
    np.testing.assert_array_equal(load_start(folder, 3).values, values)
    with pytest.raises(SoftPromptError, match="want a run or a PEFT adapter"):
        start_identity(SpaceSettings(start="run:nowhere"))


def test_what_must_be_said_of_a_start():
    assert start_note({"kind": "noise"}) is start_note({"kind": "vocabulary"}) is None
    said = start_note({"kind": "text", "text": "You live in Japan."})
    assert said.startswith("The search started from the text 'You live in Japan.'.")
    assert "a persona in disguise" in said
    said = start_note({"kind": "run", "sha256": "0123456789abcdef", "base_model": None})
    assert "another soft prompt (SHA-256 0123456789ab)" in said
