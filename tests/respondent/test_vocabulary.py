import numpy as np
import pytest
import torch

from hofsteer import Respondent, ScriptedRespondent
from hofsteer.errors import ModelError, SoftPromptError
from hofsteer.respondent.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def mini():
    return Respondent.from_pretrained("mini").vocabulary()


@pytest.fixture
def vocabulary(tiny):
    return tiny.vocabulary()


def made_of(rows, name="made"):
    table = torch.tensor(rows)
    return Vocabulary(lambda ids: table[ids], len(rows), tokenizer=None, name=name)


@pytest.mark.parametrize("name", ["vocabulary", "mini"])
def test_components_are_those_of_a_singular_value_decomposition(name, request):
    vocabulary = request.getfixturevalue(name)
    rows = vocabulary.rows(range(vocabulary.size))
    found = vocabulary.components(7)
    _, singular, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(found.center, rows.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(found.deviations, singular[:7] / np.sqrt(len(rows)), rtol=1e-9)
    np.testing.assert_allclose(np.abs((found.directions * axes[:7]).sum(axis=1)), 1, rtol=1e-9)
    np.testing.assert_allclose(found.directions @ found.directions.T, np.eye(7), atol=1e-9)
    assert found.total == pytest.approx((singular**2).sum() / len(rows))
    assert (found.directions[np.arange(7), np.abs(found.directions).argmax(axis=1)] > 0).all()


def test_as_many_components_as_a_row_has_numbers(vocabulary):
    found = vocabulary.components(32)
    assert (found.deviations**2).sum() == pytest.approx(found.total)
    with pytest.raises(ModelError, match=r"want at most the 32 directions that .* has, got 33"):
        vocabulary.components(33)


def test_rows_that_vary_in_few_directions():
    flat = np.random.default_rng([8, 1]).normal(size=(40, 3)) @ np.random.default_rng([8, 2]).normal(size=(3, 9))
    assert made_of(flat).components(3).directions.shape == (3, 9)
    with pytest.raises(ModelError, match="the vocabulary of made varies in 3 directions only, wanted 5"):
        made_of(flat).components(5)


def test_ordinary_tokens_are_text(vocabulary, tiny):
    ordinary = vocabulary.ordinary_ids
    assert set(tiny.tokenizer.all_special_ids).isdisjoint(ordinary)
    assert len(ordinary) == vocabulary.size - len(tiny.tokenizer.all_special_ids)
    padded = Vocabulary(vocabulary.embed, vocabulary.size + 64, tiny.tokenizer, "padded")  # rows that no token has
    np.testing.assert_array_equal(padded.ordinary_ids, ordinary)


def test_norm_range(vocabulary):
    norms = np.linalg.norm(vocabulary.rows(vocabulary.ordinary_ids), axis=1)
    assert vocabulary.norm_range == pytest.approx((norms.min(), norms.max()), rel=1e-12)


def test_text_begins_again_or_is_cut(vocabulary, tiny):
    ids = tiny.tokenizer("You live in Japan.", add_special_tokens=False)["input_ids"]
    assert vocabulary.text_ids("You live in Japan.", 3) == ids[:3]
    assert vocabulary.text_ids("You live in Japan.", len(ids)) == ids
    assert vocabulary.text_ids("You live in Japan.", 2 * len(ids) + 1) == [*ids, *ids, ids[0]]
    with pytest.raises(SoftPromptError, match="want a text with tokens to start from, got ''"):
        vocabulary.text_ids("", 4)


def test_bos(vocabulary, tiny):
    np.testing.assert_array_equal(vocabulary.bos_row, vocabulary.rows([tiny.tokenizer.bos_token_id])[0])
    without = type("Tokenizer", (), {"bos_token_id": None})()
    with pytest.raises(ModelError, match="made has no beginning-of-sequence token"):
        _ = Vocabulary(vocabulary.embed, vocabulary.size, without, "made").bos_row


def test_respondent_without_tokens(neutral_answers):
    with pytest.raises(ModelError, match="scripted has no vocabulary"):
        ScriptedRespondent(neutral_answers).vocabulary()


def test_soft_prompts_are_saved_as_the_model_takes_them(tiny, tiny_folder):
    prompts = np.random.default_rng([8, 3]).normal(size=(2, 3, 32)).astype(np.float32)
    assert tiny.as_saved(prompts) is prompts
    half = Respondent.from_pretrained(str(tiny_folder), dtype="bfloat16")
    saved = half.as_saved(prompts)
    assert saved.dtype == np.float32
    np.testing.assert_array_equal(saved, torch.tensor(prompts).bfloat16().float().numpy())
    np.testing.assert_array_equal(half.as_saved(saved), saved)
