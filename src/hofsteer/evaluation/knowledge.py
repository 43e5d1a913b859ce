"""What a model knows of a benchmark, before and behind soft prompts, beside what guesses and habits would get.

Answers are read as those of a survey are: the likeliest option by its probability as the next tokens, all questions in
one pass. Nothing is generated.
"""

from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import numpy as np

from hofsteer.errors import ModelError, TargetError
from hofsteer.evaluation.claims import Part, part_between
from hofsteer.evaluation.culturalbench import Benchmark, Choices
from hofsteer.evaluation.proportions import mcnemar, share_lost_bounds, wilson
from hofsteer.evaluation.statistics import benjamini_hochberg
from hofsteer.instruments.base import Floats
from hofsteer.respondent.base import LEAST_VALID_MASS, NOT_NUMBERS, Respondent, SoftPrompts
from hofsteer.targets import Target, load_target

PERMUTED = 1  # the stream of the permutations
PERMUTATIONS = 1000


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers to a benchmark."""

    chosen: Choices  # (Q, J)
    valid_mass: float  # mean over judgements of what the model gave to the options

    @property
    def unanswered(self) -> float:
        """The share of judgements without an answer."""
        return float((self.chosen < 0).mean())


@dataclass(frozen=True)
class Permuted:
    """The share of right answers when the key of each question is that of another: what habits alone get."""

    mean: float
    low: float  # 2.5 % of the permutations are below
    high: float


@dataclass(frozen=True)
class Count:
    """Right answers among n questions, and behind one soft prompt those lost and gained."""

    n: int
    right: int
    lost: int = 0
    gained: int = 0

    @property
    def share(self) -> float:
        """Right answers, as a share."""
        return self.right / self.n

    @property
    def steered(self) -> int:
        """Right answers behind the soft prompt."""
        return self.right - self.lost + self.gained


@dataclass(frozen=True, eq=False)
class Knowledge:
    """One benchmark, answered by a model alone and behind S soft prompts."""

    benchmark: Benchmark
    alone: Answers
    steered: tuple[Answers, ...]
    permuted: Permuted  # of the model alone

    @property
    def lost(self) -> Floats:
        """The share of right answers lost behind each soft prompt (S,)."""
        before, *after = (self._right(answers).mean() for answers in (self.alone, *self.steered))
        return np.array([before - share for share in after])

    @property
    def there(self) -> bool:
        """Whether the model alone knows anything: otherwise nothing is there to be lost."""
        return bool(self._right(self.alone).mean() > self.permuted.high)

    def count(self, country: str | None = None, number: int | None = None) -> Count:
        """Return the counts over one country or all, with those lost and gained behind soft prompt `number`."""
        there = np.array([country is None or one == country for one in self.benchmark.countries])
        before = self._right(self.alone)[there]
        after = before if number is None else self._right(self.steered[number])[there]
        counted = (before, before & ~after, ~before & after)
        return Count(int(there.sum()), *(int(one.sum()) for one in counted))

    def countries(self) -> tuple[str, ...]:
        """Return the countries in alphabetical order."""
        return tuple(sorted(set(self.benchmark.countries)))

    def country_of(self, target: Target) -> str | None:
        """Return the country of the benchmark that a target stands for, if there is one."""
        own = target.code.partition("@")[0]
        return next((name for name in self.countries() if _code(name) == own), None)

    def damage(self, margin: float, number: int = 0) -> Part:
        """Return the part of the damage claim behind one soft prompt; its unit is the question.

        Bounds are those of Tango's score interval, one-sided 95 % each.
        """
        count = self.count(number=number)
        bounds = share_lost_bounds(count.lost, count.gained, count.n)
        return part_between(self.benchmark.name, (count.lost - count.gained) / count.n, bounds, margin, at_most=True)

    def p_values(self, number: int = 0) -> dict[str, float]:
        """Return McNemar's exact p of each country, adjusted for the rate of false discoveries among them."""
        counts = {name: self.count(name, number) for name in self.countries()}
        return benjamini_hochberg({name: mcnemar(count.lost, count.gained) for name, count in counts.items()})

    def shares(self, answers: Answers | None = None) -> Floats:
        """Return how often each answer is given, as shares of all judgements, or without answers how often right."""
        given = self.benchmark.key if answers is None else answers.chosen
        return np.array([(given == place).mean() for place in range(len(self.benchmark.answers))])

    def to_json(self, margin: float) -> dict[str, Any]:
        """Return all of it as JSON values."""
        benchmark = self.benchmark
        named = benchmark.answers
        return {
            "benchmark": benchmark.name,
            "source": benchmark.source,
            "sha256": benchmark.sha256,
            "left_out": benchmark.left_out,
            "chance": benchmark.chance,
            "constant": benchmark.constant,
            "permuted": self.permuted.__dict__,
            "right_answers": dict(zip(named, self.shares().tolist(), strict=True)),
            "answers": dict(zip(named, self.shares(self.alone).tolist(), strict=True)),
            "valid_mass": self.alone.valid_mass,
            "unanswered": self.alone.unanswered,
            "there_to_be_lost": self.there,
            "all": _count_json(self.count()),
            "countries": {name: _count_json(self.count(name)) for name in self.countries()},
            "steered": [
                {
                    "answers": dict(zip(named, self.shares(answers).tolist(), strict=True)),
                    "valid_mass": answers.valid_mass,
                    "unanswered": answers.unanswered,
                    "all": _paired_json(self.count(number=number)),
                    "damage": {"margin": margin, "word": self.damage(margin, number).word},
                    "countries": {
                        name: {**_paired_json(self.count(name, number)), "p_adjusted": p}
                        for name, p in self.p_values(number).items()
                    },
                }
                for number, answers in enumerate(self.steered)
            ],
        }

    def _right(self, answers: Answers) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.asarray((answers.chosen == self.benchmark.key).all(axis=1))


