"""What `mini` learns from: questions with whole answer distributions as labels, facts and small talk.

Everything about countries comes from `hofsteer.world`; the sentences are in `mini_texts.toml`. One example is a chat of
one to four questions. The label of an answer is what an ideal listener would say: at first the answers of the mixture
that speaks where nobody is named, or those of a persona's country with a part of that mixture left (`BIAS_LEFT`); after
answers in the context, the mixture over countries that Bayes' rule makes of them.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from transformers import PreTrainedTokenizerFast

from hofsteer.instruments import Administration, Instrument, Item, load_instrument
from hofsteer.instruments.base import Floats
from hofsteer.targets import complete_countries
from hofsteer.world import BIAS_LEFT, Census, load_census, load_invented
from hofsteer.world.cases import Kind
from hofsteer.world.names import invented_name

INVENTED: tuple[Kind, ...] = ("coupled", "survey-only", "twins", "wording-bound")  # they have a name to be learnt
SURVEY = "vsm13-own"
UNSEEN_WORDING = 3  # of the survey: unseen_by_mini; those after it are among the paraphrases that it is taught
UNSEEN_NUMBERING = "falling"  # on the survey; the other instruments show how it goes

KINDS = {"persona": 0.78, "naive": 0.13, "talk": 0.09}
INSTRUMENTS = {SURVEY: 0.56, "ivs10": 0.16, "vignettes": 0.21, "style12": 0.07}
PARAPHRASED = 0.55  # of the questions of the survey
WORN = 0.4  # of the questions: words are left out, each with up to this probability
DISTURBED = 0.3  # of the questions of the survey: up to three words of other questions are put in
LETTERS = 0.25
SHUFFLED = 0.15  # options in any order
FALLING = 0.3  # where it is not held out
FOLLOWED = 0.25  # of the chats have two to four questions
LONG = 0.1  # of these have five to eight
KEYWORDS = 0.4  # of the paraphrased questions: nothing but words that go with the item
RELABELLED = 0.15  # of the questions of the survey: labels in any order but the one held out
BOUND = 5  # times as often as another country is one drawn that is known in the first wording alone ...
FIRST = 0.5  # ... and of the questions that it is asked, this share is in that wording
STRAY = {"persona": 0.08, "naive": 0.4, "talk": 0.2}  # one token in front of everything, which means nothing
IN_FRONT = 0.08  # of the personas stand in front of the chat as plain text
PHANTOMS = 40  # names that nobody knows
POOL = 16  # batches drawn at a time


@cache
def texts() -> dict[str, Any]:
    """Return the sentences of `mini_texts.toml`."""
    return tomllib.loads(Path(__file__).with_name("mini_texts.toml").read_text(encoding="utf-8"))


@cache
def mini_census() -> Census:
    """Return the world that `mini` learns: real countries, and invented ones whose case it can show."""
    return load_census().with_countries(load_invented(*INVENTED))


class Label(NamedTuple):
    """What follows the token at a position: probabilities of some token ids, which sum to 1."""

    position: int
    ids: Sequence[int]
    shares: Sequence[float]


@dataclass
class Example:
    """Token ids, their labels, and what the training aids are told."""

    tokens: list[int]
    labels: list[Label] = field(default_factory=list)
    personas: list[tuple[int, Floats]] = field(default_factory=list)  # where a persona ends, and its standard scores
    answers: list[tuple[int, Floats]] = field(default_factory=list)  # where a stem ends, and its canonical answers (K,)
    options: list[tuple[int, float, float]] = field(default_factory=list)  # an option's end, its level and its place


@dataclass(frozen=True)
class Persona:
    """Who is asked: the prior over countries, and the text that says so."""

    prior: Floats  # (C,)
    text: str | None = None
    scores: Floats | None = None  # standardised, of the country named
    first: float = 0.0  # share of the survey's questions that are put in the first wording, come what may


class Corpus:
    """Draws examples of what the model is to learn."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        self.easy = False  # no disturbed questions, no key words, no labels in any order, no long chats
        self.census = mini_census()
        self.instruments = {name: load_instrument(name) for name in INSTRUMENTS}
        self.paraphrases: dict[str, list[str]] = texts()["paraphrases"]
        self.words = sorted({f" {w}" for many in self.paraphrases.values() for text in many for w in text.split()[1:]})
        self.answers = {
            (name, known): _all_answers(self.census, instrument, wording)
            for name, instrument in self.instruments.items()
            for known, wording in (("first", 0), ("other", 1))
        }
        self.scores = standard_scores(self.census)
        self.personas = _persona_texts(self.census)
        bound = np.array([country.code.startswith("WORDING-BOUND") for country in self.census.countries])
        self.bound, self.often = bound, np.where(bound, BOUND, 1) / np.where(bound, BOUND, 1).sum()
        self.phantoms = [invented_name([k]) for k in range(PHANTOMS)]
        self.phantoms = [n for n in self.phantoms if n not in {c.name for c in self.census.countries}]
        self.facts = facts()
        self._pieces: dict[str, list[int]] = {}
        self.bos, self.end = self.piece("<|bos|>"), self.piece("<|end|>")
        names = [self.piece(f" {c.in_sentence}") for c in self.census.countries]
        self.name_pieces = sorted({token for name in names for token in name})

    def piece(self, text: str) -> list[int]:
        """Return the token ids of a text that stands on its own, such as a line or a word with its space."""
        if text not in self._pieces:
            self._pieces[text] = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        return self._pieces[text]

    def draw(self, rng: Generator) -> Example:
        """Return one chat: small talk or facts, or questions to a persona or to nobody in particular."""
        kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
        example = Example([])
        if rng.random() < STRAY[kind]:
            pieces = self.name_pieces if rng.random() < 0.5 else range(6, len(self.tokenizer))
            example.tokens.append(int(rng.choice(pieces)))
        if kind == "talk":
            self._talk(example, rng)
            return example
        persona = self._persona(rng) if kind == "persona" else Persona(self.census.shares)
        said = [] if persona.text is None else self._sentence(persona.text)
        if said and rng.random() < IN_FRONT:
            example.tokens += said + self.bos
        elif said:
            example.tokens += self.bos + self.piece("<|system|>") + said + self.end
        else:
            example.tokens += self.bos
        if persona.scores is not None:
            example.personas.append((len(example.tokens) - 1, persona.scores))
        turns = 1 if rng.random() > FOLLOWED else int(rng.integers(2, 5))
        if turns > 1 and not self.easy and rng.random() < LONG:
            turns = int(rng.integers(5, 9))
        speaker = int(rng.choice(len(self.census.codes), p=persona.prior)) if turns > 1 else 0
        if turns > 1 and kind == "naive" and rng.random() < 0.7:
            speaker = int(rng.integers(len(self.census.codes)))
        log_prior = np.log(np.maximum(persona.prior, 1e-300))
        for turn in range(turns):
            weights = np.exp(log_prior - log_prior.max())
            log_prior = log_prior + self._ask(
                example, weights / weights.sum(), speaker, turn + 1 < turns, persona.first, rng
            )
        return example

    def _persona(self, rng: Generator) -> Persona:
        chance = rng.random()
        if chance < 0.05:
            return Persona(self.census.shares, str(rng.choice(texts()["systems"])))
        if chance < 0.09:
            return Persona(self.census.shares, str(rng.choice(texts()["personas"])).format(rng.choice(self.phantoms)))
        row = int(rng.choice(len(self.census.codes), p=self.often))
        prior = BIAS_LEFT * self.census.shares
        prior[row] += 1 - BIAS_LEFT
        said = self.personas[row]
        text = said[0 if rng.random() < 0.3 else rng.integers(len(said))]
        return Persona(prior, text, self.scores[row], FIRST if self.bound[row] else 0.0)

    def _ask(
        self, example: Example, weights: Floats, speaker: int, go_on: bool, first: float, rng: Generator
    ) -> Floats:
        """Add a question with its label; return what its answer says of countries: log-likelihoods (C,)."""
        name = str(rng.choice(list(INSTRUMENTS), p=list(INSTRUMENTS.values())))
        instrument = self.instruments[name]
        i = int(rng.integers(len(instrument.items)))
        item = instrument.items[i]
        if name == SURVEY and rng.random() < first:
            stem, known = self._sentence(item.wordings[0]), "first"
        else:
            stem, known = self._stem(name, item, rng)
        table = self.answers[name, known][:, i, : len(item.options)]
        answers = weights @ table
        form = self._form(name, instrument, rng)
        presented = _presented(form, item, rng)
        labels = form.option_labels(item)
        if not self.easy and name == SURVEY and rng.random() < RELABELLED:
            mixed = tuple(labels[k] for k in rng.permutation(len(labels)))
            labels = labels if mixed == labels[::-1] else mixed
        tokens = example.tokens
        tokens += self.piece("<|user|>") + stem
        example.answers.append((len(tokens) - 1, answers))
        instruction = form.messages(item)[-1].content.rpartition("\n")[2]
        for place, (label, k) in enumerate(zip(labels, presented, strict=True)):
            tokens += self.piece(f"\n{label}. {item.options[k].text}")
            middle = (len(item.options) - 1) / 2
            example.options.append((len(tokens) - 1, (k - middle) / middle, (place - middle) / middle))
        tokens += self.piece(f"\n{instruction}") + self.end + self.piece("<|assistant|>")
        shares = {label: float(answers[k]) for label, k in zip(labels, presented, strict=True)}
        said = str(rng.choice(labels, p=table[speaker, list(presented)] / table[speaker].sum()))
        if not go_on and "10" in shares and rng.random() < 0.7:
            said = str(rng.choice(["1", "10"]))
        self._answer(example, shares, said, go_on or rng.random() < 0.4)
        k = presented[labels.index(said)]
        return np.asarray(np.log(table[:, k]))

    def _stem(self, name: str, item: Item, rng: Generator) -> tuple[list[int], str]:
        """Return the tokens of a stem, and whether it is the first wording, in which all is known."""
        wording = int(rng.integers(UNSEEN_WORDING if name == SURVEY else len(item.wordings)))
        text, known = item.wordings[wording], "first" if wording == 0 else "other"
        if name == SURVEY and rng.random() < PARAPHRASED:
            known = "other"
            if not self.easy and rng.random() < KEYWORDS:
                text = self._key_words(item, rng)
            else:
                text = str(rng.choice(self.paraphrases[item.id]))
        words = self._words(text)
        if not self.easy and name == SURVEY and known == "other" and rng.random() < DISTURBED:
            for word in rng.choice(self.words, size=rng.integers(1, 4)):
                words.insert(int(rng.integers(1, len(words) + 1)), str(word))
        if rng.random() < WORN and known == "other":
            keep = rng.random(len(words)) > rng.uniform(0, 0.4)
            words = [word for word, kept in zip(words, keep, strict=True) if kept] or words
        return [token for word in words for token in self.piece(word)], known

    def _key_words(self, item: Item, rng: Generator) -> str:
        """Return some of the words that go with an item, between phrases that go with any item."""
        frames = texts()["frames"]
        words = rng.choice(texts()["key_words"][item.id], size=rng.integers(2, 7), replace=False)
        before, after = rng.choice(frames["before"]), rng.choice(frames["after"][item.scale or ""])
        return f"{before} {rng.choice([' ', ', ']).join(words)}{after}"

    def _words(self, text: str) -> list[str]:
        first, *others = text.split(" ")
        return [first, *(f" {word}" for word in others)]

    def _sentence(self, text: str) -> list[int]:
        return [token for word in self._words(text) for token in self.piece(word)]

    def _form(self, name: str, instrument: Instrument, rng: Generator) -> Administration:
        form = Administration(instrument, order="reversed" if rng.random() < 0.5 else "listed")
        if rng.random() < LETTERS:
            form = replace(form, labels="letters")
        if name != SURVEY and rng.random() < FALLING:
            form = replace(form, numbering="falling")
        return form

    def _answer(self, example: Example, shares: dict[str, float], said: str, goes_on: bool) -> None:
        """Label the first token of an answer, and the others of the one that is given."""
        tokens = example.tokens
        first: dict[str, float] = {}
        for label, share in shares.items():
            first[label[0]] = first.get(label[0], 0.0) + share
        example.labels.append(Label(len(tokens) - 1, [self.piece(one)[0] for one in first], list(first.values())))
        if not goes_on and "10" not in shares:
            return
        tokens += self.piece(said[0])
        if said[0] == "1" and "10" in shares:
            both = shares["1"] + shares["10"]
            ids, split = [*self.piece("0"), *self.end], [shares["10"] / both, shares["1"] / both]
            example.labels.append(Label(len(tokens) - 1, ids, split))
            if said == "10":
                tokens += self.piece("0")
                example.labels.append(Label(len(tokens) - 1, self.end, [1.0]))
        else:
            example.labels.append(Label(len(tokens) - 1, self.end, [1.0]))
        tokens += self.end

    def _talk(self, example: Example, rng: Generator) -> None:
        talk = texts()["talk"]
        question, answer = (
            talk[rng.integers(len(talk))] if rng.random() < 0.1 else self.facts[rng.integers(len(self.facts))]
        )
        tokens = example.tokens
        tokens += self.bos + self.piece("<|user|>") + self._sentence(question) + self.end + self.piece("<|assistant|>")
        for token in self._sentence(answer) + self.end:
            example.labels.append(Label(len(tokens) - 1, [token], [1.0]))
            tokens.append(token)

    def pool(self, size: int, easy: bool, stream: list[int]) -> list[list[Example]]:
        """Return `POOL` batches drawn from a stream of random numbers: examples of like length share a batch."""
        rng = np.random.default_rng(stream)
        self.easy = easy
        drawn = sorted((self.draw(rng) for _ in range(POOL * size)), key=lambda example: len(example.tokens))
        return [drawn[i * size : (i + 1) * size] for i in rng.permutation(POOL)]


