"""Run folders that are not what an evaluation needs: one line each, before a model is asked."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from hofsteer.alignment.run import BEST, UNPOLISHED
from hofsteer.config import resolve
from hofsteer.errors import HofsteerError, RunError
from hofsteer.evaluation.finished import open_runs
from hofsteer.pipeline import start
from hofsteer.respondent.soft_prompt import SoftPrompt
from hofsteer.world import WorldRespondent, load_census


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of two generations on the world; only for copying."""
    path = tmp_path_factory.mktemp("made") / "run"
    settings = {"target": "JPN", "search.name": "random", "search.budget": 8, "search.population_size": 4}
    start(resolve(flags=settings), WorldRespondent(load_census()), path)
    return path


@pytest.fixture
def path(made, tmp_path):
    return shutil.copytree(made, tmp_path / "run")


def refusal(path, along=True):
    with pytest.raises(HofsteerError) as refused:
        open_runs([path], along)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_what_is_kept_along_the_search(path):
    (run,) = open_runs([path, path], along=True)
    kept = run.along()
    assert list(kept.points) == [4, 8]
    assert (kept.evaluations, kept.best) == (8, kept.points[8][0])
    assert np.array_equal(kept.end, run.soft_prompt.values)
    SoftPrompt(run.soft_prompt.values + 1).save(path / UNPOLISHED)
    assert np.array_equal(open_runs([path])[0].along().end, run.soft_prompt.values + 1)


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("evaluation.json", "has no evaluation.json: the run is not finished; go on with hofsteer resume {path}"),
        ("soft_prompt", "has no soft prompt: make it again with hofsteer resume {path}"),
        ("provenance.json", "has no provenance.json"),
        ("state.json", "has no state.json, which says how far its search went"),
        ("history.jsonl", "has 0 lines, but 2 generations were committed"),
    ],
)
def test_a_missing_file_is_named(missing, said, path):
    gone = path / missing
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    assert said.format(path=path) in refusal(path)


def test_what_is_not_asked_for_is_not_wanted(path):
    for name in ("state.json", "history.jsonl", "best-1.safetensors"):
        (path / name).unlink()
    assert len(open_runs([path])) == 1


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (("model",), "want the entry 'model', got none"),
        (("model", "id"), "want the entry 'model.id', got none"),
        (("instrument",), "want the entry 'instrument', got none"),
        (("target", "code"), "want the entry 'target.code', got none"),
        (("constants",), "want the entry 'constants', got none"),
        (("constants", "values"), "want constants, got KeyError('values')"),
        (("other_constants", 0, "kind"), "want constants, got KeyError('kind')"),
        (("plan", "started"), "want the entry 'plan.started', got none"),
    ],
)
def test_a_provenance_that_lacks_an_entry_is_named(keys, said, path):
    table = json.loads((path / "provenance.json").read_text(encoding="utf-8"))
    table |= {"plan": {"hash": "0", "started": "2026-11-28T00:00:00+00:00"}}
    table |= {"other_constants": [{"kind": "none", "values": [0.0] * 6, "source": "0"}]}
    inner = table
    for key in keys[:-1]:
        inner = inner[key]
    (path / "provenance.json").write_text(json.dumps(table), encoding="utf-8")
    assert len(open_runs([path])) == 1
    del inner[keys[-1]]
    (path / "provenance.json").write_text(json.dumps(table), encoding="utf-8")
    assert refusal(path) == f"{path} cannot be read: provenance.json: {said}"


@pytest.mark.parametrize("values", [np.zeros((8, 5)), np.zeros((7, 16)), np.zeros(16), np.full((8, 16), np.nan)])
def test_a_kept_point_that_is_no_soft_prompt_of_the_run_is_named(values, path):
    # one of another width was once a ValueError of NumPy's, after all else had been asked
    save_file({BEST: values.astype(np.float32)}, path / "best-1.safetensors")
    said = refusal(path)
    assert said.startswith(
        f"{path / 'best-1.safetensors'}: want finite rows of shape (8, 16), as the soft prompt's are"
    )
    assert said.endswith(f"{', got' if np.isfinite(values).all() else 'infinite ones of'} shape {values.shape}")


def test_an_end_of_the_search_of_another_width_is_named(path):
    SoftPrompt(np.zeros((8, 5), np.float32)).save(path / UNPOLISHED)
    assert f"{path / UNPOLISHED}: want finite rows of shape (8, 16)" in refusal(path)


def test_numbers_that_are_none_are_said_with_the_run(path):
    save_file(
        {"prompt_embeddings": np.full((8, 16), np.nan, np.float32)},
        path / "soft_prompt" / "adapter_model.safetensors",
    )
    assert refusal(path) == (
        f"the adapter in {path / 'soft_prompt'} cannot be used: want finite rows (tokens, width), got an array of "
        "shape (8, 16) with 128 numbers that are NaN or infinite"
    )


def test_a_folder_without_runs(tmp_path):
    with pytest.raises(RunError, match=r"has no config\.toml, nor has one inside it"):
        open_runs([tmp_path])
