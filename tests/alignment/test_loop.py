import json
from itertools import pairwise

import numpy as np
import pytest

from hofsteer.alignment.loop import BlackBox, search
from hofsteer.alignment.objective import Objective, forms
from hofsteer.alignment.run import RunFolder
from hofsteer.alignment.space import FullSpace
from hofsteer.config import EXPECTED, RunConfig
from hofsteer.errors import RunError
from hofsteer.parts import make_search
from hofsteer.respondent import ScriptedRespondent
from hofsteer.respondent.base import make_responses
from hofsteer.targets import load_constants, load_target

P = 4


class Fragile(ScriptedRespondent):
    """Fails for the candidates at `broken` places of every batch of `P`, in the generations in `when`."""

    def __init__(self, answers, broken, when=range(99)):
        super().__init__(answers)
        self.broken, self.when, self.asked = broken, when, 0

    def respond(self, administrations, soft_prompts=None, read_out=EXPECTED):
        responses = super().respond(administrations, soft_prompts, read_out)
        self.asked += 1
        if self.asked not in self.when:
            return responses
        with np.errstate(divide="ignore"):
            logs = np.log(responses.probabilities)
        logs[self.broken] = np.nan
        return make_responses(logs, responses.option_mask)


@pytest.fixture
def ended():
    """Which rule ended the search of each run."""
    return {}


@pytest.fixture
def begin(vsm13, tmp_path, ended):
    """Start a search with a budget; further calls go on with it."""

    def begin(respondent, budget, watch=None, name="run", seed=0, stop=None):
        path = tmp_path / name
        if not path.exists():
            table = {"name": "de", "budget": budget, "population_size": P, "seed": seed}
            settings = RunConfig(target="JPN", search=table, stop=stop or {})
            RunFolder.create(path, settings, {}, {"administrations": []})
        run = RunFolder.open(path)
        constants = load_constants("midpoint", vsm13.dimension_ids)
        objective = Objective(respondent, forms(vsm13, (0,), ("listed",)), constants, load_target("JPN"))
        space = FullSpace(tokens=1, width=respondent.width, spread=respondent.spread)
        config = run.config()
        method = BlackBox(make_search(config.search), objective, space, config)
        state, ended[name] = search(run, objective, method, config.stop, {"threads": 1}, watch)
        return run, state

    return begin


@pytest.mark.parametrize(("budget", "generations"), [(4, 1), (7, 1), (8, 2), (43, 10)])
def test_budget_counts_evaluations_and_is_never_passed(budget, generations, begin, neutral_answers):
    counted = []

    class Counting(ScriptedRespondent):
        def respond(self, administrations, soft_prompts=None, read_out=EXPECTED):
            counted.append(len(soft_prompts))
            return super().respond(administrations, soft_prompts, read_out)

    run, state = begin(Counting(neutral_answers), budget)
    assert counted == [P] * generations
    assert sum(counted) <= budget < sum(counted) + P
    assert state.generation == run.committed_generation() == generations


def test_the_best_is_kept_at_powers_of_two_of_evaluations(begin, vsm13, neutral_answers):
    respondent = ScriptedRespondent(neutral_answers)
    run, _ = begin(respondent, 43)
    points = run.points()
    assert [record.evaluations for record, _ in points] == [4, 8, 16, 32]
    constants = load_constants("midpoint", vsm13.dimension_ids)
    objective = Objective(respondent, forms(vsm13, (0,), ("listed",)), constants, load_target("JPN"))
    for record, best in points:
        assert objective.evaluate(best[None]).losses[0] == pytest.approx(record.best)
    assert len({record.best for record, _ in points}) > 1


def test_a_budget_ends_a_search(begin, ended, neutral_answers):
    begin(ScriptedRespondent(neutral_answers), 20)
    assert ended == {"run": "evaluations"}


