"""`hofsteer bench` on the tiny model; what it measures is compared elsewhere."""

import pytest


def test_json(hofsteer, tiny_folder):
    result = hofsteer("bench", "--model", tiny_folder, "--repetitions", "1", "--json")
    assert result.code == 0
    table = result.json()
    assert table["one_pass"] is True
    assert table["positions_trie"] < table["positions_padded"]
    assert table["max_abs_difference"] < 1e-4
    for key in ("speedup_vs_padded", "speedup_vs_generate", "share_of_matmul_rate", "candidates_a_second"):
        assert table[key] > 0


def test_candidates_share_a_pass(hofsteer, tiny_folder):
    result = hofsteer(
        *("bench", "--model", tiny_folder, "--repetitions", "1", "--candidates", "3", "--no-generate", "--json")
    )
    assert (result.code, result.json()["candidates"]) == (0, 3)
    assert result.json()["max_abs_difference"] < 1e-4


def test_table_for_people(hofsteer, tiny_folder):
    result = hofsteer("bench", "--model", tiny_folder, "--repetitions", "1", "--no-generate", "--layout", "scale-first")
    assert result.code == 0
    for words in ("one pass", "padded batch", "candidates a second"):
        assert words in result.out
    assert "sampled texts" not in result.out


@pytest.mark.parametrize("option", ["--repetitions", "--candidates"])
def test_bad_counts(hofsteer, tiny_folder, option):
    result = hofsteer("bench", "--model", tiny_folder, option, "0")
    assert (result.code, result.err) == (2, f"error: {option} wants at least 1, got 0\n")
