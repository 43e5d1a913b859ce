"""From a plan to the evaluation of runs, on a model that knows nothing."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hofsteer import SoftPrompt
from hofsteer.evaluation import cells, reference_rows

QUICK = ("--set", "search.budget=8", "--set", "search.population_size=4", "--set", "space.tokens=2")
ONE_FORM = ("--set", "wordings=[0]", "--set", 'orders=["listed"]')


@pytest.fixture(autouse=True)
def few_baselines(monkeypatch):
    """Eight personas and ten examples before every item take a while: one test alone asks all baselines."""
    monkeypatch.setattr(reference_rows, "BASELINES", ("naive", "persona", "random"))


@pytest.fixture(scope="module")
def runs(tiny_folder, tmp_path_factory):
    """A plan, two runs under it, and one for another target without it; only for looking at."""
    from hofsteer import Respondent, align
    from hofsteer.alignment.run import RunFolder
    from hofsteer.evaluation.plan import make_plan, write_plan
    from hofsteer.pipeline import start

    folder = tmp_path_factory.mktemp("planned")
    settings = {
        "search.budget": 8,
        "search.population_size": 4,
        "space.tokens": 2,
        "wordings": [0],
        "orders": ["listed"],
    }
    plan = make_plan(model=str(tiny_folder), targets=["JPN"], seeds=(0, 1), settings=settings, constants="midpoint")
    write_plan(plan, folder / "plan.toml")
    respondent = Respondent.from_pretrained(str(tiny_folder))
    for seed in plan.seeds:
        start(plan.run_config("JPN", seed), respondent, folder / "own" / str(seed))
    align(respondent, "CHN", out=folder / "others" / "chn", settings={**settings, "constants": "midpoint"})
    assert RunFolder.open(folder / "own" / "0").config().plan == plan.hash
    return folder


@pytest.fixture
def copied(runs, tmp_path):
    return shutil.copytree(runs, tmp_path / "runs")


def test_plan_then_align_then_evaluate(hofsteer, tiny_folder, tmp_path):
    made = hofsteer("plan", "--targets", "JPN", "--model", tiny_folder, "--seeds", "1", *QUICK, *ONE_FORM)
    assert made.code == 0
    assert "1 seeds give no verdict; 10 do" in made.out
    run = hofsteer("align", "--plan", "plan.toml", "--target", "Japan", "--out", tmp_path / "run")
    assert run.code == 0
    found = hofsteer("evaluate", tmp_path / "run", "--plan", "plan.toml", "--no-texts", "--json").json()
    assert found["exploratory"] == []
    assert found["verdict"] is None
    assert found["seeds_for_a_verdict"] == 10
    assert [claim["name"] for claim in found["claims"]] == [
        "matches",
        "carries-over",
        "specific",
        "choices",
        "no-damage",
    ]
    assert {form["wording"] for form in found["held_out"]} == set(range(1, 8))
    assert set(found["caricature"]["by_instrument"]) <= {"vsm13-own", "ivs10"}
    assert found["caricature"]["word"] == "undecided"  # one seed has no interval
    assert (found["generalising"]["pairs"], len(found["generalising"]["steered"])) == (12, 1)


@pytest.mark.slow
def test_runs_and_controls(hofsteer, copied, tmp_path):
    found = hofsteer(
        "evaluate", copied / "own", "--controls", copied / "others", "--no-texts", "--out", tmp_path / "v", "--json"
    )
    table = found.json()
    assert (table["seeds"], table["controls"], table["target"]) == ([0, 1], ["CHN"], "JPN")
    few = "1 of 1 controls are real countries, and 20 are wanted"
    assert table["exploratory"] == ["there was no plan", few]
    assert len(table["evidence"]["control_gains"]) == 1
    assert len(table["evidence"]["gains"]["ivs10"]) == 2
    evidence = table["evidence"]
    held_out = np.mean(next(iter(evidence["losses"].values()))["steered"], axis=1)
    spread = {"fitted": np.std(evidence["fitted_losses"], ddof=1), "held_out": np.std(held_out, ddof=1)}
    assert evidence["loss_spread"] == pytest.approx(spread)
    assert (len(evidence["styles"]["steered"]), evidence["texts"]) == (2, None)
    assert table["claims"][2]["alone"] == "undecided"  # one control is none
    assert json.loads((tmp_path / "v" / "verdict.json").read_text(encoding="utf-8")) == table
    page = (tmp_path / "v" / "verdict.html").read_text(encoding="utf-8")
    assert "No verdict: 2 search seeds" in page
    assert "<script" not in page


@pytest.mark.slow
def test_every_row_of_the_design_is_in_the_table(hofsteer, copied, tmp_path, monkeypatch):
    monkeypatch.setattr(reference_rows, "BASELINES", cells.BASELINES)
    asked = ("evaluate", copied / "own", "--no-texts", "--no-transfer", "--no-conversation", "--out", tmp_path / "v")
    table = hofsteer(*asked, "--json").json()
    rows = {row["name"]: row for row in table["reference"]["rows"]}
    without = ("flat", "mean-country", "table", "nearest")
    assert tuple(rows) == ("steered", *cells.BASELINES, *without)
    assert table["reference"]["left_out"] == {}
    evidence = table["evidence"]
    assert rows["steered"]["fitted"] == pytest.approx(np.mean(evidence["fitted_losses"]))
    assert rows["steered"]["skill"] == pytest.approx(np.mean(evidence["skill"]))
    assert rows["persona"]["held_out"] == pytest.approx(evidence["persona_loss"])
    assert rows["persona-best"]["fitted"] <= rows["persona"]["fitted"]
    page = (tmp_path / "v" / "verdict.html").read_text(encoding="utf-8")
    for name in rows:
        assert f"<td>{name}</td>" in page or f"<td><strong>{name}</strong></td>" in page
    assert f"Noise floor {evidence['noise_floor']:.1f} points" in page


@pytest.mark.slow
def test_for_people(hofsteer, copied):
    said = " ".join(hofsteer("evaluate", copied / "own", "--plan", copied / "plan.toml").out.split())
    for words in (
        "Gates",
        "valid-mass",
        "refusals",
        "Matches the scores",
        "No damage",
        "No verdict: 2 search seeds, and 10",
        "mean-country",
        "Answer style on content-free items",
        "cannot be parsed",
        "whose fitted losses are",
    ):
        assert words in said
    assert "Exploratory" not in said
    assert "Caricature index" in said
    assert "lines about people in Japan" in said
    again = hofsteer("evaluate", copied / "own", "--plan", copied / "plan.toml", "--no-texts", "--json").json()
    assert again["exploratory"] == []  # opened before, but after the runs were started


@pytest.mark.slow
def test_a_second_look_before_a_new_run_is_exploratory(hofsteer, copied):
    log = copied / "plan.opened.jsonl"
    log.write_text('{"opened": "2001-01-01T00:00:00+00:00", "runs": []}\n', encoding="utf-8")
    table = hofsteer("evaluate", copied / "own", "--plan", copied / "plan.toml", "--no-texts", "--json").json()
    assert table["exploratory"] == ["held-out data were opened at 2001-01-01T00:00:00+00:00, before a run was started"]


@pytest.mark.slow
def test_along_the_search(hofsteer, refused, copied, tmp_path):
    evaluate = ("evaluate", copied / "own", "--no-texts", "--no-conversation", "--json")
    table = hofsteer(*evaluate, "--out", tmp_path / "v").json()
    found, evidence = table["transfer"], table["evidence"]
    assert found["evaluations"] == [4, 8]  # two generations of four; the second is the end
    histories = [(copied / "own" / seed / "history.jsonl").read_text(encoding="utf-8").splitlines() for seed in "01"]
    assert found["fitted"] == [[json.loads(line)["best"] for line in lines] for lines in histories]
    assert [row[-1] for row in found["gains"]["ivs10"]] == pytest.approx(evidence["gains"]["ivs10"], abs=1e-5)
    held_out = np.mean(next(iter(evidence["losses"].values()))["steered"], axis=1)
    assert [row[-1] for row in found["held_out"]] == pytest.approx(held_out, abs=1e-3)
    page = (tmp_path / "v" / "verdict.html").read_text(encoding="utf-8")
    assert "Along the search: fit and carry-over" in page
    assert (tmp_path / "v" / "transfer.svg").is_file()

    other = SoftPrompt(np.random.default_rng([8, 1]).normal(0, 1, (2, 32)).astype(np.float32))
    other.save(copied / "own" / "0" / "soft_prompt_unpolished")  # as if gradient steps had followed the search
    polished = hofsteer(*evaluate).json()
    ends = [row[-1] for row in polished["transfer"]["gains"]["ivs10"]]
    assert ends[0] != pytest.approx(evidence["gains"]["ivs10"][0], abs=1e-5)
    assert ends[1] == pytest.approx(evidence["gains"]["ivs10"][1], abs=1e-5)
    assert polished["claims"] == table["claims"]

    assert hofsteer(*evaluate, "--no-transfer").json()["transfer"] is None
    kept = copied / "own" / "1" / "best-1.safetensors"
    kept.write_bytes(b"half")
    assert f"{kept.name} cannot be read" in refused(*evaluate)
    assert hofsteer(*evaluate, "--no-transfer").json()["transfer"] is None
    kept.unlink()  # as of runs that kept none
    assert hofsteer(*evaluate).json()["transfer"] is None


@pytest.mark.slow
def test_in_one_conversation(hofsteer, copied, tiny_folder, folder, tmp_path):
    evaluate = ("evaluate", copied / "own", "--no-texts", "--json")
    assert "the conversation has" in hofsteer(*evaluate).json()["conversations"]  # 2,048 tokens are too few
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 4096}), encoding="utf-8")
    for path in copied.glob("own/*/config.toml"):
        path.write_text(path.read_text(encoding="utf-8").replace(str(tiny_folder), str(folder)), encoding="utf-8")
    table = hofsteer(*evaluate, "--out", tmp_path / "v").json()
    asked = table["conversations"]
    assert np.shape(asked["steered"]) == (2, 2)  # seeds, orders
    assert np.shape(asked["naive"]) == np.shape(asked["persona"]) == np.shape(asked["one_by_one"]) == (2,)
    alone = hofsteer("survey", "--model", folder, "--target", "JPN", "--conversation", "--json").json()
    assert asked["naive"][0] == pytest.approx(alone["loss"])
    shuffled = ("--conversation", "--shuffle", "0", "--prompt", copied / "own" / "1")
    steered = hofsteer("survey", "--model", folder, "--target", "JPN", *shuffled, "--json").json()
    assert asked["steered"][1][1] == pytest.approx(steered["loss"])
    page = (tmp_path / "v" / "verdict.html").read_text(encoding="utf-8")
    assert "In one conversation, the likeliest answers left in the chat" in page
    without = hofsteer(*evaluate, "--no-conversation").json()
    assert without["conversations"] is None
    assert without["claims"] == table["claims"]  # none rests on it


def test_a_benchmark_is_part_of_the_damage_where_the_model_alone_knows_it(hofsteer, copied, tiny, tmp_path):
    from hofsteer.evaluation.culturalbench import read_benchmark
    from hofsteer.evaluation.knowledge import ask

    ours = Path(__file__).parents[1] / "evaluation" / "own-easy.csv"
    given = ask(tiny, read_benchmark(ours, "easy")).chosen[:, 0]
    rows = ours.read_text(encoding="utf-8").splitlines()
    known = [
        ",".join([*r.split(",")[:-3], "ABCD"[k], *r.split(",")[-2:]]) for r, k in zip(rows[1:], given, strict=True)
    ]
    (tmp_path / "known.csv").write_text("\n".join([rows[0], *known]), encoding="utf-8")
    evaluate = ("evaluate", copied / "own", "--no-texts", "--benchmark")
    found = hofsteer(*evaluate, f"culturalbench-easy={tmp_path / 'known.csv'}", "--json").json()
    (knowledge,) = found["knowledge"]
    assert (knowledge["all"]["right"], knowledge["there_to_be_lost"], len(knowledge["steered"])) == (10, True, 2)
    lost = [one["all"]["share_lost"] for one in knowledge["steered"]]
    assert found["evidence"]["lost"]["CulturalBench-Easy"] == pytest.approx(lost)
    parts = {part["name"]: part for part in found["claims"][-1]["parts"]}
    assert parts["CulturalBench-Easy"]["value"] == pytest.approx(sum(lost) / 2)
    said = " ".join(hofsteer(*evaluate, f"culturalbench-easy={ours}").out.split())
    assert "CulturalBench-Easy, 10 questions: alone" in said
    assert "About Japan (5):" in said


def test_refused(refused, copied, tmp_path):
    own, other = copied / "own" / "0", copied / "others" / "chn"
    assert "has no config.toml, nor has one inside it" in refused("evaluate", tmp_path / "cwd")
    assert "want runs for one target, got JPN and CHN; give other targets as --controls" in refused(
        "evaluate", own, other
    )
    assert "aims at JPN as well" in refused("evaluate", own, "--controls", copied / "own" / "1")
    shutil.copytree(own, copied / "again")
    assert "got seed 0 twice: one draw is not two" in refused("evaluate", own, copied / "again")
    shutil.rmtree(copied / "again" / "soft_prompt")
    assert "has no soft prompt: make it again with hofsteer resume" in refused("evaluate", copied / "again")
    config = copied / "own" / "1" / "config.toml"
    config.write_text(config.read_text(encoding="utf-8").replace("format = 1", "format = 9", 1), encoding="utf-8")
    assert "9" in refused("evaluate", copied / "own" / "1")
    plan = copied / "plan.toml"
    plan.write_text(plan.read_text(encoding="utf-8").replace("gain = 0.1", "gain = 0.01"), encoding="utf-8")
    assert "was changed after it was written" in refused("evaluate", own, "--plan", plan)


def test_runs_of_another_model_or_budget_are_not_judged_together(refused, copied):
    provenance = copied / "own" / "1" / "provenance.json"
    table = json.loads(provenance.read_text(encoding="utf-8"))
    table["model"]["weights_sha256"] = "0" * 64
    provenance.write_text(json.dumps(table), encoding="utf-8")
    assert "1 has another model than 0" in refused("evaluate", copied / "own")
    assert "1 was found on weights 000000000000" in refused("evaluate", copied / "own" / "1")
    config = copied / "others" / "chn" / "config.toml"
    config.write_text(config.read_text(encoding="utf-8").replace("budget = 8", "budget = 12"), encoding="utf-8")
    said = refused("evaluate", copied / "own" / "0", "--controls", copied / "others" / "chn")
    assert "want runs of one budget, got 8 in 0 and 12 in chn" in said


def test_controls_that_minimise_something_else_are_named(hofsteer, copied):
    config = copied / "others" / "chn" / "config.toml"
    text = config.read_text(encoding="utf-8")
    assert "drift_penalty = 0.0" in text
    config.write_text(text.replace("drift_penalty = 0.0", "drift_penalty = 50.0"), encoding="utf-8")
    asked = ("evaluate", copied / "own" / "0", "--no-texts", "--no-transfer", "--no-conversation", "--json")
    found = hofsteer(*asked, "--controls", copied / "others" / "chn").json()
    assert "the controls differ from the runs in objective.drift_penalty" in found["exploratory"]


def test_bad_folders_are_refused_before_the_model_is_loaded(refused, copied, monkeypatch):
    from hofsteer.respondent.hf import HFRespondent

    monkeypatch.setattr(HFRespondent, "load", lambda settings: pytest.fail("the model was loaded"))
    own, folder = copied / "own" / "1", copied / "new"

    def change(name, old, new):
        text = (own / name).read_text(encoding="utf-8")
        assert old in text
        (own / name).write_text(text.replace(old, new), encoding="utf-8")

    change("config.toml", 'cue = ""', 'cue = "x"')
    search = ("--controls", folder, "--search-controls", "4")
    assert "want runs of one setting of cue, got '' in 0 and 'x' in 1" in refused("evaluate", copied / "own", *search)
    change("config.toml", 'cue = "x"', 'cue = ""')
    change("history.jsonl", '"reasons"', '"reason"')
    assert f"{own}: history.jsonl cannot be read: line 1: want the entry 'reasons', got none" in refused(
        "evaluate", own, *search
    )
    change("history.jsonl", '"reason"', '"reasons"')
    change("state.json", '"generation"', '"generations"')
    assert f"{own} cannot be read: state.json: want the entry 'generation', got none" in refused("evaluate", own)
    change("state.json", '"generations"', '"generation"')
    change("provenance.json", '"values": [', '"values": [1,')
    assert f"{own}: provenance.json: want a constant for each of PDI" in refused("evaluate", own, *search)
    change("provenance.json", '"values": [1,', '"values": [')
    (copied / "plan.opened.jsonl").write_text('{"opened": "2026', encoding="utf-8")
    assert "plan.opened.jsonl, line 1: want an opening with its time" in refused(
        "evaluate", own, "--plan", copied / "plan.toml"
    )
    (copied / "plan.toml").write_text("", encoding="utf-8")
    assert f"{copied / 'plan.toml'}: want a plan" in refused("evaluate", own, "--plan", copied / "plan.toml")
    (own / "evaluation.json").unlink()
    assert f"the run is not finished; go on with hofsteer resume {own}" in refused("evaluate", own)


def test_another_width_is_refused_before_anything_is_asked(refused, copied, monkeypatch):
    from hofsteer.respondent.hf import HFRespondent

    monkeypatch.setattr(HFRespondent, "respond", lambda *_: pytest.fail("the model was asked"))
    SoftPrompt(np.zeros((2, 64), np.float32)).save(copied / "others" / "chn" / "soft_prompt")
    own, other = copied / "own" / "0", copied / "others" / "chn"
    wanted = "want soft prompts of width 32, as the model has, got 64 in chn"
    assert wanted in refused("evaluate", own, "--controls", other)
    assert "want finite rows of shape (2, 64)" in refused("evaluate", other)  # its kept points have the old width
    assert wanted in refused("evaluate", other, "--no-transfer")


def test_controls_for_one_target_are_refused(refused, copied):
    shutil.copytree(copied / "others" / "chn", copied / "others" / "again")
    said = refused("evaluate", copied / "own" / "0", "--controls", copied / "others")
    assert said == "want controls for different targets, got CHN in again and chn: give one run of each"


@pytest.mark.slow
def test_one_run_of_a_longer_plan_is_exploratory(hofsteer, copied):
    asked = ("evaluate", copied / "own" / "0", "--plan", copied / "plan.toml", "--no-texts", "--no-conversation")
    assert hofsteer(*asked, "--json").json()["exploratory"] == ["1 of 2 planned seeds is not here: 1"]


def test_what_the_model_alone_does_not_have_is_named(hofsteer, copied):
    asked = ("evaluate", copied / "own" / "0", "--no-texts", "--no-transfer", "--no-conversation")
    table, said = hofsteer(*asked, "--json").json(), " ".join(hofsteer(*asked).out.split())
    absent = table["evidence"]["absent"]
    assert {"evenness", "neutral text"} <= set(absent)  # of a model with random weights
    assert table["evidence"]["neutral_texts"] is None
    assert f"evenness ({absent['evenness']})" in said
    assert "evenness not counted" in said


@pytest.mark.slow
def test_controls_may_have_more_tokens_and_runs_may_not(hofsteer, refused, copied, tiny_folder):
    longer = ("align", "--model", tiny_folder, *QUICK[:4], *ONE_FORM, "--constants", "midpoint", "--tokens", "3")
    assert hofsteer(*longer, "--target", "SAU", "--out", copied / "others" / "a-sau").code == 0
    assert hofsteer(*longer, "--target", "JPN", "--seed", "7", "--out", copied / "own" / "7").code == 0
    asked = ("evaluate", copied / "own" / "0", "--no-texts", "--json", "--controls")
    both, one = (hofsteer(*asked, copied / "others" / name).json() for name in ("", "chn"))
    assert both["controls"] == ["SAU", "CHN"]
    assert set(both["exploratory"]) - set(one["exploratory"]) == {
        "the controls have 2 to 3 tokens, the runs 2",
        "2 of 2 controls are real countries, and 20 are wanted",
    }
    assert both["evidence"]["control_gains"][1:] == pytest.approx(one["evidence"]["control_gains"])
    assert both["evidence"]["control_gains"][0] != both["evidence"]["control_gains"][1]
    assert "want soft prompts of one shape, got (2, 32) in 0 and (3, 32) in 7" in refused("evaluate", copied / "own")


def test_beside_a_plan_nothing_else_is_said(refused, copied, tmp_path):
    plan = ("align", "--plan", copied / "plan.toml", "--out", tmp_path / "x")
    assert "leave search.budget out, or change the plan" in refused(*plan, "--budget", "9")
    assert "the plan has the targets JPN, got SAU" in refused(*plan, "--target", "SAU")
    assert "the plan has the seeds 0, 1, got 5" in refused(*plan, "--seed", "5")
    assert "--held-out wants numbers of wordings" in refused("plan", "--targets", "JPN", "--held-out", "two")


@pytest.mark.slow
def test_controls_are_searched_and_used_again(hofsteer, refused, copied, tmp_path):
    folder = tmp_path / "controls"
    own = ("evaluate", copied / "own" / "0", "--no-texts", "--controls", folder, "--search-controls", "4", "--json")
    table = hofsteer(*own).json()
    assert len(table["controls"]) == len(table["evidence"]["control_gains"]) == 4
    assert sum("shuffle" in code or "mirror" in code for code in table["controls"]) == 1
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("history.jsonl")}
    assert len(times) == 4
    assert hofsteer(*own).json()["controls"] == table["controls"]
    assert times == {path: path.stat().st_mtime_ns for path in folder.rglob("history.jsonl")}
    assert "has other controls than these runs want" in hofsteer(*own[:-2], "3").err
    assert "wants the one folder to search into" in refused("evaluate", copied / "own" / "0", "--search-controls", "4")

    control = next(path.parent for path in sorted(folder.glob("*/config.toml")))
    kept = (control / "config.toml").read_text(encoding="utf-8")

    def said():
        return hofsteer(*own).err

    def change(old, new):
        assert old in kept
        (control / "config.toml").write_text(kept.replace(old, new), encoding="utf-8")

    for old, new, name, values in (
        ("budget = 8", "budget = 12", "search.budget", "want 8, got 12"),
        ("wordings = [\n    0,\n]", "wordings = [1]", "wordings", "want (0,), got (1,)"),
        ("seed = 100", "seed = 200", "search.seed", "want 100"),
        (f"controls.csv:{control.name}", "controls.csv:XYZ", "target", f"want 'controls.csv:{control.name}', got"),
    ):
        change(old, new)
        assert f"{control} is a run with another {name}: {values}" in said()
        assert "; name another folder" in said()
    change("batch_size = ", "batch_size = 1")  # of another machine
    assert hofsteer(*own).code == 0
    (control / "soft_prompt" / "adapter_model.safetensors").write_bytes(b"half")
    assert "cannot be read" in said()
    assert times == {path: path.stat().st_mtime_ns for path in folder.rglob("history.jsonl")}
