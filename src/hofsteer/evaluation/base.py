"""The final numbers of a run: what the adapter, read back from disk, does beside the baselines."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hofsteer.alignment.objective import Evaluation, Objective
from hofsteer.baselines import persona_text
from hofsteer.errors import ModelError
from hofsteer.evaluation.floor import greedy_floor, read_out_floor
from hofsteer.instruments.base import Floats, Instrument, named_scores
from hofsteer.respondent.base import SoftPrompts
from hofsteer.respondent.soft_prompt import SoftPrompt
from hofsteer.targets import (
    ASSUMED_N,
    Constants,
    ItemGoal,
    NoiseFloor,
    Target,
    index_loss,
    item_noise_floors,
    mean_country,
    nearest,
    noise_floor,
    others,
    source_losses,
    source_spread,
)

YARDSTICKS = ("naive", "persona", "mean_country")  # rows that the steered model has to beat


@dataclass(frozen=True, eq=False)
class Row:
    """One line of a results table: something that has scores, and its distance to the target."""

    name: str
    scores: Floats  # (M,), index points
    loss: float  # index points, mean over the target's dimensions
    valid_mass: float | None = None  # mean over items; None for rows that no model answered
    drift: float | None = None  # nats a token on neutral text; None where it was not measured
    estimated: frozenset[str] = frozenset()  # dimensions whose published score is an estimate of its source
    losses: Mapping[str, float] = field(default_factory=dict)  # policy of constants -> loss, if it moves
    item_losses: Mapping[str, float] = field(default_factory=dict)  # kind -> mean over the items that the target has


@dataclass(frozen=True)
class Polish:
    """Gradient steps that were taken after a search, and what they cost on top of it."""

    steps: int
    evaluations: int  # a step counts as three
    passes: int  # forward passes, as `Objective.passes` counts them


@dataclass(frozen=True, eq=False)
class RunEvaluation:
    """A steered model beside its baselines and the rows that need no model."""

    target: Target
    dimensions: tuple[str, ...]
    rows: dict[str, Row]  # naive, persona, unpolished if it was polished, aligned, flat, mean_country, nearest
    noise_floor: float  # index points
    read_out_floor: float = 0.0  # index points
    simulated: bool = False  # the model is the bundled simulated respondent
    digits: int = 1  # decimals that scores are shown with
    unit: str = "index points"  # of the scores
    variation: str = "by one scale step"  # how far people's answers are taken to vary in the noise floor
    policies: tuple[Constants, ...] = ()  # of constants; the first is the run's own
    polish: Polish | None = None  # None if there was none
    noise_floor_n: int | None = ASSUMED_N  # respondents of each sample; None: from the target's own standard errors
    greedy_floor: float | None = None  # index points that answers of one option an item cannot get below
    source_losses: Mapping[str, float] = field(default_factory=dict)  # published row -> loss of the steered model
    item_goal: ItemGoal | None = None  # the target's item distributions, if it has them
    minimised: str = "index"  # the loss that was searched for
    notes: tuple[str, ...] = ()  # what else must be said of the run, a paragraph each

    @property
    def skill(self) -> float:
        """The skill of the steered model; NaN where the mean country's loss is unknown."""
        return self.skill_of(self.rows["aligned"])

    @property
    def compared(self) -> tuple[str, ...]:
        """The dimensions that the target has, over which every loss is taken."""
        return tuple(d for d in self.dimensions if d in self.target.scores)

    @property
    def item_noise_floors(self) -> dict[str, float]:
        """Kind of item loss -> by how much two samples like the target's differ; empty without item distributions."""
        goal = self.item_goal
        return {} if goal is None else item_noise_floors(goal)

    @property
    def not_beaten(self) -> tuple[str, ...]:
        """Names of the rows that are as near to the target as the steered model, or nearer; flat and nearest aside."""
        rows, reached = [self.rows[key] for key in YARDSTICKS], self.minimised_loss(self.rows["aligned"])
        return tuple(row.name for row in rows if self.minimised_loss(row) <= reached)

    def minimised_loss(self, row: Row) -> float:
        """The loss of a row that was searched for; NaN where an item loss is unknown."""
        return row.loss if self.minimised == "index" else row.item_losses.get(self.minimised, math.nan)

    def skill_of(self, row: Row) -> float:
        """1 - loss / loss of the mean country, by the loss that was minimised; NaN where one of them is unknown.

        0 is as far away as the mean of the other countries, 1 is perfect.
        """
        return 1 - self.minimised_loss(row) / self.minimised_loss(self.rows["mean_country"])

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as JSON values."""
        return {
            "target": self.target.code,
            "dimensions_compared": list(self.compared),
            "estimated": sorted(self.target.estimated),
            "noise_floor": NoiseFloor(self.noise_floor, self.noise_floor_n).to_json(),
            "n": self.target.n,
            "standard_errors": {d: self.target.errors.get(d) for d in self.target.scores},
            "minimised": self.minimised,
            "item_noise_floors": self.item_noise_floors,
            "source_losses": dict(self.source_losses),
            "source_spread": source_spread(self.target),
            "greedy_floor": self.greedy_floor,
            "read_out_floor": self.read_out_floor,
            "skill": None if math.isnan(self.skill) else self.skill,
            "constants": [constants.summary(self.dimensions) for constants in self.policies],
            "polish": None if self.polish is None else asdict(self.polish),
            "notes": list(self.notes),
            "rows": {
                key: {
                    "name": row.name,
                    "loss": row.loss,
                    "loss_sum": row.loss * len(self.compared),
                    "scores": named_scores(row.scores, self.dimensions),
                    "valid_mass": row.valid_mass,
                    "drift": row.drift,
                    "losses": dict(row.losses),
                    "item_losses": dict(row.item_losses),
                }
                for key, row in self.rows.items()
            },
        }


def evaluate_run(
    objective: Objective,
    soft_prompt: SoftPrompt,
    policies: Sequence[Constants] | None = None,
    unpolished: SoftPrompt | None = None,
) -> RunEvaluation:
    """Administer the fitted forms with the soft prompt, with nothing and with a persona, and add the reference rows.

    Args:
        objective: what was searched.
        soft_prompt: what was found.
        policies: the constants to give losses under, the objective's own first; by default these alone.
        unpolished: what was found before gradient steps that led to `soft_prompt`, if there were any.

    Raises:
        ModelError: the model or the steered model gives no usable answers.
    """
    target = objective.target
    assert target is not None
    instrument = objective.instrument
    dimensions = instrument.dimension_ids
    goal = target.vector(dimensions)
    neighbour = _nearest(objective)
    policies = (objective.constants,) if policies is None else tuple(policies)
    neutral = instrument.score_means(instrument.neutral_means)
    flat = neutral + objective.constants.values

    def answered(name: str, asked: Objective, soft_prompts: SoftPrompts | None = None) -> Row:
        evaluation = asked.evaluate(soft_prompts)
        row = answered_row(name, evaluation)
        return replace(row, losses={c.kind: float(asked.losses_under(evaluation, c)[0]) for c in policies})

    average = mean_country(dimensions, leaving_out=target)
    before = None if unpolished is None else answered("steered", objective, unpolished.values[None])
    rows = {
        "naive": answered("naive", objective),
        "persona": answered("persona", objective.with_system(persona_text(target))),
        **({} if before is None else {"unpolished": before}),
        "aligned": answered("steered" if before is None else "polished", objective, soft_prompt.values[None]),
        "flat": Row(
            "flat (neutral answers)",
            flat,
            float(index_loss(flat, goal)),
            losses={c.kind: float(index_loss(neutral + c.values, goal)) for c in policies},
            item_losses=_named(objective, neutral_shares(instrument)),
        ),
        "mean_country": Row(
            f"mean {target.noun}",
            average,
            float(index_loss(average, goal)),
            item_losses=_item_losses(objective, others(target, dimensions)),
        ),
        "nearest": Row(
            f"nearest ({neighbour.name})",
            neighbour.vector(dimensions),
            float(index_loss(neighbour.vector(dimensions), goal)),
            estimated=neighbour.estimated,
            item_losses=_item_losses(objective, [neighbour]),
        ),
    }
    return RunEvaluation(
        target,
        dimensions,
        rows,
        objective.noise_floor,
        read_out_floor(objective.administrations, objective.constants, target, objective.read_out),
        simulated=objective.respondent.simulated,
        digits=instrument.digits,
        unit=instrument.unit,
        variation=instrument.variation,
        policies=policies,
        noise_floor_n=noise_floor(instrument, target).n,
        greedy_floor=greedy_floor(instrument, objective.constants, target),
        source_losses=source_losses(rows["aligned"].scores, target, instrument),
        item_goal=objective.item_goal,
        minimised=objective.settings.loss,
    )


def _item_losses(objective: Objective, groups: Sequence[Target]) -> dict[str, float]:
    """Return the item losses of the mean answers of groups; empty unless all have the items that the target has."""
    goals = [group.item_goal(objective.instrument) for group in groups]
    if objective.item_goal is None or not all(goals):
        return {}
    return _named(objective, np.mean([goal.shares for goal in goals if goal is not None], axis=0))


def _named(objective: Objective, shares: Floats) -> dict[str, float]:
    """Return the item losses of answer distributions (I, K) that are known; empty where the target has none."""
    losses = objective.item_losses(shares[None])
    return {kind: float(loss) for kind, loss in losses.items() if not np.isnan(loss)}


def _nearest(objective: Objective) -> Target:
    """Return the nearest other country or group, by the loss that is minimised; by the index loss if none has it."""
    target, kind = objective.target, objective.settings.loss
    assert target is not None
    dimensions = objective.instrument.dimension_ids
    if kind != "index":
        losses = [(_item_losses(objective, [row]).get(kind), row) for row in others(target, dimensions)]
        if known := [(loss, row) for loss, row in losses if loss is not None]:
            return min(known, key=lambda one: one[0])[1]
    return nearest(target, dimensions)[0]


def neutral_shares(instrument: Instrument) -> Floats:
    """Return answers (I, K) in the middle of every scale; NaN at options that an item has not.

    All take one option where one lies in the middle; elsewhere the two around it share them, so that the mean does.
    Options of the same value share alike.
    """
    values, middle = instrument.option_values, instrument.neutral_means[:, None]
    below = np.nanmax(np.where(values <= middle, values, np.nan), axis=1, keepdims=True)
    above = np.nanmin(np.where(values >= middle, values, np.nan), axis=1, keepdims=True)
    upper = np.divide(middle - below, above - below, out=np.zeros(middle.shape), where=above > below)
    shares = (1 - upper) * _evenly(values == below) + upper * _evenly(values == above)
    return np.asarray(np.where(np.isnan(values), np.nan, shares))


def _evenly(chosen: NDArray[np.bool_]) -> Floats:
    return np.asarray(chosen / chosen.sum(axis=1, keepdims=True))


def answered_row(name: str, evaluation: Evaluation) -> Row:
    """Return the row of the one candidate that was evaluated. Raises ModelError with the reason if it failed."""
    if evaluation.reasons[0] is not None:
        raise ModelError(f"no usable answers ({name}): {evaluation.reasons[0]}")
    mass, drift = float(evaluation.valid_mass[0].mean()), evaluation.drift
    loss = float(evaluation.losses[0])
    items: dict[str, float] = {kind: float(losses[0]) for kind, losses in evaluation.item_losses.items()}
    return Row(name, evaluation.scores[0], loss, mass, None if drift is None else float(drift[0]), item_losses=items)
