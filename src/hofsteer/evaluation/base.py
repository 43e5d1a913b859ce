"""The final numbers of a run: what the adapter, read back from disk, does beside the baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from hofsteer.alignment.objective import Evaluation, Objective
from hofsteer.baselines import persona_text
from hofsteer.errors import ModelError
from hofsteer.evaluation.floor import greedy_floor, read_out_floor
from hofsteer.instruments.base import Floats, named_scores
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
    noise_floor_n: int | None = ASSUMED_N  # respondents it assumes; None: from the target's own standard errors
    greedy_floor: float | None = None  # index points that answers of one option an item cannot get below
    source_losses: Mapping[str, float] = field(default_factory=dict)  # published row -> loss of the steered model
    item_goal: ItemGoal | None = None  # the target's item distributions, if it has them
    minimised: str = "index"  # the loss that was searched for
    notes: tuple[str, ...] = ()  # what else must be said of the run, a paragraph each

    @property
    def skill(self) -> float:
        """The skill of the steered model."""
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
        rows = [self.rows[key] for key in ("naive", "persona", "mean_country")]
        return tuple(row.name for row in rows if row.loss <= self.rows["aligned"].loss)

    def skill_of(self, row: Row) -> float:
        """1 - loss / loss of the mean country: 0 is as far away as the mean of the other countries, 1 is perfect."""
        return 1 - row.loss / self.rows["mean_country"].loss

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
            "skill": self.skill,
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
    neighbour, distance = nearest(target, dimensions)
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
        ),
        "mean_country": Row(
            "mean country",
            average,
            float(index_loss(average, goal)),
            item_losses=_item_losses(objective, others(target, dimensions)),
        ),
        "nearest": Row(
            f"nearest ({neighbour.name})",
            neighbour.vector(dimensions),
            distance,
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
    mean = np.mean([goal.shares for goal in goals if goal is not None], axis=0)
    losses = objective.item_losses(mean[None])
    return {kind: float(loss) for kind, loss in losses.items() if not np.isnan(loss)}


def answered_row(name: str, evaluation: Evaluation) -> Row:
    """Return the row of the one candidate that was evaluated. Raises ModelError with the reason if it failed."""
    if evaluation.reasons[0] is not None:
        raise ModelError(f"no usable answers ({name}): {evaluation.reasons[0]}")
    mass, drift = float(evaluation.valid_mass[0].mean()), evaluation.drift
    loss = float(evaluation.losses[0])
    items: dict[str, float] = {kind: float(losses[0]) for kind, losses in evaluation.item_losses.items()}
    return Row(name, evaluation.scores[0], loss, mass, None if drift is None else float(drift[0]), item_losses=items)
