import json
import re
from typing import get_args

import pytest

from hofsteer.alignment.run import RunFolder
from hofsteer.config import SearchSettings
from hofsteer.report import NOT_CONCLUDED

ONE_FORM = ("--set", "wordings=[0]", "--set", 'orders=["listed"]')
QUICK = ("--set", "search.population_size=4", "--budget", "16", "--tokens", "2", *ONE_FORM)
SAME_BYTES = ("history.jsonl", "soft_prompt/adapter_model.safetensors", "evaluation.json")
PROMISED = {
    "schema", "run", "target", "evaluations", "seconds", "stopped_by", "curve", "loss", "skill", "scores", "valid_mass",
}  # fmt: skip


@pytest.fixture
def align(hofsteer, tiny_folder, tmp_path):
    """Steer the tiny model towards Japan, into `tmp_path / name`."""

    def align(*options, name="run"):
        return hofsteer("align", "--model", tiny_folder, "--target", "JPN", "--out", tmp_path / name, *QUICK, *options)

    return align


def test_json(align, tmp_path):
    result = align("--json")
    assert result.code == 0
    table = result.json()
    assert set(table) >= PROMISED
    assert (table["schema"], table["run"], table["target"]) == (1, str(tmp_path / "run"), "JPN")
    assert table["evaluations"] == 16
    assert table["seconds"] > 0
    assert list(table["loss"]) == ["naive", "persona", "flat", "mean_country", "aligned"]
    assert table["skill"] == pytest.approx(1 - table["loss"]["aligned"] / table["loss"]["mean_country"])
    assert list(table["scores"]) == ["PDI", "IDV", "MAS", "UAI", "LTO", "IVR"]
    assert 0 < table["valid_mass"] < 0.9
    saved = json.loads((tmp_path / "run" / "evaluation.json").read_text(encoding="utf-8"))
    assert {key: saved["rows"][key]["loss"] for key in table["loss"]} == table["loss"]
    assert result.err.startswith("warning: valid mass 0.0")
    assert result.err.count("\n") == 1


def test_table_for_people(align, tmp_path):
    result = align()
    assert result.code == 0
    for words in ("Japan: scores and mean distance", "target", "naive", "persona", "steered", "mean country", "skill"):
        assert words in result.out
    assert " ".join(NOT_CONCLUDED.split()) in " ".join(result.out.split())
    said = " ".join(result.out.split())
    assert "two samples of 50 from one country differ by 11 points" in said
    assert "the steered model's scores lie" in said
    assert re.search(r"16 evaluations in \d+ s, then its budget was spent; run folder ", result.out)
    assert f"run folder {tmp_path / 'run'}, its soft_prompt/ a PEFT adapter" in result.out
    assert "95.0*" not in result.out
    assert "simulated respondent" not in result.out


def test_help_shows_the_defaults(hofsteer):
    said = hofsteer("align", "--help").out
    for value in ("2000)", "8)", "vsm13)", "fitted; none where the zero is fixed)"):
        assert f"({value}" in said, said


def test_a_group_of_a_table_stands_among_groups(hofsteer, tiny_folder, tmp_path):
    (tmp_path / "own.csv").write_text("group,n,n_effective,PDI,IDV\nnorth,400,150,54,46\nsouth,400,,40,50\n")
    said = " ".join(
        hofsteer("align", "--model", tiny_folder, "--target", tmp_path / "own.csv:north", *QUICK).out.split()
    )
    assert "two samples of 150 from one group differ by" in said
    assert "the mean of the other groups" in said
    assert not re.search("mean country|other countries|one country", said)


def test_help_lists_every_search(hofsteer):
    # the default was not among them
    said = " ".join(hofsteer("align", "--help").out.replace("│", " ").split())
    (listed,) = re.findall(r"gauss-newton, de, [^;]*; adam ", said)
    names = {name for kind in get_args(SearchSettings) for name in get_args(kind.model_fields["name"].annotation)}
    assert set(re.split(r", | or |; ", listed.strip())) == names


