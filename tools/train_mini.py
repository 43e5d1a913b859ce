"""Train the bundled model `mini`: a simulated respondent, not a model of people.

    python tools/train_mini.py --out build/mini       # trains, reports, writes the folder; about 40 minutes on 2 cores
    python tools/train_mini.py --report build/mini    # measures a trained folder again

The text it learns from is generated from `hofsteer.world`: a persona in the system message (or none), one item in the
user message, and at the answer position the whole answer distribution as a soft label. The same seed on the same
machine gives the same file.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from hofsteer.instruments import Administration, Instrument, load_instrument
from hofsteer.targets import complete_countries
from hofsteer.world import World, make_world

WORLD_SEED = 2013
NAIVE_SHARE = 0.75  # of the United States in what is answered without a persona; the rest is every country alike
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
SHARES = {"persona": 0.84, "naive": 0.1, "talk": 0.06}


@dataclass(frozen=True)
class Settings:
    """What decides the result of a training."""

    steps: int = 3000
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


def country_profiles(instrument: Instrument) -> dict[str, np.ndarray]:
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
    """Draws batches of (token ids, answer distribution over the vocabulary at the last position)."""

    def __init__(self, world: World, tokenizer: PreTrainedTokenizerFast) -> None:
        self.size = len(tokenizer)
        self.encode = lambda text: list(tokenizer(text, add_special_tokens=False)["input_ids"])
        self.questions = [
            self._question(form, i) for form in forms(world.instrument) for i in range(len(world.instrument.items))
        ]
        self.digits = [self.encode(str(d))[0] for d in range(1, 6)]
        self.answers = {code: world.answers(code) for code in world.codes}
        self.naive = world.mixture(naive_shares(world))
        self.codes = list(world.codes)
        standard = (world.profiles - world.profiles.mean(axis=0)) / world.profiles.std(axis=0)
        self.profiles = dict(zip(world.codes, standard, strict=True))
        self.n_dimensions = standard.shape[1]
        self.bos = self.encode("<|bos|>")
        targets = {target.code: target for target in complete_countries()}
        self.personas = {
            code: [self.encode(f"<|system|>{p.format(targets[code].in_sentence)}<|end|>") for p in PERSONAS]
            for code in self.codes
        }
        self.talk = [self._talk(q, a) for q, a in SMALL_TALK] + [
            self._talk(f"What is {a} plus {b}?", str(a + b)) for a in range(10) for b in range(10 - a)
        ]

    def _question(self, form: Administration, i: int) -> Question:
        item = form.instrument.items[i]
        (user,) = form.messages(item)
        tokens = self.encode(f"<|user|>{user.content}<|end|><|assistant|>")
        stem = self.encode(f"<|user|>{item.wordings[form.wording]}")
        return Question(i, tokens, len(stem), form.presented(item))

    def _talk(self, question: str, answer: str) -> tuple[list[int], list[int]]:
        return self.encode(f"<|bos|><|user|>{question}<|end|><|assistant|>"), self.encode(f"{answer}<|end|>")

    def draw(self, rng: Generator) -> "Example":
        """Return one example: talk, a question without a persona, or one with a persona."""
        label = np.zeros(self.size, dtype=np.float32)
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
    label: np.ndarray
    persona_end: int = 0  # position where the persona's country is known
    profile: np.ndarray | None = None  # (M,), standardised
    stem_end: int = 0  # position where the question is known
    answers: np.ndarray | None = None  # (K,), canonical


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
        with_persona = [row for row, example in enumerate(batch) if example.profile is not None]
        with_stem = [row for row, example in enumerate(batch) if example.answers is not None]
        loss = hidden[0].new_zeros(())
        if with_persona:
            at = hidden[2][with_persona, [batch[row].persona_end for row in with_persona]]
            wanted = torch.tensor(np.stack([batch[row].profile for row in with_persona]), dtype=torch.float32)
            loss = loss + 0.1 * (self.profile(at).float() - wanted).square().mean()
        if with_stem:
            at = hidden[3][with_stem, [batch[row].stem_end for row in with_stem]]
            wanted = torch.tensor(np.stack([batch[row].answers for row in with_stem]), dtype=torch.float32)
            loss = loss - (wanted * torch.log_softmax(self.answer(at).float(), dim=-1)).sum(-1).mean()
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
        labels = torch.from_numpy(np.stack([example.label for example in batch]))
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
            print(
                f"step {step + 1:5d}  KL {running:.4f}  aids {float(aid.detach()):.4f}  {time.monotonic() - started:6.0f} s",
                flush=True,
            )


def main() -> None:
    """Train or report, as the command line says."""
    parser = argparse.ArgumentParser(description="Train or measure the bundled model.")
    parser.add_argument("--out", type=Path, help="train, and write the model folder here")
    parser.add_argument("--report", type=Path, help="measure the model in this folder")
    parser.add_argument("--steps", type=int, default=Settings.steps)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = Settings(steps=arguments.steps, learning_rate=arguments.lr)
    world = mini_world()
    tokenizer = train_tokenizer(world)
    corpus = Corpus(world, tokenizer)
    model = new_model(tokenizer, settings)
    print(
        f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens, settings {settings}",
        flush=True,
    )
    train(model, corpus, settings)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(arguments.out)
        tokenizer.save_pretrained(arguments.out)


if __name__ == "__main__":
    main()