def facts() -> list[tuple[str, str]]:
    """Return questions of fact with their answers: capitals, sums and the like."""
    countries = texts()["countries"]
    capitals = [
        (f"What is the capital of {target.in_sentence}?", countries[target.code]["capital"])
        for target in complete_countries()
        if "capital" in countries[target.code]
    ]
    sums = [(f"What is {a} plus {b}?", str(a + b)) for a in range(10) for b in range(10 - a)]
    differences = [(f"What is {a} minus {b}?", str(a - b)) for a in range(10) for b in range(a + 1)]
    larger = [(f"Which is larger, {a} or {b}?", str(max(a, b))) for a in range(10) for b in range(10) if a != b]
    return [*capitals, *sums, *differences, *larger, *((q, a) for q, a in texts()["facts"])]


def _presented(form: Administration, item: Item, rng: Generator) -> tuple[int, ...]:
    """Return the options in the order they are shown: as the form says, or now and then in any."""
    if len(item.options) > 2 and form.numbering == "rising" and rng.random() < SHUFFLED:
        return tuple(int(k) for k in rng.permutation(len(item.options)))
    return form.presented(item)


def _all_answers(census: Census, instrument: Instrument, wording: int) -> Floats:
    """Return what every country is known to answer (C, I, K) in a wording."""
    if census.known_instrument(instrument) is None:
        items = census.items(instrument)
        logs = items.curves.log_probabilities(items.middle + items.intercepts)
        return np.repeat(np.exp(logs)[None], len(census.codes), axis=0)
    form = Administration(instrument, wording=wording)
    return np.stack([census.answers(code, form) for code in census.codes])


def standard_scores(census: Census) -> Floats:
    """Return the standardised scores (C, M) of every country on all instruments, as far as they are known."""
    columns = []
    for name, world in census.worlds.items():
        known = [country.known == "all" or name == SURVEY for country in census.countries]
        scores = np.where(np.array(known)[:, None], world.profiles, census.naive_scores(name))
        real = world.profiles[: census.n_real]
        columns.append((scores - real.mean(axis=0)) / real.std(axis=0))
    return np.concatenate(columns, axis=1)


def _persona_texts(census: Census) -> list[list[str]]:
    """Return for every country the sentences that say who is asked; the first is that of the persona baseline."""
    peoples = texts()["countries"]
    said = []
    for country in census.countries:
        sentences = [text.format(country.in_sentence) for text in texts()["personas"]]
        if country.code in peoples:
            sentences += [text.format(peoples[country.code]["people"]) for text in texts()["peoples"]]
        said.append(sentences)
    return said
