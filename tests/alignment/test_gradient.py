from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from hofsteer.alignment.gradient import Descent, DescentState, check_gradient, evaluate_with_gradient, slopes
from hofsteer.alignment.objective import Objective, forms
from hofsteer.alignment.space import FullSpace, SubspaceSpace, random_maps
from hofsteer.config import EXPECTED, PLAIN, ObjectiveSettings, ReadOut
from hofsteer.errors import ConfigError, ModelError
from hofsteer.respondent import ScriptedRespondent
from hofsteer.respondent.base import Respondent, make_responses
from hofsteer.targets import ITEM_LOSSES, ItemDistributions, load_constants, load_target
from hofsteer.targets.items import ItemShares

SETTINGS = ObjectiveSettings(weights={"PDI": 2.0, "UAI": 0.5}, mass_penalty=30.0, mass_threshold=0.9)


class Linear(Respondent):
    """Answers are softmax of a table plus soft prompt (one row, W = I * K): a gradient that can be written down."""

    differentiable = True
    spread = 0.5

    def __init__(self, instrument, failing=()):
        self.mask, self.failing, self.steps = instrument.option_mask, failing, 0
        self.settings = ScriptedRespondent.settings
        self.table = np.random.default_rng([5, 1]).normal(size=self.mask.shape)

    @property
    def width(self):
        return self.mask.size

    def logs(self, soft_prompts):
        logits = np.where(self.mask, self.table + soft_prompts[:, 0].reshape(-1, *self.mask.shape), -np.inf)
        logits = logits.astype(np.float64)
        return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True) + 1)  # what is no option has logit 0

    def respond(self, administrations, soft_prompts=None, read_out=EXPECTED):
        soft_prompts = np.zeros((1, 1, self.width), dtype=np.float32) if soft_prompts is None else soft_prompts
        return make_responses(self.logs(soft_prompts)[:, None].repeat(len(administrations), axis=1), self.mask)

    def respond_with_gradient(self, administrations, soft_prompt, read_out, pull):
        self.steps += 1
        logs = self.logs(soft_prompt)[0]
        total = np.zeros(self.mask.shape)
        for a, _ in enumerate(administrations):
            by_log = np.where(self.mask, pull(a, logs), 0.0)
            total += by_log - np.exp(logs) * by_log.sum(axis=-1, keepdims=True)
        if self.steps in self.failing:
            logs = logs * np.nan
        responses = make_responses(logs[None, None].repeat(len(administrations), axis=1), self.mask)
        return responses, total.reshape(1, -1)


@pytest.fixture
def make_objective(vsm13):
    def make(respondent, settings=PLAIN, read_out=EXPECTED):
        constants = load_constants("midpoint", vsm13.dimension_ids)
        both = forms(vsm13, (0,), ("listed", "reversed"))
        return Objective(respondent, both, constants, load_target("JPN"), read_out, settings)

    return make


@pytest.fixture
def descent(vsm13, make_objective):
    def make(n_starts=4, steps=30, rate=0.2, failing=(), spent=0):
        objective = make_objective(Linear(vsm13, failing))
        space = FullSpace(1, objective.respondent.width, objective.respondent.spread)
        return Descent(objective, space, lambda: space.noise(n_starts, 1.0, 0), n_starts, steps, rate, spent)

    return make


def run(descent, state=None, most=999):
    """All states of a descent, and the evaluations that led to them."""
    states, evaluations = [descent.init() if state is None else state], []
    while len(evaluations) < most and (advanced := descent.advance(states[-1])) is not None:
        states.append(advanced[0])
        evaluations.append(advanced[1])
    return states, evaluations


@pytest.mark.parametrize("settings", [PLAIN, SETTINGS])
def test_slopes_are_those_of_autograd(settings, vsm13, make_objective):
    objective = make_objective(Linear(vsm13), settings)
    logs = torch.tensor(Linear(vsm13).logs(np.ones((1, 1, vsm13.option_mask.size)))[0], requires_grad=True)
    mask = torch.tensor(vsm13.option_mask)
    mass = torch.where(mask, logs.exp(), 0.0)
    means = (mass / mass.sum(-1, keepdim=True) * torch.tensor(np.nan_to_num(vsm13.option_values))).sum(-1)
    scores = torch.tensor(vsm13.weights.copy()) @ means + torch.tensor(vsm13.intercepts + objective.constants.values)
    weights = torch.tensor([settings.weights.get(d, 1.0) for d in vsm13.dimension_ids], dtype=torch.float64)
    goal = torch.tensor(objective.target.vector(vsm13.dimension_ids))
    lost = (settings.mass_threshold - mass.sum(-1)).clamp(min=0).mean()
    loss = ((scores - goal).abs() * weights).sum() / weights.sum() + settings.mass_penalty * lost
    (wanted,) = torch.autograd.grad(loss, logs)
    found = slopes(objective, logs.detach().numpy()) * len(objective.administrations)
    np.testing.assert_allclose(found, np.nan_to_num(wanted.numpy()), atol=1e-10)


