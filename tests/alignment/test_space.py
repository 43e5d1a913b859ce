import numpy as np
import pytest
import torch

from hofsteer import Respondent, ScriptedRespondent
from hofsteer.alignment.space import FullSpace, SubspaceSpace, make_space, random_maps
from hofsteer.config import SpaceSettings
from hofsteer.errors import ConfigError, ModelError

SPACE = FullSpace(tokens=3, width=5, spread=0.25)


def test_dimensions_and_blocks():
    assert SPACE.dim == 15
    np.testing.assert_array_equal(SPACE.blocks, [0] * 5 + [1] * 5 + [2] * 5)


def test_decode_gives_soft_prompts_in_units_of_the_spread():
    vectors = np.arange(30.0).reshape(2, 15)
    prompts = SPACE.decode(vectors)
    assert (prompts.shape, prompts.dtype) == ((2, 3, 5), np.float32)
    np.testing.assert_array_equal(prompts[1, 2], 0.25 * np.array([25, 26, 27, 28, 29]))
    np.testing.assert_array_equal(vectors, np.arange(30.0).reshape(2, 15))


def test_a_block_is_a_row_of_the_soft_prompt():
    for token in range(SPACE.tokens):
        prompt = SPACE.decode((SPACE.blocks == token).astype(float)[None])[0]
        assert prompt[token].all()
        assert not np.delete(prompt, token, axis=0).any()


def test_one_candidate_is_decoded_as_among_others():
    vectors = np.random.default_rng(3).normal(size=(4, 15))
    np.testing.assert_array_equal(SPACE.decode(vectors)[2:3], SPACE.decode(vectors[2:3]))


def test_noise_depends_on_the_seed_alone():
    noise = SPACE.noise(6, scale=1.0, seed=7)
    assert (noise.shape, noise.dtype) == ((6, 15), np.float64)
    np.testing.assert_array_equal(noise, SPACE.noise(6, scale=1.0, seed=7))
    assert not np.isclose(noise, SPACE.noise(6, scale=1.0, seed=8)).any()
    assert not np.isclose(SPACE.noise(6, scale=1.0, seed=0), noise).any()


def test_noise_has_the_scale_that_was_asked_for():
    noise = FullSpace(tokens=20, width=50, spread=9.0).noise(20, scale=0.5, seed=1)  # in units: the spread has no part
    assert abs(noise.std() - 0.5) < 0.01
    assert abs(noise.mean()) < 0.02


def test_noise_is_not_the_stream_of_another_use():
    stream = np.random.default_rng(7).normal(size=(6, 15))  # what a trailing zero would have given
    assert not np.isclose(SPACE.noise(6, scale=1.0, seed=7), stream).any()


# --- subspaces


def subspace(k=3, tokens=2, width=8, spread=0.25, seed=0, **options):
    maps = random_maps(k, tokens, width, spread, seed)
    return SubspaceSpace(tokens, width, spread, center=np.zeros(width), maps=maps, **options)


@pytest.fixture
def principal(tiny):
    return make_space(SpaceSettings(tokens=3, coordinates=5, map="pca"), tiny)


def test_a_subspace_has_coordinates_for_each_token():
    space = subspace()
    assert (space.dim, space.coordinates) == (6, 3)
    np.testing.assert_array_equal(space.blocks, [0, 0, 0, 1, 1, 1])
    prompts = space.decode((space.blocks == 1).astype(float)[None])
    assert (prompts.shape, prompts.dtype) == ((1, 2, 8), np.float32)
    assert not prompts[0, 0].any()
    assert prompts[0, 1].all()


def test_random_directions_are_at_right_angles_and_of_one_length():
    maps = random_maps(3, tokens=4, width=8, spread=0.25, seed=1)
    for one in maps:
        np.testing.assert_allclose(one.T @ one, np.eye(3) * 0.25**2 * 8 / 3, atol=1e-12)
    assert not np.isclose(maps[0], maps[1]).any()  # each token has its own
    np.testing.assert_array_equal(maps, random_maps(3, tokens=4, width=8, spread=0.25, seed=1))
    np.testing.assert_array_equal(maps[:2], random_maps(3, tokens=2, width=8, spread=0.25, seed=1))
    assert not np.isclose(maps, random_maps(3, tokens=4, width=8, spread=0.25, seed=2)).any()


def test_random_directions_have_no_preference():
    firsts = np.stack([random_maps(1, 1, 2, 1.0, seed)[0, :, 0] for seed in range(400)]) / np.sqrt(2)
    assert np.abs(firsts.mean(axis=0)).max() < 0.12  # without the signs of QR the first entry is always negative
    assert np.abs((firsts**2).mean(axis=0) - 0.5).max() < 0.08


def test_all_random_directions_are_the_full_space_turned():
    space, full = subspace(k=8), FullSpace(2, 8, 0.25)
    prompts = np.random.default_rng(4).normal(size=(5, 2, 8))
    np.testing.assert_allclose(space.decode(space.encode(prompts)), prompts, rtol=1e-6)
    vectors = np.random.default_rng(5).normal(size=(1, 16))
    length = np.linalg.norm(full.rows(vectors), axis=-1)
    np.testing.assert_allclose(np.linalg.norm(space.rows(vectors), axis=-1), length, rtol=1e-12)


