"""`hofsteer knowledge`, and the benchmarks of `hofsteer evaluate`."""

from pathlib import Path

import numpy as np
import pytest

from hofsteer import SoftPrompt

EASY = Path(__file__).parents[1] / "evaluation" / "own-easy.csv"


def test_a_bare_model(hofsteer, tiny_folder):
    asked = ("knowledge", f"culturalbench-easy={EASY}", "--model", tiny_folder)
    table = hofsteer(*asked, "--json").json()
    (found,) = table["benchmarks"]
    assert (table["schema"], table["soft_prompt"], found["benchmark"]) == (1, None, "CulturalBench-Easy")
    assert (found["all"]["n"], found["chance"], found["steered"]) == (10, 0.25, [])
    assert found["all"]["right"] == sum(one["right"] for one in found["countries"].values())
    assert set(found["countries"]) == {"Japan", "Norway"}
    said = " ".join(hofsteer(*asked).out.split())
    assert "CulturalBench-Easy: questions answered right" in said
    assert "By guessing 25.00% would be right, by the best constant answer 30.0%; with the key permuted" in said
    assert "McNemar" not in said


def test_behind_a_soft_prompt(hofsteer, tiny_folder, tmp_path):
    values = np.random.default_rng([2, 1]).normal(0.0, 0.5, size=(3, 32)).astype(np.float32)
    SoftPrompt(values, "tiny-llama").save(tmp_path / "adapter")
    asked = ("knowledge", f"culturalbench-easy={EASY}", "--model", tiny_folder, "--prompt", tmp_path / "adapter")
    (found,) = hofsteer(*asked, "--json").json()["benchmarks"]
    (steered,) = found["steered"]
    assert steered["all"]["right"] == found["all"]["right"] - steered["all"]["lost"] + steered["all"]["gained"]
    assert steered["damage"]["margin"] == 0.02
    result = hofsteer(*asked)
    said = " ".join(result.out.split())
    assert "percentage points of right answers lost (one-sided 95 % bounds" in said
    assert f"wanted within 2: {steered['damage']['word']}." in said
    assert "gained" in said


def test_refused(refused, tmp_path):
    assert "did you mean 'culturalbench'?" in refused("knowledge", "culturbench")
    assert "no file of questions at" in refused("knowledge", f"culturalbench-hard={tmp_path / 'none.csv'}")
    assert "own-easy.csv is of the easy form" in refused("knowledge", f"culturalbench-hard={EASY}")


@pytest.mark.slow
def test_without_a_network_it_is_one_line(monkeypatch, tmp_path, request):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    result = request.getfixturevalue("process")("knowledge", "culturalbench")
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert result.err.startswith("error: cannot get CulturalBench-Easy.csv of kellycyy/CulturalBench from the hub (")
    assert result.err.rstrip().endswith("with a copy, culturalbench-easy=FILE")