def item_target(vsm13):
    """Japan with item distributions that somebody made up; Q3 has none."""
    rng = np.random.default_rng([5, 2])
    items = {i: ItemShares(80, 80.0, tuple(rng.dirichlet(np.ones(5)))) for i in vsm13.item_ids}
    items["Q3"] = ItemShares(20, 20.0, None)
    options = dict.fromkeys(vsm13.item_ids, (1.0, 2.0, 3.0, 4.0, 5.0))
    return replace(load_target("JPN"), items=ItemDistributions("x.items.json", "0" * 64, options, items))


@pytest.mark.parametrize("kind", ITEM_LOSSES)
def test_slopes_of_item_losses_are_those_of_autograd(kind, vsm13, make_objective):
    made = make_objective(Linear(vsm13), ObjectiveSettings(loss=kind, mass_penalty=30.0))
    objective = replace(made, target=item_target(vsm13))
    logs = torch.tensor(Linear(vsm13).logs(np.ones((1, 1, vsm13.option_mask.size)))[0], requires_grad=True)
    mass = logs.exp()
    shares, goal = mass / mass.sum(-1, keepdim=True), torch.tensor(objective.item_goal.shares)
    known = [i for i, item in enumerate(vsm13.item_ids) if item != "Q3"]
    p, q = shares[known], goal[known]
    if kind == "wasserstein":
        loss = 100 * (p - q).cumsum(-1)[:, :-1].abs().sum(-1).mean() / 4
    else:
        m = (p + q) / 2
        loss = 50 * ((p * (p / m).log2()).sum(-1) + (q * (q / m).log2()).sum(-1)).mean()
    (wanted,) = torch.autograd.grad(loss + 30 * (0.9 - mass.sum(-1)).clamp(min=0).mean(), logs)
    found = slopes(objective, logs.detach().numpy()) * len(objective.administrations)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-10)
    assert objective.evaluate(np.ones((1, 1, 120))).item_losses[kind][0] == pytest.approx(loss.item())


@pytest.mark.parametrize("kind", ITEM_LOSSES)
def test_descent_on_item_losses_goes_down(kind, vsm13, make_objective):
    made = make_objective(Linear(vsm13), ObjectiveSettings(loss=kind))
    objective = replace(made, target=item_target(vsm13))
    space = FullSpace(1, objective.respondent.width, objective.respondent.spread)
    states, evaluations = run(Descent(objective, space, lambda: space.noise(1, 1.0, 0), 1, 60, 0.2))
    assert states[-1].best_loss < evaluations[0].item_losses[kind][0] / 8
    assert states[-1].best_loss == pytest.approx(min(e.item_losses[kind][0] for e in evaluations))


def test_dimension_without_a_score_has_no_slope(vsm13, make_objective):
    objective = make_objective(Linear(vsm13))
    target = replace(objective.target, scores={"PDI": 10.0}, sources={"PDI": "made"})
    found = slopes(replace(objective, target=target), Linear(vsm13).logs(np.zeros((1, 1, 120)))[0])
    assert {vsm13.item_ids[i] for i in np.flatnonzero(np.abs(found).sum(axis=1))} == {
        vsm13.item_ids[i] for i in np.flatnonzero(vsm13.weights[0])
    }


@pytest.mark.parametrize("uses_trie", [True, False])
@pytest.mark.parametrize("settings", [PLAIN, SETTINGS, ObjectiveSettings(drift_penalty=40.0)])
def test_loss_and_slope_of_a_language_model(settings, uses_trie, tiny, make_objective, monkeypatch):
    monkeypatch.setattr(tiny.passes, "uses_trie", uses_trie)
    objective = make_objective(tiny, settings)
    prompt = np.random.default_rng([3, 1]).normal(0, tiny.spread, (1, 2, tiny.width)).astype(np.float32)
    evaluation, gradient = evaluate_with_gradient(objective, prompt)
    plain = objective.evaluate(prompt)
    assert evaluation.losses == pytest.approx(plain.losses, abs=1e-4)
    assert evaluation.objectives == pytest.approx(plain.objectives, abs=1e-4)
    direction = gradient / np.linalg.norm(gradient)
    h = 0.03 * tiny.spread
    ends = objective.evaluate(np.concatenate([prompt - h * direction, prompt + h * direction]).astype(np.float32))
    slope = np.diff(ends.objectives)[0] / (2 * h)
    assert slope == pytest.approx(np.linalg.norm(gradient), rel=0.05)


