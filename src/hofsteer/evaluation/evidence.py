"""What soft prompts for one target do, measured: the numbers behind gates and claims, one a search seed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from hofsteer.errors import ModelError
from hofsteer.instruments import Administration, Instrument, load_instrument
from hofsteer.instruments.base import Floats
from hofsteer.instruments.style import StyleIndices, style_indices
from hofsteer.respondent.base import Respondent, Responses, SoftPrompts
from hofsteer.targets import (
    ITEM_LOSSES,
    Constants,
    Target,
    index_loss,
    item_loss,
    item_noise_floor,
    map_distance,
    mean_country,
)

STYLE = "style12"  # the content-free items
LEAST_PERSONA_MOVE = 3.0  # points; a persona that moves choices less than this is no yardstick


@dataclass(frozen=True, eq=False)
class Abilities:
    """What is left of abilities that no survey asks for, without (1,) or with soft prompts (S,); None: not measured."""

    kept: Mapping[str, Floats] = field(default_factory=dict)  # name -> share, the higher the better
    kl: Floats | None = None  # (S,), nats a token on neutral prompts, from the model without a soft prompt
    absent: Mapping[str, str] = field(default_factory=dict)  # name -> why it is not there to be lost
    neutral_texts: int | None = None  # on how many exchanges `kl` was measured


@dataclass(frozen=True, eq=False)
class Texts:
    """What written answers to one form add, one number a seed; see `evaluation/texts.py`."""

    refused: Floats  # (S,), share of texts that are refusals
    unparsable: Floats  # (S,), share of texts that are neither an option nor a refusal
    gap: Floats  # (S,), points between the scores of texts and of first tokens beyond the read-out floor
    losses: Floats  # (S,), points; +inf where some item never got an answer
    best: Floats  # (S,), points; no options in place of what cannot be used have a lower loss
    worst: Floats  # (S,), points; none have a higher one
    first_tokens: Floats  # (S,), points, the loss of first tokens at the same temperature and top-p
    floor: float  # points, the read-out floor of `losses`
    first_tokens_floor: float  # points, the read-out floor of `first_tokens`

    @property
    def unusable(self) -> Floats:
        """Share of texts (S,) that choose no option."""
        return self.refused + self.unparsable

    def to_json(self) -> dict[str, Any]:
        """Return them as JSON values; None where there is no loss."""
        seeds = {name: values for name, values in self.__dict__.items() if isinstance(values, np.ndarray)}
        return {
            **{name: [float(v) if np.isfinite(v) else None for v in values] for name, values in seeds.items()},
            "floor": self.floor,
            "first_tokens_floor": self.first_tokens_floor,
        }


@dataclass(frozen=True)
class Styles:
    """Answer style on content-free items, without and with S soft prompts; see `instruments/style.py`."""

    naive: StyleIndices
    steered: tuple[StyleIndices, ...]  # (S,)

    def to_json(self) -> dict[str, Any]:
        """Return them as JSON values."""
        return {"naive": asdict(self.naive), "steered": [asdict(one) for one in self.steered]}


@dataclass(frozen=True, eq=False)
class ItemLosses:
    """One loss between answer distributions, on F held-out forms."""

    steered: Floats  # (S, F)
    naive: Floats  # (F,)
    persona: float  # mean over the forms
    noise_floor: float

    def to_json(self) -> dict[str, Any]:
        """Return them as JSON values."""
        return {
            "steered": self.steered.tolist(),
            "naive": self.naive.tolist(),
            "persona": self.persona,
            "noise_floor": self.noise_floor,
        }


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked of soft prompts: where they should lead, in which forms, and beside whom."""

    target: Target  # on the instrument that was fitted
    fitted: tuple[Administration, ...]
    held_out: tuple[Administration, ...]
    constants: Mapping[str, Constants]  # policy -> values; the run's own first
    countries: tuple[Target, ...]  # the rows among which the target should be near
    elsewhere: Mapping[str, Target]  # other instrument -> the target's place there, from human data; the first decides
    choices: str | None  # the instrument of choices, compared with a persona
    persona: str  # system text
    noise_floor: float  # points

    @property
    def instrument(self) -> Instrument:
        """The instrument that was fitted."""
        return self.fitted[0].instrument