def test_a_loss_ends_a_search_with_the_first_generation_that_reaches_it(begin, ended, neutral_answers):
    whole, _ = begin(ScriptedRespondent(neutral_answers), 400, name="whole")
    goal = whole.history()[40].best
    first = next(record for record in whole.history() if record.best <= goal)
    run, state = begin(ScriptedRespondent(neutral_answers), 400, stop={"loss": goal})
    assert ended["run"] == "loss"
    assert run.history() == whole.history()[: first.generation]
    _, again = begin(Fragile(neutral_answers, broken=[0, 1, 2, 3]), 400, watch=pytest.fail)  # evaluates nothing
    assert (ended["run"], again.generation) == ("loss", state.generation)


def test_the_noise_floor_ends_a_search(begin, ended, neutral_answers, monkeypatch):
    whole, _ = begin(ScriptedRespondent(neutral_answers), 100, name="whole")
    floor = whole.history()[10].best
    monkeypatch.setattr(Objective, "noise_floor", floor)
    run, _ = begin(ScriptedRespondent(neutral_answers), 100, stop={"noise_floor": True})
    assert ended["run"] == "noise-floor"
    assert run.history()[-1].best == floor < run.history()[-2].best


def test_stagnation_ends_a_search(begin, ended, neutral_answers):
    run, _ = begin(ScriptedRespondent(neutral_answers), 1000, stop={"stagnation": 40, "improvement": 0.5})
    assert ended["run"] == "stagnation"
    history = run.history()
    assert history[-11].objective - history[-1].objective <= 0.5
    for place in range(11, len(history)):  # and it was the first time
        assert history[place - 11].objective - history[place - 1].objective > 0.5


def test_seconds_count_those_before_an_interrupt(begin, ended, neutral_answers, monkeypatch):
    class Stopped(BaseException):
        pass

    now = iter(np.arange(0.0, 10_000.0, 0.75))
    monkeypatch.setattr("hofsteer.alignment.loop.time.monotonic", lambda: next(now))

    def watch(record):
        if record.generation == 2:
            raise Stopped

    with pytest.raises(Stopped):
        begin(ScriptedRespondent(neutral_answers), 400, watch=watch, stop={"seconds": 3.0})
    run, state = begin(ScriptedRespondent(neutral_answers), 400)
    assert (ended["run"], state.generation, run.seconds()) == ("seconds", 4, 3.0)
    assert run.durations() == [0.75] * 4
    begin(ScriptedRespondent(neutral_answers), 400, watch=pytest.fail)
    assert ended["run"] == "seconds"


def test_a_finished_search_evaluates_nothing(begin, neutral_answers):
    _, state = begin(ScriptedRespondent(neutral_answers), 20)
    _, again = begin(Fragile(neutral_answers, broken=[0, 1, 2, 3]), 20, watch=pytest.fail)
    np.testing.assert_array_equal(state.population, again.population)