@pytest.mark.parametrize("limits", [None, (2.0, 3.0), (0.1, 99.0)])
@pytest.mark.parametrize("coordinates", [None, 3])
def test_space_pulls_gradients_back(coordinates, limits):
    if coordinates is None:
        space = FullSpace(2, 5, 0.5, limits)
    else:
        space = SubspaceSpace(2, 5, 0.5, limits, center=np.ones(5), maps=random_maps(3, 2, 5, 0.5, 1))
    vector = np.random.default_rng([1, 7]).normal(size=space.dim)
    outer = np.random.default_rng([1, 8]).normal(size=(2, 5))
    found = space.pull_back(vector, outer)
    h = 1e-2
    steps = h * np.eye(space.dim)
    ends = (space.decode(vector + steps).astype(np.float64) - space.decode(vector - steps)) / (2 * h)
    np.testing.assert_allclose(found, (ends * outer).sum(axis=(1, 2)), atol=1e-3)


def test_descent_is_torch_adam_on_the_same_gradients(descent):
    made = descent(n_starts=1, steps=6)
    states, evaluations = run(made)
    vector = torch.nn.Parameter(torch.from_numpy(made.start()[0].copy()))
    adam = torch.optim.Adam([vector], lr=0.2)
    schedule = torch.optim.lr_scheduler.LinearLR(adam, start_factor=1.0, end_factor=1e-12, total_iters=6)
    for state in states[:-1]:
        np.testing.assert_allclose(state.vector, vector.detach().numpy(), rtol=1e-9)
        prompt = made.space.decode(vector.detach().numpy()[None])
        gradient = evaluate_with_gradient(made.objective, prompt)[1]
        vector.grad = torch.from_numpy(made.space.pull_back(state.vector, gradient))
        adam.step()
        schedule.step()
    assert len(evaluations) == 7  # the last only looks where the last step led


def test_descent_goes_down_and_counts_three_a_step(descent):
    states, evaluations = run(descent(n_starts=4, steps=30))
    assert [state.evaluations for state in states[:4]] == [0, 4, 7, 10]
    assert states[-1].evaluations == 4 + 3 * 30 + 1
    np.testing.assert_array_equal(states[1].vector, descent().start()[evaluations[0].objectives.argmin()])
    assert states[-1].best_loss < states[1].best_loss / 4
    assert all(a.best_loss >= b.best_loss for a, b in pairwise(states))
    assert descent().advance(states[-1]) is None


def test_one_start_costs_no_generation_of_its_own_and_spending_is_added(descent):
    states, _ = run(descent(n_starts=1, steps=2, spent=100))
    assert [state.evaluations for state in states] == [100, 103, 106, 107]


def test_every_state_can_be_saved_and_gone_on_with(descent):
    states, _ = run(descent(steps=5))
    for state in states[1:]:
        back = DescentState.from_arrays(state.arrays())
        rest, _ = run(descent(steps=5), back)
        for name, array in rest[-1].arrays().items():
            np.testing.assert_array_equal(array, states[-1].arrays()[name])


def test_advance_is_pure(descent):
    made = descent(steps=5)
    state = run(made, most=3)[0][-1]
    before = {name: np.array(array) for name, array in state.arrays().items()}
    once, twice = made.advance(state)[0], made.advance(state)[0]
    for name, array in state.arrays().items():
        np.testing.assert_array_equal(array, before[name])
        np.testing.assert_array_equal(once.arrays()[name], twice.arrays()[name])


def test_step_without_answers_goes_back_to_the_best_and_halves_the_rate(descent):
    states, evaluations = run(descent(n_starts=1, steps=8, failing=(4,)))
    assert np.isposinf(evaluations[3].losses[0])
    assert evaluations[3].reasons[0] is not None
    np.testing.assert_array_equal(states[4].vector, states[4].best)
    assert (states[4].rate, states[4].since, states[4].steps) == (0.5, 0, 4)
    assert states[-1].best_loss < states[1].best_loss


def test_gradient_that_is_no_number(descent, monkeypatch):
    made = descent()
    real = Linear.respond_with_gradient

    def broken(self, *arguments):
        responses, gradient = real(self, *arguments)
        return responses, gradient * np.nan

    monkeypatch.setattr(Linear, "respond_with_gradient", broken)
    with pytest.raises(ModelError, match="is not finite; try dtype float32"):
        run(made)


def test_what_has_no_gradient_is_refused(neutral_answers):
    check_gradient(EXPECTED)
    check_gradient(ReadOut(kind="tempered", temperature=0.5))
    for read_out in (
        ReadOut(kind="tempered", top_p=0.9),
        *(ReadOut(kind=k) for k in ("greedy", "sampled", "generated")),
    ):
        with pytest.raises(ConfigError, match=rf"want the read-out expected, .* {read_out.kind} "):
            check_gradient(read_out)
    with pytest.raises(ConfigError, match="want a language model, got scripted, which has no gradient"):
        check_gradient(EXPECTED, ScriptedRespondent(neutral_answers))
