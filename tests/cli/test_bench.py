"""`hofsteer bench` on the tiny model; what it measures is compared elsewhere."""


def test_json(hofsteer, tiny_folder):
    result = hofsteer("bench", "--model", tiny_folder, "--repetitions", "1", "--json")
    assert result.code == 0
    table = result.json()
    assert table["one_pass"] is True
    assert table["positions_trie"] < table["positions_padded"]
    assert table["max_abs_difference"] < 1e-4
    for key in ("speedup_vs_padded", "speedup_vs_generate", "share_of_matmul_rate", "candidates_a_second"):
        assert table[key] > 0


def test_table_for_people(hofsteer, tiny_folder):
    result = hofsteer("bench", "--model", tiny_folder, "--repetitions", "1", "--no-generate", "--layout", "scale-first")
    assert result.code == 0
    for words in ("one pass", "padded batch", "candidates a second"):
        assert words in result.out
    assert "sampled texts" not in result.out


def test_bad_repetitions(hofsteer, tiny_folder):
    result = hofsteer("bench", "--model", tiny_folder, "--repetitions", "0")
    assert (result.code, result.err) == (2, "error: --repetitions wants at least 1, got 0\n")