def test_subspace_and_start(align, tmp_path):
    result = align("--subspace", 4, "--set", "space.map=pca", "--start", "text:You live in Japan.")
    assert result.code == 0
    assert "The search started from the text 'You live in Japan.'" in " ".join(result.out.split())
    space = RunFolder.open(tmp_path / "run").config().space
    assert (space.coordinates, space.map, space.start) == (4, "pca", "text:You live in Japan.")


def test_drift_is_said_where_it_has_a_price(align, tmp_path):
    said = align("--set", "objective.drift_penalty=5").out
    drift = RunFolder.open(tmp_path / "run").history()[-1].drift
    assert f"Drift on the neutral text that the search was told of: {drift:.3f} nats a token" in said
    assert "Drift" not in align(name="other").out


def test_estimates_are_said(hofsteer, tiny_folder):
    result = hofsteer("align", "--model", tiny_folder, "--target", "SAU", *QUICK)
    assert "* estimate of its source, not a survey result" in result.out
    assert "95.0*" in result.out
    assert "run folder runs/tiny-llama-SAU-gauss-newton-0," in result.out


def test_instrument_with_its_own_zero(hofsteer, tiny_folder, tmp_path):
    options = ("--instrument", "ivs10", "--out", tmp_path / "run")
    said = " ".join(hofsteer("align", "--model", tiny_folder, "--target", "JPN", *QUICK, *options).out.split())
    assert "target 1.69 1.68" in said
    assert re.search(r"the steered model's scores lie \d\.\d\d points from the target", said)
    assert "vary as the instrument says of each item, two samples of 50 from one country differ by 0.2 points" in said
    assert RunFolder.open(tmp_path / "run").config().constants == "none"


