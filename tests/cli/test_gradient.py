"""`align --search adam` and `align --polish N`, from the command line to the run folder."""

import json

import numpy as np
import pytest

from hofsteer.alignment.run import RunFolder
from hofsteer.respondent.soft_prompt import SoftPrompt

FAST = ("--tokens", "2", "--constants", "midpoint", "--set", "wordings=[0]", "--set", "orders=['listed']")
POPULATION = ("--set", "search.population_size=4")
SAME_BYTES = ("history.jsonl", "soft_prompt/adapter_model.safetensors", "evaluation.json")
ADAM = ("--search", "adam", "--budget", "17")  # four starts, four steps, one look at where they led
POLISH = ("--budget", "8", "--polish", "3")


@pytest.fixture
def align(hofsteer, tiny_folder, tmp_path):
    """Steer the tiny model towards Japan, into `tmp_path / name`."""

    def align(*options, name="run"):
        start = ("align", "--model", tiny_folder, "--target", "JPN", "--out", tmp_path / name)
        return hofsteer(*start, *FAST, *POPULATION, *options)

    return align


def interrupted_after(commits, monkeypatch, call):
    """Run something that is interrupted after so many commits."""
    commit, made = RunFolder.commit, []

    def interrupted(self, *arguments):
        commit(self, *arguments)
        made.append(self.path.name)
        if len(made) == commits:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "commit", interrupted)
        assert call().code != 0
    return made


def same(one, other, names=SAME_BYTES):
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_adam_descends_from_the_start_of_the_other_searches(align, tmp_path):
    found = align(*ADAM, "--json").json()
    align("--budget", "4", name="de")
    history, of_de = RunFolder(tmp_path / "run").history(), RunFolder(tmp_path / "de").history()
    assert history[0] == of_de[0]
    assert [record.evaluations for record in history] == [4, 7, 10, 13, 16, 17]
    assert [record.passes for record in history] == [4, 7, 10, 13, 16, 17]
    assert history[-1].best < history[0].best
    assert found["evaluations"] == 17
    assert found["polish"] is None
    assert found["loss"]["aligned"] == pytest.approx(history[-1].best, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("commits", [1, 3])
def test_interrupted_descent_resumes_to_the_same_bytes(commits, align, hofsteer, tmp_path, monkeypatch):
    align(*ADAM, name="straight")
    interrupted_after(commits, monkeypatch, lambda: align(*ADAM))
    assert hofsteer("resume", tmp_path / "run").code == 0
    same(tmp_path / "run", tmp_path / "straight")


def test_adam_follows_the_drift_where_it_has_a_price(align, tmp_path):
    priced = ("--set", "objective.drift_penalty=1000")
    align("--search", "adam", "--budget", "35", *priced)
    history = RunFolder(tmp_path / "run").history()
    assert history[-1].drift < 0.8 * history[0].drift
    assert history[-1].objective == pytest.approx(history[-1].best + 1000 * history[-1].drift)


@pytest.mark.slow
def test_interrupted_descent_with_a_price_of_drift_resumes_to_the_same_bytes(align, hofsteer, tmp_path, monkeypatch):
    options = (*ADAM, "--set", "objective.drift_penalty=10")
    align(*options, name="straight")
    interrupted_after(3, monkeypatch, lambda: align(*options))
    assert hofsteer("resume", tmp_path / "run").code == 0
    same(tmp_path / "run", tmp_path / "straight")


def test_polish_is_reported_apart(align, hofsteer, tiny_folder, tmp_path):
    result = align(*POLISH, "--json")
    table, run = result.json(), tmp_path / "run"
    saved = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    assert table["loss"]["aligned"] < table["loss"]["unpolished"]
    assert table["evaluations"] == 8
    assert table["polish"] == saved["polish"] == {"steps": 3, "evaluations": 10, "passes": 10}
    assert [saved["rows"][key]["name"] for key in ("unpolished", "aligned")] == ["steered", "polished"]
    assert [record.evaluations for record in RunFolder(run).history()] == [4, 8]
    assert [record.evaluations for record in RunFolder(run / "polish").history()] == [11, 14, 17, 18]
    report = (run / "report.html").read_text(encoding="utf-8")
    for words in (
        "<td>steered</td>",
        "<td>polished</td>",
        "Polished: after 8 evaluations the black-box search stood at",
    ):
        assert words in report
    survey = ("survey", "--model", tiny_folder, "--target", "JPN", "--constants", "midpoint", "--json")
    for folder, key in ((run, "aligned"), (run / "soft_prompt_unpolished", "unpolished")):
        again = hofsteer(*survey, "--prompt", folder).json()
        assert again["loss"] == pytest.approx(table["loss"][key], abs=1e-3)


@pytest.mark.slow
def test_search_before_a_polish_is_the_search_without_one(align, tmp_path):
    align(*POLISH)
    align("--budget", "8", name="plain")
    assert (tmp_path / "run" / "history.jsonl").read_bytes() == (tmp_path / "plain" / "history.jsonl").read_bytes()
    plain, unpolished = SoftPrompt.load(tmp_path / "plain"), SoftPrompt.load(tmp_path / "run/soft_prompt_unpolished")
    np.testing.assert_array_equal(plain.values, unpolished.values)
    assert not (tmp_path / "plain" / "polish").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("commits", "where"), [(2, "run"), (3, "polish"), (6, "polish")])
def test_interrupted_polish_resumes_to_the_same_bytes(commits, where, align, hofsteer, tmp_path, monkeypatch):
    align(*POLISH, name="straight")
    made = interrupted_after(commits, monkeypatch, lambda: align(*POLISH))
    assert made[-1] == where
    assert hofsteer("resume", tmp_path / "run").code == 0
    also = ("polish/history.jsonl", "soft_prompt_unpolished/adapter_model.safetensors")
    same(tmp_path / "run", tmp_path / "straight", (*SAME_BYTES, *also))


def test_table_names_both(align):
    said = " ".join(align(*POLISH).out.split())
    assert "steered" in said
    assert "polished" in said
    assert "3 gradient steps, counted as 10 evaluations more, led to" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--search", "adam", "--set", "read_out.kind=greedy"),
            "gradient steps want the read-out expected, or",
        ),
        (("--polish", "5", "--preset", "masoud2025-sampled"), "gradient steps want the read-out expected, or"),
        (("--polish", "5", "--set", "read_out.kind=sampled"), "gradient steps want the read-out expected, or"),
        (("--search", "adam", "--polish", "5"), "polish.steps follow a black-box search; search.name"),
        (
            ("--search", "adam", "--budget", "35"),
            "search.budget wants at least 36 evaluations for the",
        ),
        (("--polish", "-1"), "polish.steps: input should be greater than or equal to 0, got -1"),
        (
            ("--search", "adam", "--set", "search.learning_rate=0"),
            "search.learning_rate: input should be greater",
        ),
        (
            (
                "--search",
                "adm",
            ),
            "search.name wants ",
        ),
    ],
)
def test_refused_before_a_model_is_loaded(options, message, refused, monkeypatch):
    from hofsteer.respondent.hf import HFRespondent

    monkeypatch.setattr(HFRespondent, "__init__", lambda *a, **k: pytest.fail("a model was loaded"))
    assert refused("align", "--target", "JPN", *options).startswith(message)
