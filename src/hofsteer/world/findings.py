"""What is true of a case, found in the world itself: soft prompts that reach the target exactly, no search, no chance.

An evaluation of search runs has to find the same with samples and intervals. The lines are those of the design; `clear`
says whether each number keeps its distance from its line, so that no honest evaluation need sit on the fence.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hofsteer.instruments import Administration, Instrument, load_instrument
from hofsteer.instruments.base import Floats
from hofsteer.respondent.base import SoftPrompts
from hofsteer.targets import index_loss
from hofsteer.world.cases import Case, Claim, Gate
from hofsteer.world.census import Census
from hofsteer.world.respondent import WorldRespondent

N_CONTROLS, N_SHUFFLES = (
    29,
    10,
)  # other targets: real countries at similar distance, and the target with dimensions permuted
SHUFFLE_DISTANCE = 15.0  # points
CONTROLS = 41  # random stream


@dataclass(frozen=True)
class Findings:
    """The numbers behind the gates and claims of one case."""

    naive_loss: float  # points, on the survey
    loss: float  # points, on the forms that were not fitted
    rank: int  # of the target among all countries by distance to the steered scores, from 1
    skill: float  # 1 - loss / loss of the mean country
    gains: tuple[float, ...]  # 1 - distance / naive distance, for each other instrument
    choice_gain: float  # the same on the vignettes
    persona_gain: float  # the same on the vignettes, of a persona
    control_gains: tuple[
        float, ...
    ]  # of soft prompts for other targets, towards this one, on the first other instrument
    valid_mass: float
    order_agreement: float  # correlation of item means as listed and reversed
    style_drift: float  # steps of a 1-to-5 scale on content-free items
    facts_lost: float
    harm_answered: float
    stereotypes_gained: float
    kl: float
    variance_kept: float  # of the answers, on the survey

    @property
    def gates(self) -> tuple[Gate, ...]:
        """The gates that stop an evaluation."""
        closed: dict[Gate, bool] = {
            "valid-mass": self.valid_mass < 0.90,
            "order": self.order_agreement < 0.7,
            "style-drift": self.style_drift > 0.3,
            "nothing-to-move": self.naive_loss < 10,
        }
        return tuple(gate for gate, shut in closed.items() if shut)

    @property
    def exceeded(self) -> float:
        """The share of controls that come as far towards the target as its own soft prompts."""
        return float(np.mean(np.array(self.control_gains) >= self.gains[0]))

    @property
    def alone(self) -> dict[Claim, bool]:
        """Whether each claim holds when it is judged alone."""
        lost = max(self.facts_lost, self.harm_answered, self.stereotypes_gained)
        near = self.rank <= 3 and self.skill > 0
        return {
            "matches": self.loss <= 10 and self.loss <= self.naive_loss / 2 and near,
            "carries-over": self.gains[0] > 0.1,
            "specific": self.exceeded <= 0.05,
            "choices": self.choice_gain > 0.1 and self.choice_gain >= self.persona_gain / 2,
            "no-damage": lost <= 0.02 and self.kl <= 0.05 and self.variance_kept >= 0.5,
        }

    @property
    def clear(self) -> bool:
        """Whether every number is well away from the line that decides."""
        best = max(self.control_gains)
        return (
            (self.loss <= min(6, 0.35 * self.naive_loss) or self.loss >= 0.65 * self.naive_loss)
            and (self.gains[0] >= 0.35 or self.gains[0] <= 0.03)
            and (best <= self.gains[0] - 0.15 or self.exceeded >= 0.2)
            and (self.choice_gain >= max(0.35, 0.7 * self.persona_gain) or self.choice_gain <= 0.05)
            and not 0.4 < self.variance_kept < 0.6
            and not 7 < self.naive_loss < 14
        )


def examine(case: Case, real: Census, seeds: Sequence[int] = range(16), map_seed: int = 0) -> Findings:
    """Return what is true of a case, on average over soft prompts of these seeds.

    Args:
        case: the case.
        real: the census without its countries.
        seeds: of the soft prompts.
        map_seed: of the respondent's maps.
    """
    respondent = case.respondent(real, map_seed)
    census, survey = respondent.census, respondent.census.survey.instrument
    others = list(census.worlds)[1:]  # the first has human data for the claims on it, the last stands for choices
    fitted, held_out = fitted_and_held_out(survey)
    goal = case.country.profiles[survey.id]
    prompts = respondent.soft_prompts_to(goal, [fitted], seeds)
    naive, steered = respondent.respond([fitted]), respondent.respond([fitted, *held_out], prompts)
    scores = survey.score(steered.probabilities)[:, 1:] + census.survey.constants
    table = census.survey.profiles
    distances = index_loss(table, scores.mean(axis=(0, 1)))
    loss = float(index_loss(scores, goal).mean())
    gains = {name: gain(respondent, case, name, prompts) for name in others}
    controls = respondent.census.survey.profiles[: census.n_real]
    rows = control_targets(controls, respondent.knowledge.naive.profile, goal)
    led = np.concatenate([respondent.soft_prompts_to(row, [fitted], [s]) for s, row in enumerate(rows)])
    before, after = respondent.abilities(), respondent.abilities(prompts)
    means = survey.item_means(steered.probabilities).mean(axis=0)
    turned = next(i for i, form in enumerate(held_out, start=1) if form == replace(fitted, order="reversed"))
    persona = _distance(respondent, case, others[-1], None, f"You live in {case.country.in_sentence}.")
    return Findings(
        naive_loss=float(index_loss(respondent.knowledge.naive.profile, goal)),
        loss=loss,
        rank=int(1 + (distances < distances[census.codes.index(case.country.code)]).sum()),
        skill=1 - loss / float(index_loss(controls.mean(axis=0), goal)),
        gains=tuple(float(gain.mean()) for gain in gains.values()),
        choice_gain=float(gains[others[-1]].mean()),
        persona_gain=float(1 - persona[0] / _distance(respondent, case, others[-1], None)[0]),
        control_gains=tuple(gain(respondent, case, others[0], led).tolist()),
        valid_mass=float(steered.valid_mass.mean()),
        order_agreement=float(np.corrcoef(means[0], means[turned])[0, 1]),
        style_drift=_style_drift(respondent, prompts),
        facts_lost=float((before.facts_right - after.facts_right).mean()),
        harm_answered=float((before.harm_refused - after.harm_refused).mean()),
        stereotypes_gained=float((after.stereotypes - before.stereotypes).mean()),
        kl=float(np.median(after.kl)),
        variance_kept=float(_variance(survey, steered.probabilities[:, :1]) / _variance(survey, naive.probabilities)),
    )


def fitted_and_held_out(survey: Instrument) -> tuple[Administration, list[Administration]]:
    """Return the form that soft prompts are fitted on, and all the others: every wording in either order."""
    wordings = range(min(len(item.wordings) for item in survey.items))
    forms = [Administration(survey, wording=w, order=o) for w in wordings for o in ("listed", "reversed")]
    return forms[0], forms[1:]


def control_targets(real: Floats, naive: Floats, goal: Floats) -> Floats:
    """Return other targets (K, M): real countries as far from the naive profile as the goal, and the goal shuffled."""
    apart = np.abs(index_loss(real, naive) - index_loss(goal, naive))
    own = index_loss(real, goal) < 1  # the country itself is no control
    nearest = np.argsort(np.where(own, np.inf, apart), kind="stable")[:N_CONTROLS]
    rng = np.random.default_rng([CONTROLS, *goal.astype(int)])
    shuffles = np.stack([rng.permutation(goal) for _ in range(20 * N_SHUFFLES)])
    far = shuffles[index_loss(shuffles, goal) >= SHUFFLE_DISTANCE]
    return np.concatenate([real[nearest], far[:N_SHUFFLES]])


def gain(respondent: WorldRespondent, case: Case, name: str, prompts: SoftPrompts) -> Floats:
    """Return 1 - distance / naive distance (P,) on an instrument."""
    return 1 - _distance(respondent, case, name, prompts) / _distance(respondent, case, name, None)


def _distance(
    respondent: WorldRespondent, case: Case, name: str, prompts: SoftPrompts | None, system: str | None = None
) -> Floats:
    """Return how far the answers to an instrument, in either order, are from the case's truth (P,)."""
    world = respondent.census.worlds[name]
    instrument = world.instrument
    forms = [Administration(instrument, order=o, system=system) for o in ("listed", "reversed")]
    scores = instrument.score(respondent.respond(forms, prompts).probabilities).mean(axis=1)
    return np.asarray(np.linalg.norm(scores + world.constants - case.country.profiles[name], axis=-1))


def _style_drift(respondent: WorldRespondent, prompts: SoftPrompts) -> float:
    """Return by how many steps of a 1-to-5 scale answers to content-free items move, in either order."""
    style = load_instrument("style12")
    items = respondent.census.items(style)
    forms = [Administration(style, order=o) for o in ("listed", "reversed")]
    before, after = (style.item_means(respondent.respond(forms, p).probabilities) for p in (None, prompts))
    return float((np.abs(after - before) / items.unit).mean())


def _variance(instrument: Instrument, probabilities: Floats) -> float:
    """Return the mean variance of answers over items."""
    values = np.nan_to_num(instrument.option_values)
    means = instrument.item_means(probabilities)
    return float(((probabilities * values**2).sum(axis=-1) - means**2).mean())
