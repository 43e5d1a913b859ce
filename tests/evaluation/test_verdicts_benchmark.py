"""Whole evaluations beside the truth: searches on the world, which is quick, and one evaluation on `mini`."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from hofsteer import Respondent
from hofsteer.alignment.run import RunFolder
from hofsteer.errors import RunError
from hofsteer.respondent.soft_prompt import SoftPrompt
from hofsteer.targets import load_target
from hofsteer.world import WorldRespondent, load_cases, load_census

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from verdicts import (
    CASES,
    INVENTED,
    Search,
    all_targets,
    check_same,
    config_of,
    controls_for,
    finished,
    main,
    run,
    searches_of,
    start_settings,
    table,
    truth_of,
)


@pytest.fixture(scope="module")
def world():
    return WorldRespondent(load_census())


@pytest.fixture(scope="module")
def targets(world, tmp_path_factory):
    return all_targets(tmp_path_factory.mktemp("targets"), world)


def test_cases_and_pool(targets):
    codes = list(targets)
    assert codes[:7] == list(CASES)
    assert list(INVENTED) == ["COUPLED-1", "SURVEY-ONLY-1", "TWINS-1A", "WORDING-BOUND-1"]
    pool = codes[7:]
    nonsense = [code for code in pool if "-mirror-" in code or "-shuffle-" in code]
    assert (len(pool), len(nonsense)) == (33, 9)
    assert {code[:3] for code in nonsense} == {"JPN", "CHN", "IND"}
    assert len(set(pool)) == 33
    assert not set(pool) & set(CASES)
    assert len([code for code in pool[:4] if code in nonsense]) in (1, 2)


def test_truths():
    assert set(truth_of("JPN").values()) == set(truth_of("COUPLED-1").values()) == {"supported"}
    assert [truth_of("TWINS-1A")[name] for name in ("matches", "carries-over")] == ["supported", "refuted"]
    assert truth_of("WORDING-BOUND-1")["matches"] == "refuted"


def test_a_later_call_aims_at_the_same_targets(world, targets, tmp_path):
    first = all_targets(tmp_path, world)
    text = (tmp_path / "targets.csv").read_text()
    changed = text.replace("Sweden", "Another")
    (tmp_path / "targets.csv").write_text(changed)
    assert list(all_targets(tmp_path, world)) == list(first) == list(targets)
    assert (tmp_path / "targets.csv").read_text() == changed


def test_the_order_and_the_controls(targets):
    nonsense, country = list(targets)[7:9]
    searches = searches_of(("JPN", "COUPLED-1"), 2, [nonsense, country], lambda code, seed: {})
    folders = ["JPN/0", "COUPLED-1/0", "JPN/1", "COUPLED-1/1", f"pool/{nonsense}", f"pool/{country}"]
    assert [search.folder for search in searches] == folders
    assert [search.seed for search in searches] == [0, 0, 1, 1, 1000, 1001]
    assert [s.folder for s in controls_for("JPN", searches, targets)] == ["COUPLED-1/0", *folders[4:]]
    twin = {**targets, country: targets["JPN"]}
    assert [s.folder for s in controls_for("JPN", searches, twin)] == ["COUPLED-1/0", folders[4]]


def test_every_case_has_its_controls(targets):
    searches = searches_of(CASES, 1, list(targets)[7:], lambda code, seed: {})
    assert {len(controls_for(code, searches, targets)) for code in CASES} == {39}


def test_the_positive_control_starts_every_search_from_its_own_persona(world, tmp_path):
    targets = all_targets(tmp_path, world, "persona")
    with pytest.raises(RunError, match=r"targets.csv is of another start than noise: give each a folder of its own"):
        all_targets(tmp_path, world)
    cases, pool = list(targets)[:5], list(targets)[5:]
    assert cases == ["JPN", "CHN", "IND", "COUPLED-1", "SURVEY-ONLY-1"]
    assert len(pool) == 35
    assert not [code for code in pool if "-mirror-" in code or "-shuffle-" in code]
    mini = Respondent.from_pretrained("mini", device="cpu")
    common = {"search.name": "adam", "objective.drift_penalty": 50.0}
    searches = searches_of(cases, 2, pool, lambda *search: common | start_settings("persona", *search, mini))
    by_folder = {search.folder: search.settings for search in searches}
    assert by_folder["JPN/1"] == common | {"space.start": "text:You live in Japan.", "space.tokens": 7}
    assert by_folder["COUPLED-1/0"] == common | {"space.start": "text:You live in Nirbozbu.", "space.tokens": 11}
    assert {len(controls_for(code, searches, targets)) for code in cases} == {39}
    for search in searches:
        config = config_of(search, tmp_path, 64)
        assert config.space.start.startswith("text:You live in ")
        assert config.space.tokens == search.settings["space.tokens"]
        assert (config.search.name, config.objective.drift_penalty) == ("adam", 50)


def test_without_a_search_a_soft_prompt_is_a_sentence_in_the_wording_of_its_seed(tmp_path):
    options = ["--out", str(tmp_path), "--start", "named", "--targets", "TWINS-1A", "--seeds", "2", "--pool", "1"]
    main([*options, "--searches-only"])
    rows = Respondent.from_pretrained("mini", device="cpu").vocabulary()
    twin = load_cases()["twins-1"].countries[1].name
    starts = []
    for seed, text in enumerate((f"You live in {twin}.", f"You are a person from {twin}.")):
        found = SoftPrompt.load(tmp_path / "TWINS-1A" / str(seed)).values
        starts.append(rows.rows(rows.text_ids(text, len(found))))
        np.testing.assert_allclose(found, starts[-1], atol=1e-4)
    assert len(starts[0]) == 2 * len(rows.tokenizer(f"You live in {twin}.", add_special_tokens=False)["input_ids"])
    assert np.abs(starts[0] - starts[1]).max() > 0.1
    (path,) = (tmp_path / "pool").iterdir()
    assert path.name in RunFolder.open(path).config().target
    start = RunFolder.open(path).config().space.start
    assert load_target(path.name).in_sentence in start


def test_what_searches_nothing_takes_no_settings_of_a_search(capsys, tmp_path):
    for option, value, said in (
        ("--budget", "64", "--start named searches nothing, got --budget 64"),
        ("--drift-penalty", "5", "--start named searches nothing, got --drift-penalty 5.0"),
        ("--seeds", "11", "--start named has 10 wordings, got --seeds 11"),
    ):
        with pytest.raises(SystemExit) as end:
            main(["--out", str(tmp_path / "x"), "--start", "named", option, value])
        assert end.value.code == 2
        assert said in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "x").exists()


def test_a_search_goes_on_and_other_settings_are_refused(world, targets, tmp_path):
    all_targets(tmp_path, world)
    search = Search("COUPLED-1", 0, "COUPLED-1/0")

    def stop(count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(search, world, tmp_path, 64, stop)
    assert not finished(search, tmp_path)
    told = []
    run(search, world, tmp_path, 64, told.append)
    assert finished(search, tmp_path)
    assert sum(told) == 64
    check_same(search, tmp_path, 64, None)
    with pytest.raises(RunError, match=r"is a run with another search: want .*budget=96.*, got .*budget=64"):
        check_same(search, tmp_path, 96, None)


def test_the_table_marks_what_is_too_much():
    truth = dict(truth_of("SURVEY-ONLY-1"))
    line = {
        "case": "SURVEY-ONLY-1",
        "truth": truth,
        "said": {**truth, "carries-over": "supported"},
        "given": True,
        "wrong": ["carries-over"],
        "gates_closed": ["order"],
        "fitted_loss": 1.0,
        "held_out_loss": 2.0,
        "gain": 0.5,
        "choice_share": None,
        "kl": 0.0123,
        "facts_lost": None,
        "controls_as_near": 3,
        "p": None,
        "caricature": None,
        "seeds": 10,
        "controls": 38,
    }
    text = table([line])
    assert "| supported / supported | **refuted / supported, wrong** | refuted / refuted |" in text
    assert "| order | 1.00 | 2.00 | 0.50 | none | 3 of 38 | 0.012 | none | not told | 10 | 38 |" in text
    assert "Too much said in 1 of 1 verdicts, and 0 are as the truth says." in text
    assert "SURVEY-ONLY-1: 38 controls of 39" in text


def test_the_program_shares_searches_and_evaluates_what_is_complete(capsys, tmp_path):
    options = ["--out", str(tmp_path), "--targets", "COUPLED-1", "--seeds", "1", "--budget", "32", "--pool", "1"]
    main([*options, "--share", "1/2"])
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["COUPLED-1"]
    assert capsys.readouterr().out == ""
    main([*options, "--seconds", "0"])
    assert "| COUPLED-1 | supported / (" in capsys.readouterr().out
    kept = json.loads((tmp_path / "verdicts.json").read_text())
    (line,) = kept["cases"]
    assert (line["seeds"], line["controls"], line["given"], line["wrong"]) == (1, 0, False, [])
    evaluation = line["evaluation"]
    assert line["kl"] == pytest.approx(np.mean(evaluation["evidence"]["kl"]))
    assert line["facts_lost"] == pytest.approx(np.mean(evaluation["evidence"]["lost"]["facts"]))
    assert evaluation["target"] == "COUPLED-1"
    assert {"refusals", "text"} <= {gate["name"] for gate in evaluation["gates"]}
    assert evaluation["claims"][1]["parts"][0]["name"] == "G on ivs10"


def test_bad_settings_leave_no_folder(capsys, tmp_path):
    for option, value, said in (("--search", "foo", "got 'foo'"), ("--drift-penalty", "-1", "got -1.0")):
        with pytest.raises(SystemExit) as end:
            main(["--out", str(tmp_path / "x"), option, value])
        assert end.value.code == 2
        assert said in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "x").exists()


def test_a_case_that_a_persona_gives_away_is_refused_as_positive_control(capsys, tmp_path):
    with pytest.raises(SystemExit) as end:
        main(["--out", str(tmp_path), "--start", "persona", "--targets", "TWINS-1A"])
    assert end.value.code == 2
    assert "--start persona has the cases JPN, " in capsys.readouterr().err.splitlines()[-1]


def test_nothing_to_report_is_said_in_one_line(capsys, tmp_path):
    with pytest.raises(SystemExit) as end:
        main(["--out", str(tmp_path), "--targets", "JPN", "--seconds", "0"])
    assert end.value.code == 2
    assert "no case has its 10 runs" in capsys.readouterr().err.splitlines()[-1]
