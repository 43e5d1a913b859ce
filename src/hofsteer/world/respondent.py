"""A respondent that answers from the world: soft prompt -> profile -> answers, in microseconds and without torch.

What a soft prompt does: the mean of its rows goes through a fixed random linear map to one number a survey dimension,
and these move the profile away from where the respondent stands without it (the naive mixture, or a persona), ever more
slowly towards the ends of what can be reached. Each form of the survey sees it a little differently, so a search can
fit a form. The other instruments follow as the respondent's *mode* says; in a coupled one they stand where the
countries that it knows stand, the nearer on the survey the more.

Measured (benchmarks/world.py, 1 core): 20 microseconds a candidate and form of the survey in batches of 20, 12 of 200.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from zlib import crc32

import numpy as np

from hofsteer.config import EXPECTED, ModelSettings, ReadOut
from hofsteer.errors import SoftPromptError
from hofsteer.instruments import Administration
from hofsteer.instruments.base import Floats
from hofsteer.respondent.base import (
    Respondent,
    Responses,
    SoftPrompts,
    common_instrument,
    make_responses,
    option_log_probabilities,
)
from hofsteer.respondent.neutral import Neutral
from hofsteer.world.base import ItemModel
from hofsteer.world.census import Census, Style, in_style
from hofsteer.world.curves import narrowest
from hofsteer.world.knowledge import BIAS_LEFT, Knowledge, Stand

Channel = Literal["content", "position", "extremity"]

REACH = (-10.0, 110.0)  # points; where the survey's dimensions end
GAIN = 2.0  # of the map: rows of deviation 1 move a dimension by about this times 30 points over the root of L
VALID_MASS = 0.99
SIZE = 20.0  # points; a displacement of this mean size counts as three quarters of the largest
DRIFT = 1.2  # steps; by how much content-free answers move when a profile is moved by position
FACTS, HARM_REFUSED = 0.96, 0.98  # shares, without a soft prompt
HARMLESS_KL = 0.02  # nats a token on neutral text at the largest displacement

MAP, FORM, OWN = 21, 22, 23  # random streams


@dataclass(frozen=True)
class Mode:
    """What a soft prompt does in a respondent, and what it costs. By default everything moves together."""

    carries: tuple[str, ...] | None = None  # instruments that move along with the survey; None = all
    drifts_to: str | None = None  # code: whatever the profile, other instruments go where this country stands
    wordings: tuple[int, ...] | None = None  # a soft prompt works in these wordings of the survey alone
    channel: Channel = "content"  # "position": by place in the list; "extremity": all answers away from the middle
    personas: bool = True  # whether a system text that names a country does anything
    bias_left: float = BIAS_LEFT  # share of the answers without a persona that is still there under one
    exaggeration: float = 1.0  # how far other instruments go, of where they belong
    narrowing: float = 0.0  # share of the answers that end on the nearest options, at the largest displacement
    damage: float = 0.0  # share of facts lost at the largest displacement
    refusal: float = 0.0  # share of valid mass lost at the largest displacement


@dataclass(frozen=True, eq=False)
class Abilities:
    """What a soft prompt leaves of a respondent's other abilities, one number a candidate (P,)."""

    facts_right: Floats  # share
    harm_refused: Floats  # share of harmful requests that are refused
    stereotypes: Floats  # share of stereotyped completions; an even-handed respondent has 0.5
    kl: Floats  # nats a token on neutral text, from the respondent without a soft prompt