@dataclass(frozen=True, eq=False)
class Evidence:
    """The numbers of S soft prompts, one from each search seed, on F held-out forms, and of K controls."""

    losses: Mapping[str, tuple[Floats, Floats]]  # policy -> held-out losses (S, F) and the naive ones (F,), points
    wordings: tuple[int, ...]  # (F,), of the held-out forms
    fitted_losses: Floats  # (S,), points, on the fitted forms under the run's own constants
    mean_country_loss: float  # points, of the mean of the other countries
    rank: int  # of the target among the countries nearest to the answers, from 1
    gains: Mapping[str, Floats]  # other instrument -> G (S,): 1 - distance / naive distance
    control_gains: Floats  # (K,), G towards this target of soft prompts for others, on the first other instrument
    choice_share: Floats | None  # (S,), how far choices move along a persona's way; None: no yardstick
    item_spread: float | None  # option values: deviation of item means between seeds, mean over items; None with one
    valid_mass: Floats  # (S, I), mean over held-out forms
    order_agreement: Floats  # (S,), correlation of item means, straight and reversed
    style_drift: Floats  # (S,), steps of a five-point scale on content-free items
    styles: Styles  # on the same items
    variance_kept: Floats  # (S,), of the answers' variance on the fitted forms
    lost: Mapping[str, Floats]  # ability -> share lost (S,)
    kl: Floats | None  # (S,), nats a token
    noise_floor: float  # points
    persona_loss: float  # points, of the persona on the held-out forms
    persona_gains: Mapping[str, float]  # other instrument -> G of the persona
    absent: Mapping[str, str] = field(default_factory=dict)  # ability -> why it is not there to be lost
    neutral_texts: int | None = None  # on how many exchanges `kl` was measured
    texts: Texts | None = None  # None: not asked for
    item_losses: Mapping[str, ItemLosses] = field(default_factory=dict)  # kind -> on the held-out forms
    zone: str | None = None  # the target's cultural zone
    control_zones: tuple[str | None, ...] = ()  # (K,), those of the controls; None: no country, or of no known zone

    @property
    def n_seeds(self) -> int:
        """S."""
        return len(self.fitted_losses)

    @property
    def naive_losses(self) -> Floats:
        """The naive losses (F,) under the run's own constants."""
        return next(iter(self.losses.values()))[1]

    @property
    def held_out_losses(self) -> Floats:
        """The steered losses (S,) under the run's own constants, mean over the held-out forms."""
        return np.asarray(next(iter(self.losses.values()))[0].mean(axis=1))

    @property
    def skill(self) -> Floats:
        """1 - loss / loss of the mean country, (S, F)."""
        return np.asarray(1 - next(iter(self.losses.values()))[0] / self.mean_country_loss)


