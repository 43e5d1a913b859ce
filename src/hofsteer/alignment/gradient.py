"""Gradient descent on what the search minimises: the white-box reference of all searches.

Adam (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1), as torch.optim has it, on the vector of the same space, from
the best of the same first population. Only the vector moves; the model's weights get no gradient. The rate falls
linearly to zero: the distance |score - target| has a slope of -1 or 1 however small it is (at zero the subgradient 0
is taken), so that steps of a fixed length would dance around the target. The Wasserstein distance has such kinks too.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from hofsteer.alignment.objective import PASSES_OF_A_GRADIENT_STEP, Evaluation, Objective
from hofsteer.alignment.space import Space
from hofsteer.config import ReadOut
from hofsteer.errors import ConfigError, ModelError
from hofsteer.instruments.base import Floats
from hofsteer.respondent.base import Respondent, SoftPrompts
from hofsteer.search.base import Bounds, SavedState
from hofsteer.targets import item_slopes


@dataclass(frozen=True, eq=False)
class DescentState(SavedState):
    """All that a resume of a descent needs besides its settings."""

    kind = "descent state"

    vector: Floats  # (dim,), where the next gradient is taken
    first_moment: Floats  # (dim,)
    second_moment: Floats  # (dim,)
    since: int  # steps that the moments remember
    steps: int  # gradients taken
    rate: float  # share of the learning rate, halved by each step that led to no answers
    generation: int
    evaluations: int
    best: Floats  # (dim,)
    best_loss: float  # +inf while nothing was evaluated
    bounds: Bounds | None = None  # a descent has none


@dataclass(frozen=True, eq=False)
class Descent:
    """Adam for a number of steps, each of which counts as `PASSES_OF_A_GRADIENT_STEP` evaluations."""

    objective: Objective
    space: Space
    start: Callable[[], Floats]  # (n_starts, dim), always the same
    n_starts: int  # with several the first generation finds the best of them
    steps: int
    learning_rate: float  # units of the space
    spent: int = 0  # evaluations before the start
    state_type = DescentState

    def init(self) -> DescentState:
        """Return the state before anything was evaluated."""
        first, zeros = self.start()[0], np.zeros(self.space.dim)
        return DescentState(first, zeros, zeros, 0, 0, 1.0, 0, self.spent, first, np.inf)

    def advance(self, state: DescentState) -> tuple[DescentState, Evaluation] | None:
        """Return the next state and what was evaluated for it; None when all is done.

        Of several starts all are evaluated first. Each step evaluates where it stands, takes the gradient there and
        moves; the last generation only evaluates where the last step led.

        Raises:
            ModelError: the gradient has NaN or infinities where the answers have none.
        """
        several = self.n_starts > 1
        if state.generation == several + self.steps + 1:
            return None
        if several and state.generation == 0:
            vectors = self.start()
            evaluation = self.objective.evaluate(self.space.decode(vectors))
            told = _told(state, vectors, evaluation, len(vectors))
            return replace(told, vector=told.best), evaluation
        candidate = self.space.decode(state.vector[None])
        if state.steps == self.steps:
            evaluation = self.objective.evaluate(candidate)
            return _told(state, state.vector[None], evaluation, 1), evaluation
        evaluation, gradient = evaluate_with_gradient(self.objective, candidate)
        state = replace(state, steps=state.steps + 1)
        told = _told(state, state.vector[None], evaluation, PASSES_OF_A_GRADIENT_STEP)
        if evaluation.reasons[0] is not None:  # back to the best, with steps half as long and no memory of the others
            zeros = np.zeros(self.space.dim)
            told = replace(told, vector=told.best, first_moment=zeros, second_moment=zeros, since=0)
            return replace(told, rate=told.rate / 2), evaluation
        if not np.isfinite(gradient).all():
            raise ModelError(
                f"the gradient of {self.objective.respondent.settings.id} is not finite; try dtype float32"
            )
        return self._moved(told, self.space.pull_back(state.vector, gradient)), evaluation

    def _moved(self, state: DescentState, gradient: Floats) -> DescentState:
        """Return the state after one step of Adam along a gradient (dim,)."""
        import torch

        vector = torch.nn.Parameter(torch.from_numpy(state.vector.copy()))
        share = state.rate * (1 - (state.steps - 1) / self.steps)
        adam = torch.optim.Adam([vector], lr=self.learning_rate * share, foreach=False)
        first, second = torch.from_numpy(state.first_moment.copy()), torch.from_numpy(state.second_moment.copy())
        adam.state[vector] = {"step": torch.tensor(float(state.since)), "exp_avg": first, "exp_avg_sq": second}
        vector.grad = torch.from_numpy(gradient.copy())
        adam.step()
        return replace(
            state,
            vector=vector.detach().numpy(),
            first_moment=first.numpy(),
            second_moment=second.numpy(),
            since=state.since + 1,
        )


def evaluate_with_gradient(objective: Objective, soft_prompt: SoftPrompts) -> tuple[Evaluation, Floats]:
    """Return what one soft prompt (1, L, W) comes to, and the gradient (L, W) of what is minimised.

    The numbers are those of `Objective.evaluate`; of a failed evaluation the gradient means nothing.
    """
    responses, gradient = objective.respondent.respond_with_gradient(
        objective.administrations,
        soft_prompt,
        objective.read_out,
        lambda _, log_probabilities: slopes(objective, log_probabilities),
    )
    if not (price := objective.settings.drift_penalty):
        return objective.judge(responses), gradient
    drift, slope = objective.respondent.drift_with_gradient(soft_prompt)
    return objective.judge(responses, drift), gradient + price * slope


def slopes(objective: Objective, log_probabilities: Floats) -> Floats:
    """Return the derivatives of what is minimised by the options' log-probabilities (I, K) of one administration.

    With p the probabilities renormalised over an item's options and d the derivatives of the loss by them, the loss
    moves with log-probability k of an item by p_k (d_k - sum p d), and its lost mass by -exp(log-probability).
    """
    instrument, settings = objective.instrument, objective.settings
    mask = instrument.option_mask
    mass = np.where(mask, np.exp(log_probabilities), 0.0)
    valid_mass = mass.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        probabilities = mass / valid_mass
    factors, by_share = _by_share(objective, probabilities)
    found = factors[:, None] * probabilities * (by_share - (probabilities * by_share).sum(axis=-1, keepdims=True))
    if settings.mass_penalty:
        found = found - settings.mass_penalty / len(mass) * mass * (valid_mass < settings.mass_threshold)
    return np.asarray(found / len(objective.administrations))


def _by_share(objective: Objective, probabilities: Floats) -> tuple[Floats, Floats]:
    """Return the derivatives of the loss by the probabilities (I, K), as a factor an item (I,) times (I, K).

    For the index loss these are what the loss changes with an item's mean, and the option values.
    """
    instrument, target, item_goal = objective.instrument, objective.target, objective.item_goal
    assert target is not None
    if (kind := objective.settings.loss) != "index":
        assert item_goal is not None
        return np.ones(len(probabilities)), item_slopes(kind, probabilities, item_goal)
    scores = instrument.score(probabilities) + objective.constants.values
    goal = target.vector(instrument.dimension_ids)
    weights = np.where(np.isnan(goal), 0.0, 1.0 if objective.weights is None else objective.weights)
    by_score = np.where(np.isnan(goal), 0.0, np.sign(scores - goal)) * weights / weights.sum()  # (M,)
    return by_score @ instrument.weights, np.nan_to_num(instrument.option_values)


def check_gradient(read_out: ReadOut, respondent: Respondent | None = None) -> None:
    """Raise ConfigError with the reason if what is minimised has no gradient."""
    smooth = read_out.kind == "expected" or (read_out.kind == "tempered" and read_out.top_p >= 1)
    if not smooth:
        raise ConfigError(
            f"gradient steps want the read-out expected, or tempered with top-p 1: {read_out.in_words()} has none"
        )
    if respondent is not None and not respondent.differentiable:
        raise ConfigError(f"gradient steps want a language model, got {respondent.settings.id}, which has no gradient")


def _told(state: DescentState, vectors: Floats, evaluation: Evaluation, cost: int) -> DescentState:
    """Return the state of the next generation, after vectors (P, dim) were evaluated."""
    leader = int(evaluation.objectives.argmin())
    better = evaluation.objectives[leader] < state.best_loss
    return replace(
        state,
        generation=state.generation + 1,
        evaluations=state.evaluations + cost,
        best=vectors[leader] if better else state.best,
        best_loss=float(evaluation.objectives[leader]) if better else state.best_loss,
    )