def test_lines_of_the_history(begin, neutral_answers):
    seen = []
    run, state = begin(ScriptedRespondent(neutral_answers), 40, watch=seen.append)
    lines = [json.loads(line) for line in (run.path / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["generation"] for line in lines] == list(range(1, 11))
    assert [line["evaluations"] for line in lines] == list(range(4, 41, 4))
    assert list(lines[0]) == [
        "generation", "evaluations", "best", "mean", "scores", "valid_mass", "failed", "reasons",
        "objective", "drift", "passes",
    ]  # fmt: skip
    assert all(line["valid_mass"] == pytest.approx(1) for line in lines)
    assert all((line["failed"], line["reasons"]) == (0, []) for line in lines)
    assert seen == run.history()
    timing = [json.loads(line) for line in (run.path / "timing.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["generation"] for line in timing] == list(range(1, 11))
    assert lines[-1]["best"] == lines[-1]["objective"] == state.best_loss
    assert all((line["drift"], line["passes"]) == (None, line["evaluations"]) for line in lines)


def test_best_and_scores_follow_the_best_candidate(begin, vsm13, neutral_answers):
    respondent = ScriptedRespondent(neutral_answers)
    run, state = begin(respondent, 80)
    history = run.history()
    bests = [record.best for record in history]
    assert bests == sorted(bests, reverse=True)
    assert bests[-1] < bests[0]
    goal = load_target("JPN")
    for record in history:  # the scores belong to the best loss, not to the last generation
        assert np.mean([abs(record.scores[d] - goal.scores[d]) for d in record.scores]) == pytest.approx(record.best)
    prompt = FullSpace(1, 24, 1.0).decode(state.best[None])
    final = respondent.respond(forms(vsm13, (0,), ("listed",)), prompt)
    scores = vsm13.score(final.probabilities)[0, 0] + 50
    np.testing.assert_allclose(list(history[-1].scores.values()), scores)
    assert any(a.best == b.best and a.scores == b.scores and a.mean != b.mean for a, b in pairwise(history))


def test_mean_is_that_of_the_generation(begin, vsm13, neutral_answers):
    run, _ = begin(ScriptedRespondent(neutral_answers), P)
    space, respondent = FullSpace(1, 24, 1.0), ScriptedRespondent(neutral_answers)
    prompts = space.decode(space.noise(P, 1.0, seed=0))
    scores = vsm13.score(respondent.respond(forms(vsm13, (0,), ("listed",)), prompts).probabilities)
    losses = np.abs(scores[:, 0] + 50 - load_target("JPN").vector(vsm13.dimension_ids)).mean(axis=1)
    assert run.history()[0].mean == pytest.approx(losses.mean())
    assert run.history()[0].best == pytest.approx(losses.min())


def test_same_seed_same_search(begin, neutral_answers):
    def history(name, seed):
        run, _ = begin(ScriptedRespondent(neutral_answers), 40, name=name, seed=seed)
        return (run.path / "history.jsonl").read_bytes()

    assert history("a", 5) == history("b", 5) != history("c", 6)


def test_all_candidates_of_the_first_generation_fail(begin, neutral_answers, tmp_path):
    with pytest.raises(RunError) as caught:
        begin(Fragile(neutral_answers, broken=[0, 1, 2, 3]), 40)
    assert str(caught.value) == (
        "every candidate of the first generation failed; the first one: the model gave NaN or infinite logits"
    )
    assert RunFolder.open(tmp_path / "run").committed_generation() == 0


def test_some_candidates_fail_and_the_search_goes_on(begin, neutral_answers):
    run, state = begin(Fragile(neutral_answers, broken=[1, 3], when=range(1, 3)), 80)
    first, second, *rest = run.history()
    assert (first.failed, second.failed) == (2, 2)
    assert first.reasons == ("the model gave NaN or infinite logits",)
    assert np.isfinite([first.best, first.mean]).all()
    assert all(record.failed == 0 for record in rest)
    assert np.isfinite(state.losses).all()  # those that failed were replaced
    assert rest[-1].best < first.best


def test_failed_candidates_are_recorded_as_infinite(begin, neutral_answers):
    _, state = begin(Fragile(neutral_answers, broken=[1, 3]), P)
    np.testing.assert_array_equal(np.isposinf(state.losses), [False, True, False, True])


def test_a_later_generation_may_fail_as_a_whole(begin, neutral_answers):
    run, state = begin(Fragile(neutral_answers, broken=[0, 1, 2, 3], when=[2]), 20)
    first, second, *_ = run.history()
    assert (second.mean, second.failed, second.best, second.scores) == (None, P, first.best, first.scores)
    assert state.generation == 5


def test_stopping_anywhere_and_going_on_is_the_same_search(begin, neutral_answers, tmp_path):
    class Stopped(BaseException):
        pass

    begin(ScriptedRespondent(neutral_answers), 60, name="straight")
    rng = np.random.default_rng([11, 1])
    stops = iter(sorted(rng.choice(np.arange(1, 15), size=3, replace=False).tolist()))
    stop = next(stops)

    def watch(record):
        if record.generation == stop:
            raise Stopped

    while stop is not None:
        with pytest.raises(Stopped):
            begin(ScriptedRespondent(neutral_answers), 60, watch=watch)
        stop = next(stops, None)
    run, _ = begin(ScriptedRespondent(neutral_answers), 60)
    kept = sorted(path.name for path in run.path.glob("best-*"))
    assert kept == sorted(path.name for path in (tmp_path / "straight").glob("best-*"))
    for name in ("history.jsonl", "checkpoint-15.safetensors", "checkpoint-14.safetensors", *kept):
        assert (run.path / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()
