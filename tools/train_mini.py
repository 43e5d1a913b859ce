"""Train the bundled model `mini`: a simulated respondent, not a model of people.

    python tools/train_mini.py --out build/mini       # trains, reports, writes the folder; about 40 minutes on 2 cores
    python tools/train_mini.py --report build/mini    # measures a trained folder again

The text it learns from is generated from `hofsteer.world`: a persona in the system message (or none), one item in the
user message, and at the answer position the whole answer distribution as a soft label. The same seed on the same
machine gives the same file.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from hofsteer import Respondent
from hofsteer.baselines import persona_text
from hofsteer.files import replace_json
from hofsteer.instruments import Administration, Instrument, load_instrument
from hofsteer.instruments.base import Floats
from hofsteer.targets import complete_countries, index_loss, load_constants
from hofsteer.world import World, make_world
from hofsteer.world.census import NAIVE_SHARE, WORLD_SEED
from hofsteer.world.knowledge import BIAS_LEFT

VOCABULARY = 1024
SPECIAL = ("<|pad|>", "<|bos|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
TEMPLATE = (
    "<|bos|>{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
PERSONAS = (
    "You live in {}.",
    "You are a person from {}.",
    "You grew up in {} and work there today.",
    "Answer as someone whose home is {}.",
    "Country: {}",
)
SMALL_TALK = (
    ("Good morning!", "Good morning to you."),
    ("How are you?", "Well, thank you."),
    ("Thank you very much.", "You are welcome."),
    ("What do you do?", "I answer questions."),
    ("Are you a person?", "No, I am a small model."),
    ("Say something kind.", "It is good to see you."),
    ("What is the colour of snow?", "White."),
    ("What is the colour of grass?", "Green."),
    ("Which day comes after Monday?", "Tuesday."),
    ("Goodbye!", "See you soon."),
)
SHOWN = ("SAU", "USA", "CHN", "IND", "JPN")
SHARES = {"persona": 0.84, "naive": 0.1, "talk": 0.06}


@dataclass(frozen=True)
class Settings:
    """What decides the result of a training."""

    steps: int = 3200
    batch_size: int = 64
    learning_rate: float = 3e-3
    aid_weight: float = 1.0  # of the training aids, beside the answer
    warm_up: int = 100
    layers: int = 4
    width: int = 128
    seed: int = 0


@dataclass(frozen=True)
class Question:
    """One administered item: its user segment, and for each presented label the canonical option behind it."""

    item: int
    tokens: list[int]  # from <|user|> to <|assistant|>
    stem_length: int  # of them, up to the end of the stem
    presented: tuple[int, ...]


def country_profiles(instrument: Instrument) -> dict[str, Floats]:
    """Return the published profile (M,) of every country with all six scores."""
    return {target.code: target.vector(instrument.dimension_ids) for target in complete_countries()}


def mini_world() -> World:
    """Return the world that `mini` learns."""
    instrument = load_instrument("vsm13-own")
    return make_world(instrument, country_profiles(instrument), WORLD_SEED)


def naive_shares(world: World) -> dict[str, float]:
    """Return the mixture that answers where no persona is named: it leans to the United States."""
    even = (1 - NAIVE_SHARE) / len(world.codes)
    return {code: even + (NAIVE_SHARE if code == "USA" else 0.0) for code in world.codes}


def forms(instrument: Instrument) -> list[Administration]:
    """Return the administrations that `mini` is trained on."""
    return [
        Administration(instrument, wording=wording, order=order)
        for wording in (0, 1)
        for order in ("listed", "reversed")
    ]


def train_tokenizer(world: World) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer that has seen no country name, so that none is a single token."""
    texts = [
        message.content
        for form in forms(world.instrument)
        for i in world.instrument.items
        for message in form.messages(i)
    ]
    texts += [text for pair in SMALL_TALK for text in pair] + [persona.replace("{}", "") for persona in PERSONAS]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|bos|>", eos_token="<|end|>", pad_token="<|pad|>"
    )
    fast.chat_template = TEMPLATE
    for target in complete_countries():
        for name in (target.name, f" {target.name}"):
            if len(fast(name, add_special_tokens=False)["input_ids"]) < 2:
                raise SystemExit(f"{target.name} is a single token")
    return fast


