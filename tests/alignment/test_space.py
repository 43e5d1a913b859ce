import numpy as np

from hofsteer.alignment.space import FullSpace

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