def test_settings_from_everywhere(align, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text("[search]\nseed = 5\ncrossover_rate = 0.25\ndifferential_weight = 0.75\n", encoding="utf-8")
    options = ("--preset", "masoud2025", "--config", file, "--seed", 6, "--set", "search.differential_weight=1")
    assert align(*options).code == 0
    config = RunFolder.open(tmp_path / "run").config()
    assert (config.preset, config.space.tokens, config.search.budget) == ("masoud2025", 2, 16)
    assert (config.search.seed, config.search.crossover_rate, config.search.differential_weight) == (6, 0.25, 1.0)


def test_target_may_stand_in_the_file(hofsteer, tiny_folder, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('target = "JPN"\n', encoding="utf-8")
    result = hofsteer("align", "--model", tiny_folder, "--config", file, *QUICK, "--json")
    assert result.json()["target"] == "JPN"


def test_adapter_of_the_run_gives_the_loss_that_was_reported(align, hofsteer, tiny_folder, tmp_path):
    loss = align("--json").json()["loss"]
    survey = ("survey", "--model", tiny_folder, "--target", "JPN", "--json")
    again = hofsteer(*survey, "--prompt", tmp_path / "run").json()
    assert again["loss"] == pytest.approx(loss["aligned"], abs=1e-3)
    assert hofsteer(*survey).json()["loss"] == pytest.approx(loss["naive"], abs=1e-3)
    assert hofsteer(*survey, "--as", "JPN").json()["loss"] == pytest.approx(loss["persona"], abs=1e-3)


def test_constants_of_the_run_go_with_its_soft_prompt(align, hofsteer, tiny_folder, tmp_path, monkeypatch):
    # constants fitted again, to one form of four, once gave a survey another loss than its run
    from hofsteer.evaluation import constants

    table = align("--constants", "anchor:USA,CHN", "--json").json()
    monkeypatch.setattr(constants, "persona_scores", lambda *a, **k: pytest.fail("personas were asked again"))
    survey = ("survey", "--model", tiny_folder, "--target", "JPN", "--json")
    for prompt in (tmp_path / "run", tmp_path / "run" / "soft_prompt"):
        again = hofsteer(*survey, "--prompt", prompt).json()
        assert again["policies"] == table["constants"]
        assert list(again["losses"]) == ["anchor:USA,CHN", "midpoint", "fitted"]
    assert hofsteer(*survey, "--prompt", tmp_path / "run", "--constants", "midpoint").json()["constants"] == "midpoint"
    other = hofsteer(*survey, "--prompt", tmp_path / "run", "--instrument", "vsm13-cat").json()
    assert other["constants"] == "midpoint"  # the default of these tests


def test_resume_of_a_finished_run_is_the_same(align, hofsteer, tmp_path):
    first = align("--json").json()
    assert hofsteer("resume", tmp_path / "run", "--json").json() == first
    assert "run folder" in hofsteer("resume", tmp_path / "run").out


def test_interrupt_says_how_to_go_on(align, hofsteer, tmp_path, monkeypatch):
    commit = RunFolder.commit

    def interrupted(self, state, *rest):
        commit(self, state, *rest)
        if state.generation == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "commit", interrupted)
        result = align("--json")
    assert result.code != 0
    assert result.out == ""
    assert f"interrupted; go on with: hofsteer resume {tmp_path / 'run'}\n" in result.err
    assert "Traceback" not in result.err
    resumed = hofsteer("resume", tmp_path / "run", "--json").json()
    straight = align("--json", name="straight").json()
    assert resumed["loss"] == straight["loss"]
    for name in SAME_BYTES:
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target", "Jpan"), "want the code or name of a country or region, got 'Jpan'; did you mean 'Japan'?"),
        ((), "the setting 'target' is missing: give --target"),
        (
            ("--target", "JPN", "--model", "./nowhere"),
            "want a hub id (owner/name), a model folder or 'mini', got './nowhere'",
        ),
        (("--target", "JPN", "--search", "dee"), "search.name wants 'gauss-newton', 'de', 'shade', "),
        (("--target", "JPN", "--instrument", "vsm14"), "unknown instrument 'vsm14'; did you mean 'vsm13'?"),
        (("--target", "JPN", "--instrument", "broken.toml"), "broken.toml is not a TOML file: "),
        (("--target", "JPN", "--config", "broken.toml"), "broken.toml is not a TOML file: "),
        (
            ("--target", "JPN", "--config", "none.toml"),
            "cannot read settings from none.toml: No such file or directory",
        ),
        (("--target", "JPN", "--preset", "masoud"), "unknown preset 'masoud'; did you mean 'masoud2025'?"),
        (("--target", "JPN", "--budget", "19"), "search.budget wants at least the 32 evaluations of one population"),
        (("--target", "JPN", "--budget", "0"), "search.budget: input should be greater than or equal to 1, got 0"),
        (("--target", "JPN", "--tokens", "0"), "space.tokens: input should be greater than or equal to 1, got 0"),
        (("--target", "JPN", "--set", "seed=1"), "unknown setting 'seed'; did you mean 'search.seed'?"),
        (("--target", "JPN", "--set", "search.seed"), "--set wants key=value, got 'search.seed'"),
        (("--target", "JPN", "--seed", "1", "--set", "search.seed=1"), "search.seed is given both by its flag and by"),
        (("--target", "JPN", "--constants", "none"), "align wants constants that put the scores on the target's scale"),
        (("--target", "JPN", "--dtype", "float12"), "model.dtype wants 'float32', 'bfloat16' or 'float16'"),
        (("--target", "JPN", "--out", "broken.toml"), "broken.toml is a file; choose another folder"),
        (("--target", "JPN", "--out", "used"), "used is not empty; choose another folder"),
        (("--target", "JPN", "--start", "nois"), "space.start wants 'noise', 'vocabulary', "),
        (("--target", "JPN", "--start", "run:used"), "want a run or a PEFT adapter, but used has no adapter_config"),
        (("--target", "JPN", "--subspace", "0"), "space.coordinates: input should be greater than or equal to 1"),
        (("--target", "JPN", "--out", "."), "want a folder of its own for the run, got the current one, ."),
    ],
)
def test_refused_before_a_model_is_loaded(arguments, message, refused, tmp_path, monkeypatch):
    from hofsteer.respondent.hf import HFRespondent

    here = tmp_path / "cwd"
    (here / "broken.toml").write_text("items = [", encoding="utf-8")
    (here / "used").mkdir()
    (here / "used" / "notes.txt").write_text("mine", encoding="utf-8")
    monkeypatch.setattr(HFRespondent, "__init__", lambda *a, **k: pytest.fail("a model was loaded"))
    for extra in ([], ["--json"]):
        assert refused("align", *arguments, *extra).startswith(message)