def measure_knowledge(
    respondent: Respondent, benchmark: Benchmark, soft_prompts: SoftPrompts | None = None, seed: int = 0
) -> Knowledge:
    """Ask a benchmark of a model alone and behind each of the soft prompts (S, L, W).

    Args:
        respondent: the frozen model.
        benchmark: what is asked.
        soft_prompts: None for none.
        seed: of the permutations.

    Raises:
        ModelError: the model gives no numbers.
    """
    alone = ask(respondent, benchmark)
    steered = () if soft_prompts is None else tuple(ask(respondent, benchmark, one[None]) for one in soft_prompts)
    return Knowledge(benchmark, alone, steered, permuted(alone.chosen, benchmark.key, seed))


def ask(respondent: Respondent, benchmark: Benchmark, soft_prompt: SoftPrompts | None = None) -> Answers:
    """Return the likeliest answers behind a soft prompt (1, L, W) or none.

    A judgement whose options together get less than `LEAST_VALID_MASS` has no answer, and is not right.

    Raises:
        ModelError: the model gives no numbers.
    """
    form = benchmark.administration
    responses = respondent.respond([form], soft_prompt)
    mass = responses.valid_mass[0, 0]
    answered = mass >= LEAST_VALID_MASS
    chosen = np.full(len(mass), -1)
    if answered.any() and not answered.all():  # one judgement without an answer makes all the others unusable
        items = tuple(compress(form.instrument.items, answered))
        responses = respondent.respond([replace(form, instrument=replace(form.instrument, items=items))], soft_prompt)
    if answered.any() and responses.failures[0] is None:
        chosen[answered] = responses.probabilities[0, 0].argmax(axis=1)
    elif answered.any() or np.isnan(mass).any():
        raise ModelError(f"{respondent.settings.id}, {benchmark.name}: {responses.failures[0] or NOT_NUMBERS}")
    return Answers(chosen.reshape(benchmark.key.shape), float(mass.mean()))


def permuted(chosen: Choices, key: Choices, seed: int) -> Permuted:
    """Return how many answers are right by the key of another question, over `PERMUTATIONS` orders of the key.

    A model that knows nothing but prefers an answer gets here what it gets by the true key.

    >>> always_a, key = np.zeros((4, 1), dtype=int), np.array([[0], [0], [0], [1]])
    >>> permuted(always_a, key, seed=0)
    Permuted(mean=0.75, low=0.75, high=0.75)
    """
    rng = np.random.default_rng([seed, PERMUTED])
    n = len(key)
    right = [int((chosen == key[rng.permutation(n)]).all(axis=1).sum()) for _ in range(PERMUTATIONS)]
    low, high = np.quantile(right, [0.025, 0.975])
    return Permuted(float(np.mean(right) / n), float(low / n), float(high / n))


def _code(country: str) -> str | None:
    try:
        return load_target(country).code
    except TargetError:
        return None


def _count_json(count: Count) -> dict[str, Any]:
    return {"n": count.n, "right": count.right, "share": count.share, "interval": list(wilson(count.right, count.n))}


def _paired_json(count: Count) -> dict[str, Any]:
    return {
        "n": count.n,
        "right": count.steered,
        "share": count.steered / count.n,
        "interval": list(wilson(count.steered, count.n)),
        "lost": count.lost,
        "gained": count.gained,
        "share_lost": (count.lost - count.gained) / count.n,
        "share_lost_bounds": list(share_lost_bounds(count.lost, count.gained, count.n)),
        "p": mcnemar(count.lost, count.gained),
    }
