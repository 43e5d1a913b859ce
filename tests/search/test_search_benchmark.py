"""The comparison of searches on `mini`: parts on a two-layer model, the program on `mini`."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from hofsteer import align
from hofsteer.errors import RunError

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import search
from search import FORMS, METHODS, WIDE, Found, figure, load, load_model, main, make_cases, markdown, run, summary


def always():
    return True


def ignore(count, ended):
    pass


def cases(methods, targets=("JPN",), seeds=1, budget=64, forms="one"):
    return make_cases(methods, targets, seeds, budget, 2, forms)


@pytest.fixture(scope="module")
def together(tiny, tmp_path_factory):
    """Every method for two targets, all in lock step."""
    folder = tmp_path_factory.mktemp("together")
    run(cases(METHODS, ("JPN", "SAU")), tiny, folder, 99, always, ignore)
    return folder


@pytest.mark.parametrize("method", METHODS)
def test_losses_are_those_of_align(method, tiny, together, tmp_path):
    settings = {**METHODS[method], **FORMS["one"], "constants": "midpoint", "search.budget": 64, "space.tokens": 2}
    preset = settings.pop("preset", None)
    history = align(tiny, "SAU", out=tmp_path / "run", preset=preset, settings=settings).folder.history()
    found = load(together, cases([method], ("SAU",))[0])
    assert found.finished
    assert found.evaluations.tolist() == [record.evaluations for record in history]
    np.testing.assert_allclose(found.best, [record.best for record in history], atol=1e-4)


def test_four_forms_are_those_of_align(tiny, tmp_path):
    case = cases(["de"], forms="default")[0]
    run([case], tiny, tmp_path, 1, always, ignore)
    settings = {"search.name": "de", "search.budget": 64, "space.tokens": 2, "constants": "midpoint"}
    history = align(tiny, "JPN", out=tmp_path / "run", settings=settings).folder.history()
    np.testing.assert_allclose(load(tmp_path, case).best, [record.best for record in history], atol=1e-4)


def test_one_after_the_other_is_the_same(tiny, together, tmp_path):
    some = cases(["de", "cma-6"], ("SAU", "JPN"))
    run(some, tiny, tmp_path, 1, always, ignore)
    for case in some:
        np.testing.assert_allclose(load(tmp_path, case).best, load(together, case).best, atol=1e-4)


def test_errors_are_the_scores_less_the_target(tiny, monkeypatch):
    one = search.Search(cases(["random"])[0], tiny)
    told = []

    class Noting:
        ask = one.optimizer.ask

        def tell(self, state, candidates, losses, errors):
            told.append((losses, errors))
            return one.state

    monkeypatch.setattr(one, "optimizer", Noting())
    goal = one.objective.target.vector(one.objective.instrument.dimension_ids)
    search.advance([one])
    (losses, errors) = told[0]
    scores = one.objective.evaluate(one.space.decode(one.candidates)).form_scores
    np.testing.assert_allclose(errors, (scores - goal).reshape(len(losses), 6), atol=1e-3)
    np.testing.assert_allclose(np.abs(errors).mean(axis=1), losses)


def test_a_search_that_was_stopped_is_kept_and_run_again(tiny, tmp_path):
    both = cases(["de", "masoud2025"], budget=96)
    steps = iter([True, True, False])
    run(both, tiny, tmp_path, 2, lambda: next(steps), ignore)
    stopped = [load(tmp_path, case) for case in both]
    assert [(one.finished, one.evaluations[-1]) for one in stopped] == [(False, 64), (False, 40)]
    assert np.isnan(stopped[0].loss_after(96))
    assert stopped[0].loss_after(64) == stopped[0].best[-1]
    assert "1, 1 unfinished" in markdown(summary(stopped, 96), 96)
    steps = iter([True, False])
    run(both, tiny, tmp_path, 2, lambda: next(steps), ignore)
    assert load(tmp_path, both[0]).evaluations[-1] == 64  # the longer curve stays
    run(both, tiny, tmp_path, 2, always, ignore)
    assert all(load(tmp_path, case).finished for case in both)


def test_the_wide_model_is_the_same_each_time_and_kept_apart(together):
    first, second = (load_model(WIDE, "bfloat16", "cpu") for _ in range(2))
    assert (first.width, first.fingerprint) == (1024, second.fingerprint)
    assert not first.simulated
    case = make_cases(["de"], ["JPN"], 1, 64, 2, model=WIDE)[0]
    with pytest.raises(RunError, match="is a search with another respondent"):
        load(together, case)


def test_other_settings_are_refused(together):
    with pytest.raises(RunError, match="another configuration"):
        load(together, cases(["de"], budget=128)[0])


def test_quartiles_and_what_was_never_reached():
    def found(number, best, finished=True):
        case = cases(["de"], seeds=3, budget=1000)[number]
        return Found(case, finished, np.array([32.0, 512.0, 992.0]), np.array(best))

    results = [found(0, [9.0, 4.0, 0.5]), found(1, [8.0, 6.0, 1.5]), found(2, [7.0, 5.0, 2.5], finished=False)]
    (row,) = summary(results, 1000)
    assert row["loss_after"]["500"] == {"n": 3, "quartiles": [7.5, 8.0, 8.5]}
    assert row["loss_after"]["1000"] == {"n": 2, "quartiles": [0.75, 1.0, 1.25]}  # one was not run so far
    assert (row["evaluations"], row["last_loss"]) == (992, [1.0, 1.5, 2.0])
    assert row["evaluations_to"]["5"] == {"n": 3, "quartiles": [512.0, 512.0, 752.0]}
    assert row["evaluations_to"]["2"] == {"n": 2, "quartiles": [992.0, 992.0, None]}
    assert row["evaluations_to"]["1"] == {"n": 1, "quartiles": [None, None, None]}
    table = markdown([row], 1000)
    assert "| 3, 1 unfinished | 1.50 (1.00 to 2.00) after 992 | 8.00" in table
    assert "| 1.00 (0.75 to 1.25) of 2 | 512 (512 to 752), 3 of 3 | 992 (992 to not), 2 of 3 |" in table
    assert figure(results).count("<svg") == 1


def test_how_much_sooner_a_search_is_where_the_reference_ends():
    def found(method, seed, best, finished=True):
        case = make_cases([method], ["JPN"], 4, 1000)[seed]
        return Found(case, finished, np.array([100.0, 250.0, 1000.0]), np.array(best))

    pairs = [
        found("masoud2025", 0, [9, 8, 4.0]),
        found("masoud2025", 1, [9, 8, 6.0]),
        found("masoud2025", 2, [9, 2, 1]),
    ]
    own = [found("de", 0, [4.0, 1, 1]), found("de", 1, [7.0, 6.0, 1]), found("de", 2, [3, 3, 2])]
    alone, cut = found("de", 3, [1, 1, 1]), found("masoud2025", 3, [9, 8, 7], finished=False)
    reference, de = summary([*pairs, cut, *own, alone], 1000)
    assert (de["method"], de["times_sooner"]) == ("de", {"n": 3, "quartiles": [2.0, 4.0, 7.0]})  # 10, 4 and never
    table = markdown([reference, de], 1000).splitlines()
    assert table[0].endswith("| times sooner where masoud2025 ends |")
    assert table[2].endswith(" |  |")
    assert table[3].endswith("| 4.0 (2.0 to 7.0) |")
    assert "sooner" not in markdown(summary(own, 1000), 1000)


def test_the_program_prints_a_table_or_json_and_runs_nothing_twice(capsys, tmp_path):
    options = ["--out", str(tmp_path), "--methods", "de", "--targets", "JPN", "SAU", "--seeds", "1", "--budget", "4"]
    with pytest.raises(SystemExit) as end:
        main(options)
    assert end.value.code == 2
    assert "search.budget wants at least the 32 evaluations" in capsys.readouterr().err
    options[-1] = "32"
    main(options)
    assert "| all | de | 2 |" in capsys.readouterr().out
    assert "<svg" in (tmp_path / "search.svg").read_text()
    main([*options, "--json"])
    result = json.loads(capsys.readouterr().out)
    assert (result["schema"], result["evaluated"], len(result["rows"])) == (1, 0, 3)


def test_an_unknown_target_is_refused_in_one_line(capsys, tmp_path):
    with pytest.raises(SystemExit) as end:
        main(["--out", str(tmp_path), "--targets", "JPX"])
    assert end.value.code == 2
    assert "JPX" in capsys.readouterr().err.splitlines()[-1]