class WorldRespondent(Respondent):
    """Answers like people of the census: see the module. Same seed, same map; nothing is drawn when it answers."""

    settings = ModelSettings(id="world")
    spread = 1.0
    width = 0

    def __init__(
        self,
        census: Census,
        mode: Mode | None = None,
        seed: int = 0,
        width: int = 16,
        form_noise: float = 0.06,
        own_ways: float = 0.1,
    ) -> None:
        """Make a respondent.

        Args:
            census: the countries that it knows.
            mode: what a soft prompt does.
            seed: of the maps.
            width: W, at least the number of survey dimensions.
            form_noise: how differently the forms of the survey see a soft prompt, as a share of what it does.
            own_ways: how far items and other instruments go ways of their own with a soft prompt, in standard
                deviations over countries: two soft prompts of one profile differ there.
        """
        self.census, self.mode, self.seed, self.width = census, mode or Mode(), seed, width
        self.form_noise, self.own_ways = form_noise, own_ways
        self.knowledge = Knowledge(census, self.mode.bias_left)
        self.map = self._draw([MAP], self.knowledge.n_dimensions)
        self._forms: dict[tuple[str, int, str, str], Floats] = {}
        self._own: dict[str, Floats] = {}

    def respond(
        self,
        administrations: Sequence[Administration],
        soft_prompts: SoftPrompts | None = None,
        read_out: ReadOut = EXPECTED,
    ) -> Responses:
        """Answer from the world; see `Respondent.respond`."""
        instrument = common_instrument(administrations)
        items = self.census.items(instrument)
        pull = self._pull(soft_prompts)
        logs, mass = zip(
            *(self._answer(pull, administration, items) for administration in administrations), strict=True
        )
        logits = np.stack(logs, axis=1) + np.log(np.stack(mass, axis=1))[..., None, None]
        return make_responses(
            option_log_probabilities(logits, read_out), instrument.option_mask, administrations, read_out
        )

    def identity(self) -> dict[str, str | None]:
        """Return what decides the answers: the world and the maps."""
        return {
            "world": f"{self.census.seed}, {len(self.census.codes)} countries",
            "seed": str(self.seed),
            "mode": repr(self.mode),
        }

    def profiles(self, soft_prompts: SoftPrompts | None = None, form: Administration | None = None) -> Floats:
        """Return the survey profiles (P, M) that soft prompts lead to, seen by no form in particular or by one."""
        stand = self.knowledge.naive if form is None else self._stand(form)
        return self._profiles(self._pull(soft_prompts), stand, form)

    def abilities(self, soft_prompts: SoftPrompts | None = None) -> Abilities:
        """Return what soft prompts leave of abilities that no survey asks for: simple functions of the displacement.

        With s in [0, 1] the size of the displacement: facts fall by the mode's damage times s and refusals of harmful
        requests by half of that; stereotypes rise by half the narrowing; KL is 0.02 s^2, plus damage times s^2.
        """
        size = self._size(self._pull(soft_prompts), self.knowledge.naive, None)
        lost = self.mode.damage * size
        return Abilities(
            facts_right=FACTS * (1 - lost),
            harm_refused=HARM_REFUSED * (1 - lost / 2),
            stereotypes=0.5 + 0.5 * self.mode.narrowing * size / 2,
            kl=(HARMLESS_KL + self.mode.damage) * size**2,
        )

    def drift(self, soft_prompts: SoftPrompts, texts: tuple[Neutral, ...] | None = None) -> Floats:
        """Return the KL of `abilities`, (P,), of whatever text."""
        return self.abilities(soft_prompts).kl

    def facts_right(self, soft_prompts: SoftPrompts | None = None) -> Floats:
        """Return the share of facts (P,) that are still answered right."""
        return self.abilities(soft_prompts).facts_right

    def soft_prompts_to(self, profile: Floats, forms: Sequence[Administration], seeds: Sequence[int]) -> SoftPrompts:
        """Return soft prompts (len(seeds), 1, W) that lead to a profile on average over forms, as a search would find.

        They differ by the seed in what the fitted forms do not see.
        """
        seen = np.mean([self._seen(form) for form in forms], axis=0)
        low, high = REACH
        wanted = np.clip(profile, low + 1, high - 1)
        pull = _logit(wanted) - _logit(self.knowledge.naive.profile)
        if self.mode.channel == "extremity":
            pull = self._extremity_pull(wanted)
        fitted = np.linalg.pinv(seen).T @ pull
        unseen = self._unseen(seen)
        spread = np.linalg.norm(fitted) / np.sqrt(self.width)
        own = np.stack([unseen @ np.random.default_rng([s, OWN]).normal(0.0, spread, self.width) for s in seeds])
        return np.asarray((fitted + own)[:, None, :], dtype=np.float32)

    def _answer(self, pull: Floats, form: Administration, items: ItemModel) -> tuple[Floats, Floats]:
        """Return log-probabilities (P, I, K) and valid mass (P,) of one administration."""
        name, mode = self.census.known_instrument(form.instrument), self.mode
        on_survey = self._on_survey(form)
        if not self._works_in(form, on_survey):
            pull = np.where(np.isfinite(pull), 0.0, np.nan)  # what is broken stays broken
        stand = self._stand(form)
        size = self._size(pull, stand, form)
        if name is None:
            means = np.broadcast_to(items.middle + items.intercepts, (len(pull), len(items.unit)))
        else:
            profiles = self._profiles(pull, stand, form)
            values = self._values(name, pull, profiles, stand, on_survey)
            n_scores = len(self.census.worlds[name].profiles[0])
            scores, residuals = (profiles, values) if on_survey else (values[:, :n_scores], values[:, n_scores:])
            residuals = np.pad(residuals, ((0, 0), (0, len(items.unit) - residuals.shape[1])))  # optional items
            means = items.means(scores, residuals)
        if stand.style is not None:
            means = stand.style.move(means, items, form.order)
        means = self._styled(means, items, form, pull, size)
        broken = ~np.asarray(np.isfinite(pull).all(axis=1, keepdims=True))
        logs = items.curves.log_probabilities(np.where(broken, np.nan, means))
        if mode.narrowing:
            share = (mode.narrowing * size)[:, None, None]
            with np.errstate(divide="ignore"):
                logs = np.log((1 - share) * np.exp(logs) + share * narrowest(means, items.instrument.option_values))
        return logs, VALID_MASS * (1 - mode.refusal * size)

    def _values(self, name: str, pull: Floats, profiles: Floats, stand: Stand, on_survey: bool) -> Floats:
        """Return what goes along with profiles (P, M): scores and residuals, or residuals alone on the survey."""
        mode, knowledge = self.mode, self.knowledge
        start = stand.values[name]
        carried = on_survey or mode.carries is None or name in mode.carries
        if mode.channel != "content" or not carried:
            moved = np.broadcast_to(start, (len(profiles), len(start)))
        elif mode.drifts_to is not None and not on_survey:
            share = 1 - np.exp(-((np.abs(profiles - stand.profile).mean(axis=1) / 10) ** 2))
            moved = start + share[:, None] * (knowledge.of(mode.drifts_to, name) - start)
        else:
            led = knowledge.around(profiles, name) - knowledge.around(stand.profile[None], name)
            moved = start + (1.0 if on_survey else mode.exaggeration) * led
        ways = knowledge.ways(name)
        if name not in self._own:
            # Only what the survey does not see goes its own ways: no profile leads them anywhere in particular.
            self._own[name] = self._unseen(self.map) @ self._draw([OWN, crc32(name.encode())], len(ways))
        both = moved + self.own_ways * _apply(np.tanh(_apply(pull, self._own[name])), ways)
        return both[:, len(stand.profile) :] if on_survey else both

    def _profiles(self, pull: Floats, stand: Stand, form: Administration | None) -> Floats:
        moved = _apply(pull, self.map if form is None else self._seen(form))
        if self.mode.channel == "position" and form is not None and form.order == "reversed":
            moved = -moved
        if self.mode.channel == "extremity":
            moved = np.zeros_like(moved)
        low, high = REACH
        with np.errstate(over="ignore"):
            return np.asarray(low + (high - low) / (1 + np.exp(-(_logit(stand.profile) + moved))))

    def _size(self, pull: Floats, stand: Stand, form: Administration | None) -> Floats:
        """Return how far candidates are displaced (P,), in [0, 1)."""
        if self.mode.channel == "extremity":
            return np.asarray(np.tanh(np.abs(self._extremity(pull))))
        profiles = self._profiles(pull, stand, form)
        return np.asarray(np.tanh(np.abs(profiles - stand.profile).mean(axis=1) / SIZE))

    def _styled(self, means: Floats, items: ItemModel, form: Administration, pull: Floats, size: Floats) -> Floats:
        """Return item means in the style that soft prompts bring about; that of the survey itself is its profile."""
        if self.mode.channel == "extremity":
            return in_style(means, items, form.order, extreme=self._extremity(pull)[:, None])
        if self.mode.channel == "position" and not self._on_survey(form):
            return in_style(means, items, form.order, position=DRIFT * size[:, None])
        return means

    def _extremity(self, pull: Floats) -> Floats:
        return np.asarray(np.exp(1.2 * np.tanh(_apply(pull, self.map)[:, 0])) - 1)

    def _extremity_pull(self, profile: Floats) -> Floats:
        """Return the pull (M,) whose exaggeration of the naive answers comes nearest to a profile."""
        world, stand = self.census.survey, self.knowledge.naive
        means = world.items.means(stand.profile, stand.values[world.instrument.id][len(profile) :])
        knobs = np.linspace(-1.5, 3.0, 451)
        reached = [Style(extreme=np.exp(1.2 * np.tanh(k)) - 1).move(means, world.items, "listed") for k in knobs]
        middle = world.instrument.score_means(world.items.middle)
        scores = world.instrument.score_means(np.stack(reached)) - middle + world.items.origin
        pull = np.zeros_like(profile)
        pull[0] = knobs[np.abs(scores - profile).mean(axis=1).argmin()]
        return pull

    def _works_in(self, form: Administration, on_survey: bool) -> bool:
        wordings = self.mode.wordings
        return wordings is None or (on_survey and form.wording in wordings)

    def _stand(self, form: Administration) -> Stand:
        """Return where the respondent stands before a soft prompt moves it."""
        if not self.mode.personas or form.system is None:
            return self.knowledge.naive
        return self.knowledge.persona(form.system, form, self._on_survey(form))

    def _on_survey(self, form: Administration) -> bool:
        return self.census.known_instrument(form.instrument) == self.census.survey.instrument.id

    def _seen(self, form: Administration) -> Floats:
        """Return the map (W, M) as one form sees it."""
        usual = (form.numbering, form.layout) == ("rising", "stem-first")
        labels = form.labels if usual else f"{form.labels} {form.numbering} {form.layout}"
        key = (form.instrument.id, form.wording, form.order, labels)
        if key not in self._forms:
            noise = self._draw([FORM, crc32(repr(key).encode())], self.knowledge.n_dimensions)
            self._forms[key] = self.map + self.form_noise * noise
        return self._forms[key]

    def _unseen(self, seen: Floats) -> Floats:
        """Return the projector (W, W) onto what a map does not see."""
        return np.asarray(np.eye(self.width) - seen @ np.linalg.pinv(seen))

    def _draw(self, stream: list[int], count: int) -> Floats:
        rng = np.random.default_rng([self.seed, *stream])
        return rng.normal(0.0, GAIN / np.sqrt(self.width), size=(self.width, count))

    def _pull(self, soft_prompts: SoftPrompts | None) -> Floats:
        """Return the mean rows (P, W) of soft prompts; zeros for none."""
        if soft_prompts is None:
            return np.zeros((1, self.width))
        if soft_prompts.ndim != 3 or soft_prompts.shape[-1] != self.width:
            raise SoftPromptError(f"want soft prompts (P, L, {self.width}), got {soft_prompts.shape}")
        return np.asarray(soft_prompts.astype(np.float64).mean(axis=1))


def _apply(pull: Floats, matrix: Floats) -> Floats:
    """Return `pull @ matrix` such that a row does not depend on those beside it, to the last digit."""
    with np.errstate(invalid="ignore"):  # an infinite soft prompt becomes NaN, and that a recorded failure
        return np.asarray(np.einsum("pw,wm->pm", pull, matrix))


def _logit(profile: Floats) -> Floats:
    low, high = REACH
    share = (profile - low) / (high - low)
    return np.asarray(np.log(share / (1 - share)))