def collect(
    respondent: Respondent,
    soft_prompts: SoftPrompts,
    question: Question,
    controls: Sequence[SoftPrompts] | SoftPrompts = (),
    abilities: Callable[[SoftPrompts | None], Abilities] | None = None,
    texts: Texts | None = None,
) -> Evidence:
    """Ask everything that a verdict needs.

    Args:
        respondent: the frozen model.
        soft_prompts: (S, L, W), one of each search seed.
        question: where they should lead.
        controls: K of shape (L', W), found for other targets with the same budget; their lengths L' may differ.
        abilities: what measures other abilities, without (None) and with soft prompts.
        texts: what was written behind the soft prompts, if that was asked for.

    Raises:
        ModelError: answers cannot be used, with the reason.
    """
    instrument = question.instrument
    naive = answers_to(respondent, question.held_out)
    steered = answers_to(respondent, question.held_out, soft_prompts)
    fitted = answers_to(respondent, question.fitted, soft_prompts)
    persona = answers_to(respondent, [replace(form, system=question.persona) for form in question.held_out])
    goal = question.target.vector(instrument.dimension_ids)
    losses = {}
    for policy, constants in question.constants.items():
        scores, alone = (instrument.score(a.probabilities) + constants.values for a in (steered, naive))
        losses[policy] = index_loss(scores, goal), index_loss(alone, goal)[0]
    own = next(iter(question.constants.values()))
    reached = (instrument.score(steered.probabilities) + own.values).mean(axis=1)  # (S, M)
    gains = {name: gain(respondent, soft_prompts, place, name) for name, place in question.elsewhere.items()}
    decides = next(iter(question.elsewhere.items()), None)
    led = np.zeros(0) if decides is None else _gains_of_each(respondent, controls, decides[1], decides[0])
    before, after = (abilities(None), abilities(soft_prompts)) if abilities else (Abilities(), Abilities())
    drift, styles = _style(respondent, soft_prompts)
    return Evidence(
        losses=losses,
        wordings=tuple(form.wording for form in question.held_out),
        fitted_losses=index_loss(instrument.score(fitted.probabilities) + own.values, goal).mean(axis=1),
        mean_country_loss=float(index_loss(mean_country(instrument.dimension_ids, leaving_out=question.target), goal)),
        rank=_rank(question, reached.mean(axis=0)),
        gains=gains,
        control_gains=led,
        choice_share=_choice_share(respondent, soft_prompts, question),
        item_spread=_item_spread(instrument.item_means(steered.probabilities).mean(axis=1)),
        valid_mass=steered.valid_mass.mean(axis=1),
        order_agreement=_order_agreement(respondent, soft_prompts, question.fitted),
        style_drift=drift,
        styles=styles,
        variance_kept=_variance(instrument, fitted) / _variance(instrument, answers_to(respondent, question.fitted))[0],
        lost={name: before.kept[name] - kept for name, kept in after.kept.items()},
        kl=after.kl,
        absent=after.absent,
        neutral_texts=after.neutral_texts,
        noise_floor=question.noise_floor,
        persona_loss=float(index_loss(instrument.score(persona.probabilities) + own.values, goal).mean()),
        persona_gains={
            name: float(gain(respondent, None, place, name, question.persona)[0])
            for name, place in question.elsewhere.items()
        },
        texts=texts,
        item_losses=_item_losses(question, steered, naive, persona),
    )


def gain(
    respondent: Respondent, soft_prompts: SoftPrompts | None, place: Target, name: str, system: str | None = None
) -> Floats:
    """Return G (S,), 1 - distance / naive distance to a place on another instrument, in either order of options.

    Distances are Euclidean, as on the map; 1 is there, 0 as far as with neither soft prompt nor system text, below 0
    farther.
    """
    instrument = load_instrument(name)
    goal = place.vector(instrument.dimension_ids)

    def distance(prompts: SoftPrompts | None, said: str | None) -> Floats:
        forms = [Administration(instrument, order=order, system=said) for order in ("listed", "reversed")]
        scores = instrument.score(answers_to(respondent, forms, prompts).probabilities).mean(axis=1)
        return map_distance(scores, goal)

    return np.asarray(1 - distance(soft_prompts, system) / distance(None, None)[0])


def _gains_of_each(
    respondent: Respondent, soft_prompts: Sequence[SoftPrompts] | SoftPrompts, place: Target, name: str
) -> Floats:
    """Return G (K,) of K soft prompts (L', W) of any lengths."""
    found, lengths = np.zeros(len(soft_prompts)), np.array([len(prompt) for prompt in soft_prompts])
    for length in np.unique(lengths):
        own = [prompt for prompt in soft_prompts if len(prompt) == length]
        found[lengths == length] = gain(respondent, np.stack(own), place, name)
    return found


def answers_to(
    respondent: Respondent, forms: Sequence[Administration], soft_prompts: SoftPrompts | None = None
) -> Responses:
    """Return the answers to forms behind soft prompts (P, L, W). Raises ModelError if they cannot be used."""
    responses = respondent.respond(forms, soft_prompts)
    if reasons := [reason for reason in responses.failures if reason is not None]:
        raise ModelError(f"no usable answers to {forms[0].instrument.id}: {reasons[0]}")
    return responses