def test_folder_of_another_run_is_refused_and_left_alone(align, refused, tiny_folder, tmp_path):
    align()
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    message = refused("align", "--model", tiny_folder, "--target", "USA", "--out", tmp_path / "run")
    assert message == f"{tmp_path / 'run'} already holds a run; resume it or choose another folder"
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_model_that_gives_the_options_no_mass(refused, silent, tmp_path):
    message = refused("align", "--model", silent, "--target", "JPN", "--out", tmp_path / "run")
    assert message.startswith(f"no usable answers ({silent}, naive): the model gives no probability to the answer opt")
    assert "runs" not in refused("align", "--model", silent, "--target", "JPN")


def test_resume_of_what_is_no_run(refused, tmp_path):
    assert refused("resume", "nowhere") == "want a run folder, but nowhere has no config.toml"
    assert refused("resume", tmp_path / "cwd") == f"want a run folder, but {tmp_path / 'cwd'} has no config.toml"


def test_resume_of_a_newer_run(align, refused, tmp_path):
    align()
    config = tmp_path / "run" / "config.toml"
    config.write_text(config.read_text(encoding="utf-8").replace("format = 1", "format = 2"), encoding="utf-8")
    want = f"{tmp_path / 'run'} is a run of format 2, and this hofsteer reads format 1"
    assert refused("resume", tmp_path / "run") == want


KILLED = """
import os, signal
calls, real = 0, os.fsync
def fsync(descriptor):
    global calls
    calls += 1
    if calls == {call}:
        os.kill(os.getpid(), signal.SIGKILL)
    real(descriptor)
os.fsync = fsync
from hofsteer.targets import constants, measured_countries
constants.measured_countries = lambda dimensions: measured_countries(dimensions)[::31]
from hofsteer.cli.main import run
run()
"""
# Files that each of the four commits brings to disk: history, timing, checkpoint, state, and before the checkpoint the
# best so far where the evaluations (4, 8, 12, 16) reach a power of two.
COMMITS = (5, 5, 4, 5)
MOMENTS = {
    "before the first commit": (1 + 2, 0),  # provenance.json was the first of all
    "before state.json has its name": (1 + sum(COMMITS[:2]) + 4, 2),
    "while the best so far is written": (1 + sum(COMMITS[:3]) + 3, 3),
    "while the adapter is written": (1 + sum(COMMITS) + 2, 4),
}


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_run_resumes_to_the_same_bytes(moment, align, hofsteer, process, tiny_folder, tmp_path):
    call, committed = MOMENTS[moment]
    constants = ("--constants", "fitted")
    straight = align("--json", *constants, name="straight").json()
    arguments = ("align", "--model", tiny_folder, "--target", "JPN", "--out", tmp_path / "killed", *QUICK, *constants)
    assert process(*arguments, code=KILLED.format(call=call)).code == -9
    assert RunFolder.open(tmp_path / "killed").committed_generation() == committed
    assert not (tmp_path / "killed" / "evaluation.json").exists()
    resumed = hofsteer("resume", tmp_path / "killed", "--json").json()
    differ = {"run": None, "seconds": None, "curve": None}
    assert {**resumed, **differ} == {**straight, **differ}
    best = [f"best-{generation}.safetensors" for generation in (1, 2, 4)]
    for name in (*SAME_BYTES, *best, "checkpoint-4.safetensors", "rendered.json", "provenance.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()


@pytest.mark.slow
def test_resume_in_a_process_of_its_own(align, process, tmp_path):
    straight = align("--json").json()
    result = process("resume", tmp_path / "run", "--json")
    assert result.json() == straight
    assert [line.partition(":")[0] for line in result.err.splitlines()] == ["warning"]  # of low mass, nothing else