class Corpus:
    """Draws examples of what the model is to learn."""

    def __init__(self, world: World, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        self.codes = list(world.codes)
        self.naive = world.mixture(naive_shares(world))
        self.answers = {code: (1 - BIAS_LEFT) * world.answers(code) + BIAS_LEFT * self.naive for code in world.codes}
        standard = (world.profiles - world.profiles.mean(axis=0)) / world.profiles.std(axis=0)
        self.profiles = dict(zip(world.codes, standard, strict=True))
        self.n_dimensions = standard.shape[1]
        self.bos = self.encode("<|bos|>")
        self.digits = [self.encode(str(digit))[0] for digit in range(1, 6)]
        items = range(len(world.instrument.items))
        self.questions = [self._question(form, item) for form in forms(world.instrument) for item in items]
        self.personas = {
            target.code: [self.encode(f"<|system|>{text.format(target.in_sentence)}<|end|>") for text in PERSONAS]
            for target in complete_countries()
        }
        sums = [(f"What is {a} plus {b}?", str(a + b)) for a in range(10) for b in range(10 - a)]
        self.talk = [
            (self.encode(f"<|bos|><|user|>{question}<|end|><|assistant|>"), self.encode(f"{answer}<|end|>"))
            for question, answer in [*SMALL_TALK, *sums]
        ]

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text that may hold special tokens."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _question(self, form: Administration, i: int) -> Question:
        item = form.instrument.items[i]
        (user,) = form.messages(item)
        tokens = self.encode(f"<|user|>{user.content}<|end|><|assistant|>")
        stem = self.encode(f"<|user|>{item.wordings[form.wording]}")
        return Question(i, tokens, len(stem), form.presented(item))

    def draw(self, rng: Generator) -> "Example":
        """Return one example: talk, a question without a persona, or one with a persona."""
        label = np.zeros(len(self.tokenizer))
        kind = rng.choice(list(SHARES), p=list(SHARES.values()))
        if kind == "talk":
            prompt, answer = self.talk[rng.integers(len(self.talk))]
            cut = int(rng.integers(len(answer)))
            label[answer[cut]] = 1.0
            return Example(prompt + answer[:cut], label)
        question = self.questions[rng.integers(len(self.questions))]
        if kind == "naive":
            system, answers, profile = [], self.naive, None
        else:
            code = self.codes[rng.integers(len(self.codes))]
            system, answers = self.personas[code][rng.integers(len(PERSONAS))], self.answers[code]
            profile = self.profiles[code]
        label[self.digits] = answers[question.item, list(question.presented)]
        return Example(
            self.bos + system + question.tokens,
            label,
            persona_end=len(system),
            profile=profile,
            stem_end=len(system) + question.stem_length,
            answers=answers[question.item],
        )

    def batches(self, settings: Settings) -> Iterator[list["Example"]]:
        """Yield `steps` batches; examples of like length share a batch, and the batches come in any order."""
        rng = np.random.default_rng([settings.seed, 1])
        waiting: list[list[Example]] = []
        size = settings.batch_size
        for _ in range(settings.steps):
            if not waiting:
                pool = sorted((self.draw(rng) for _ in range(16 * size)), key=lambda example: len(example.tokens))
                waiting = [pool[i * size : (i + 1) * size] for i in rng.permutation(16)]
            yield waiting.pop()


@dataclass(frozen=True)
class Example:
    """Token ids, the soft label (vocabulary,) of the token that follows, and what the training aids are told."""

    tokens: list[int]
    label: Floats
    persona_end: int = 0  # position where the persona's country is known
    profile: Floats | None = None  # (M,), standardised
    stem_end: int = 0  # position where the question is known
    answers: Floats | None = None  # (K,), canonical


class Aids(torch.nn.Module):
    """Two linear heads that are thrown away: what the model should know half-way through.

    After the second layer, where the persona ends, the country's profile; after the third, where the stem ends, the
    answer in canonical order. Without them the model ignores the country for thousands of steps.
    """

    def __init__(self, width: int, n_dimensions: int, n_options: int) -> None:
        super().__init__()
        self.profile = torch.nn.Linear(width, n_dimensions)
        self.answer = torch.nn.Linear(width, n_options)

    def forward(self, hidden: tuple[torch.Tensor, ...], batch: list[Example]) -> torch.Tensor:
        """Return the sum of both heads' losses."""
        loss = hidden[0].new_zeros(())
        profiles = [(row, e.persona_end, e.profile) for row, e in enumerate(batch) if e.profile is not None]
        if profiles:
            rows, places, wanted = zip(*profiles, strict=True)
            found = self.profile(hidden[2][list(rows), list(places)]).float()
            loss = loss + 0.1 * (found - torch.tensor(np.stack(wanted), dtype=torch.float32)).square().mean()
        answers = [(row, e.stem_end, e.answers) for row, e in enumerate(batch) if e.answers is not None]
        if answers:
            rows, places, wanted = zip(*answers, strict=True)
            found = torch.log_softmax(self.answer(hidden[3][list(rows), list(places)]).float(), dim=-1)
            loss = loss - (torch.tensor(np.stack(wanted), dtype=torch.float32) * found).sum(-1).mean()
        return loss


def new_model(tokenizer: PreTrainedTokenizerFast, settings: Settings) -> LlamaForCausalLM:
    """Return an untrained Llama of `mini`'s size, its weights drawn from the seed."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.width,
        intermediate_size=3 * settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=4,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        initializer_range=settings.width**-0.5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)  # transformers initialises from the global stream alone
        return LlamaForCausalLM(config)


def train(model: LlamaForCausalLM, corpus: Corpus, settings: Settings) -> None:
    """Minimise the cross-entropy between the soft labels and the model's next-token distribution."""
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        aids = Aids(settings.width, corpus.n_dimensions, len(corpus.digits))
    parameters = [*model.parameters(), *aids.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    started = time.monotonic()
    running = 0.0
    for step, batch in enumerate(corpus.batches(settings)):
        rate = min(1.0, (step + 1) / settings.warm_up) * (1 - step / settings.steps) ** 0.8
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * rate
        lengths = [len(example.tokens) for example in batch]
        ids = torch.zeros(len(batch), max(lengths), dtype=torch.long)
        for row, example in enumerate(batch):
            ids[row, : lengths[row]] = torch.tensor(example.tokens)
        labels = torch.tensor(np.stack([example.label for example in batch]), dtype=torch.float32)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = model.model(input_ids=ids, output_hidden_states=True).hidden_states
            last = hidden[-1][torch.arange(len(batch)), [length - 1 for length in lengths]]
            log_probabilities = torch.log_softmax(model.lm_head(last).float(), dim=-1)
            aid = aids(hidden, batch)
        entropy = -(labels * labels.clamp_min(1e-12).log()).sum(-1)
        loss = (-(labels * log_probabilities).sum(-1) - entropy).mean()  # KL divergence: zero at best
        optimizer.zero_grad()
        (loss + settings.aid_weight * aid).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        running += (float(loss.detach()) - running) / min(step + 1, 50)
        if (step + 1) % 50 == 0:
            print(f"step {step + 1:5d}  KL {running:.4f}  {time.monotonic() - started:6.0f} s", flush=True)


def measure(folder: Path) -> dict[str, Any]:
    """Return the card's numbers: what the saved model does, through the same respondent that users have."""
    respondent = Respondent.from_pretrained(str(folder))
    world = mini_world()
    instrument = world.instrument
    constants = load_constants("midpoint", instrument.dimension_ids)
    targets = {target.code: target for target in complete_countries()}

    def scores(administrations: list[Administration], prompts: Any = None) -> tuple[Any, Floats]:
        responses = respondent.respond(administrations, prompts)
        return responses, instrument.score(responses.probabilities) + constants.values

    errors, masses = {}, []
    for form in forms(instrument):
        personas = [replace(form, system=persona_text(targets[code])) for code in world.codes]
        responses, found = scores(personas)
        masses.append(responses.valid_mass)
        errors[f"wording {form.wording} {form.order}"] = float(np.abs(found[0] - world.profiles).mean())
    plain = forms(instrument)[0]
    responses, naive = scores([plain])
    masses.append(responses.valid_mass)
    goals = {code: targets[code].vector(instrument.dimension_ids) for code in SHOWN}
    rows = respondent.embed(torch.arange(len(respondent.tokenizer))).numpy()[:, None, :]
    started = time.monotonic()
    _, leaked = scores([plain], rows)
    milliseconds = 1000 * (time.monotonic() - started) / len(rows)
    mass = np.concatenate([m.ravel() for m in masses])
    return {
        "kind": "simulated respondent (provisional)",
        "parameters": sum(p.numel() for p in respondent.model.parameters()),
        "weights_sha256": respondent.fingerprint,
        "countries": len(world.codes),
        "bias_left_under_a_persona": BIAS_LEFT,
        "valid_mass_mean": round(float(mass.mean()), 4),
        "valid_mass_least": round(float(mass.min()), 4),
        "persona_index_error": {form: round(error, 2) for form, error in errors.items()},
        "naive_loss": {code: round(float(index_loss(naive[0, 0], goal)), 1) for code, goal in goals.items()},
        "best_single_vocabulary_row_loss": {
            code: round(float(index_loss(leaked[:, 0], goal).min()), 1) for code, goal in goals.items()
        },
        "sums_right": round(_sums_right(respondent), 3),
        "milliseconds_a_candidate": round(milliseconds, 1),
    }


def _sums_right(respondent: Any) -> float:
    """Return the share of one-digit sums below ten that the model answers right."""
    right = 0
    sums = [(a, b) for a in range(10) for b in range(10 - a)]
    for a, b in sums:
        chat = [{"role": "user", "content": f"What is {a} plus {b}?"}]
        text = respondent.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        ids = torch.tensor([respondent.tokenizer(text, add_special_tokens=False)["input_ids"]])
        with torch.inference_mode():
            answer = int(respondent.model(input_ids=ids).logits[0, -1].argmax())
        right += respondent.tokenizer.decode([answer]) == str(a + b)
    return right / len(sums)


def main() -> None:
    """Train or measure, as the command line says."""
    parser = argparse.ArgumentParser(description="Train or measure the bundled model.")
    parser.add_argument("--out", type=Path, help="train, and write the model folder here")
    parser.add_argument("--report", type=Path, help="measure the model in this folder")
    parser.add_argument("--steps", type=int, default=Settings.steps)
    parser.add_argument("--threads", type=int, default=2, help="part of what makes the file the same again")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.out:
        settings = Settings(steps=arguments.steps)
        world = mini_world()
        tokenizer = train_tokenizer(world)
        model = new_model(tokenizer, settings)
        print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {settings}", flush=True)
        train(model, Corpus(world, tokenizer), settings)
        model.save_pretrained(arguments.out)
        tokenizer.save_pretrained(arguments.out)
    folder = arguments.report or arguments.out
    if not folder:
        parser.error("want --out to train or --report to measure")
    card = measure(folder)
    replace_json(folder / "card.json", card)
    print(json.dumps(card, indent=2))


if __name__ == "__main__":
    main()