def _item_spread(means: Floats) -> float | None:
    """Return how far seeds differ item by item (S, I): runs of one loss need not have found the same answers."""
    return float(means.std(axis=0, ddof=1).mean()) if len(means) > 1 else None


def _item_losses(question: Question, steered: Responses, naive: Responses, persona: Responses) -> dict[str, ItemLosses]:
    """Return the item losses of answers to the held-out forms; empty where the target has no item distributions."""
    goal = question.target.item_goal(question.instrument)
    if goal is None:
        return {}
    return {
        kind: ItemLosses(
            item_loss(kind, steered.probabilities, goal),
            item_loss(kind, naive.probabilities, goal)[0],
            float(item_loss(kind, persona.probabilities, goal).mean()),
            item_noise_floor(kind, goal),
        )
        for kind in ITEM_LOSSES
    }


def _rank(question: Question, reached: Floats) -> int:
    """Return the place of the target, from 1, among the countries by their distance to the scores reached."""
    dimensions = question.instrument.dimension_ids
    own = question.target.code.partition("@")[0]
    others = [c.vector(dimensions) for c in question.countries if c.code.partition("@")[0] != own]
    compared = ~np.isnan(question.target.vector(dimensions))
    rows = np.stack([question.target.vector(dimensions), *others])[:, compared]
    distances = index_loss(rows, reached[compared])
    return int(1 + (distances[1:] < distances[0]).sum())


def _choice_share(respondent: Respondent, soft_prompts: SoftPrompts, question: Question) -> Floats | None:
    """Return how far choices move (S,) along the way on which a persona of the target moves them: 1 is as far.

    The way is the difference of the scores with and without the persona; what goes elsewhere does not count. None where
    there is no instrument of choices, or the persona moves it by less than `LEAST_PERSONA_MOVE` points on average.
    """
    if question.choices is None:
        return None
    instrument = load_instrument(question.choices)
    forms = [Administration(instrument, order=order) for order in ("listed", "reversed")]
    named = [replace(form, system=question.persona) for form in forms]
    before, persona, after = (
        instrument.score(answers_to(respondent, asked, prompts).probabilities).mean(axis=1)
        for asked, prompts in ((forms, None), (named, None), (forms, soft_prompts))
    )
    way = persona[0] - before[0]
    if np.abs(way).mean() < LEAST_PERSONA_MOVE:
        return None
    return np.asarray((after - before[0]) @ way / (way @ way))


def _order_agreement(respondent: Respondent, soft_prompts: SoftPrompts, fitted: Sequence[Administration]) -> Floats:
    """Return the correlation (S,) over items of the means, options straight and reversed, in the first fitted form."""
    straight, turned = (replace(fitted[0], order=order) for order in ("listed", "reversed"))
    means = fitted[0].instrument.item_means(answers_to(respondent, [straight, turned], soft_prompts).probabilities)
    return np.array([np.corrcoef(one)[0, 1] for one in means])


def _style(respondent: Respondent, soft_prompts: SoftPrompts) -> tuple[Floats, Styles]:
    """Return how far answers to content-free items move (S,), in steps of a five-point scale, and their style.

    The first is the mean over items and both orders of what each answer moves; moves to and fro do not cancel in it.
    """
    style = load_instrument(STYLE)
    values = style.option_values
    step = (np.nanmax(values, axis=1) - np.nanmin(values, axis=1)) / 4  # (I,)
    forms = [Administration(style, order=order) for order in ("listed", "reversed")]
    before, after = (answers_to(respondent, forms, prompts).probabilities for prompts in (None, soft_prompts))
    moved = np.abs(style.item_means(after) - style.item_means(before)) / step
    naive, *steered = (style_indices(listed, turned, style) for listed, turned in (*before, *after))
    return np.asarray(moved.mean(axis=(1, 2))), Styles(naive, tuple(steered))


def _variance(instrument: Instrument, answers: Responses) -> Floats:
    """Return the variance of answers (P,), in squared option values, mean over items and forms."""
    squares = (answers.probabilities * np.nan_to_num(instrument.option_values) ** 2).sum(axis=-1)
    return np.asarray((squares - instrument.item_means(answers.probabilities) ** 2).mean(axis=(1, 2)))