@pytest.mark.parametrize("k", [2, 30, 120])
def test_noise_is_as_long_in_every_space(k):
    rows = subspace(k=k, tokens=20, width=120, spread=0.5).decode(np.random.default_rng(k).normal(size=(60, 20 * k)))
    assert np.sqrt((rows.astype(float) ** 2).mean()) == pytest.approx(0.5, rel=0.03)


def test_principal_components_span_the_space(principal, tiny):
    rows = tiny.vocabulary().rows(range(tiny.vocabulary().size))
    _, singular, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(principal.center, rows.mean(axis=0), atol=1e-9)
    np.testing.assert_array_equal(principal.blocks, np.repeat([0, 1, 2], 5))
    deviations = singular / np.sqrt(len(rows))
    lengths = np.linalg.norm(principal.maps[0], axis=0)
    np.testing.assert_allclose(lengths / lengths[0], deviations[:5] / deviations[0], rtol=1e-9)
    assert (lengths**2).sum() == pytest.approx((deviations**2).sum())  # as long as the vocabulary's rows, on average
    inside = principal.rows(np.random.default_rng(6).normal(size=(4, 15))) - principal.center
    np.testing.assert_allclose(inside @ axes[:5].T @ axes[:5], inside, atol=1e-9)


def test_encode_finds_the_nearest_that_the_space_has(principal):
    prompts = np.random.default_rng(7).normal(size=(4, 3, 32))
    vectors = principal.encode(prompts)
    apart = (prompts - principal.center).reshape(12, 32)
    best = np.linalg.lstsq(principal.maps[0], apart.T, rcond=None)[0].T.reshape(4, 15)
    np.testing.assert_allclose(vectors, best, rtol=1e-9)


@pytest.mark.parametrize("k", [1, 5, 24])
def test_one_candidate_of_a_subspace_is_decoded_as_among_others(k):
    space = subspace(k=k, tokens=8, width=128)
    vectors = np.random.default_rng(3).normal(size=(32, space.dim))
    for one in (0, 17, 31):
        np.testing.assert_array_equal(space.rows(vectors)[one], space.rows(vectors[one : one + 1])[0])


def test_full_space_encodes_exactly():
    prompts = np.random.default_rng(8).normal(size=(4, 3, 5)).astype(np.float32)
    np.testing.assert_array_equal(SPACE.decode(SPACE.encode(prompts)), prompts)


# --- limits and casts


def test_rows_are_kept_within_the_norms_of_the_vocabulary(tiny):
    low, high = tiny.vocabulary().norm_range
    for settings in (SpaceSettings(norm_limit=True), SpaceSettings(norm_limit=True, coordinates=4)):
        space = make_space(settings, tiny)
        vectors = space.noise(6, 1.0, seed=1) * np.array([[0.001], [0.3], [1], [1], [3], [1000]])
        free, prompts = space.rows(vectors), space.decode(vectors)
        norms = np.linalg.norm(prompts.astype(float), axis=-1)
        assert norms.min() >= low * (1 - 1e-6)
        assert norms.max() <= high * (1 + 1e-6)
        within = (np.linalg.norm(free, axis=-1) >= low) & (np.linalg.norm(free, axis=-1) <= high)
        assert within.any()
        np.testing.assert_array_equal(prompts[within], free[within].astype(np.float32))
        cosine = (prompts * free).sum(axis=-1) / norms / np.linalg.norm(free, axis=-1)
        np.testing.assert_allclose(cosine, 1, rtol=1e-6)


def test_a_row_of_zeros_has_no_direction():
    space = FullSpace(1, 3, 1.0, norm_range=(1.0, 2.0))
    np.testing.assert_array_equal(space.decode(np.zeros((1, 3))), np.zeros((1, 1, 3)))


def test_what_is_decoded_is_what_the_model_takes(tiny_folder):
    half = Respondent.from_pretrained(str(tiny_folder), dtype="bfloat16")
    prompts = make_space(SpaceSettings(tokens=2), half).decode(np.random.default_rng(9).normal(size=(3, 64)))
    np.testing.assert_array_equal(prompts, torch.tensor(prompts).bfloat16().float().numpy())


def test_more_coordinates_than_numbers(tiny):
    with pytest.raises(ConfigError, match=r"space\.coordinates wants at most the 32 numbers of a row, got 33"):
        make_space(SpaceSettings(coordinates=33), tiny)


@pytest.mark.parametrize("settings", [SpaceSettings(coordinates=2, map="pca"), SpaceSettings(norm_limit=True)])
def test_spaces_that_need_a_vocabulary(settings, neutral_answers):
    with pytest.raises(ModelError, match="scripted has no vocabulary"):
        make_space(settings, ScriptedRespondent(neutral_answers))
