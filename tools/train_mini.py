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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from hofsteer.baselines.persona import persona_text
from hofsteer.instruments import Administration, Instrument, load_instrument
from hofsteer.respondent.render import render
from hofsteer.targets import Target, complete_countries
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
    text_weight: float = 0.1  # of predicting the question's own text, beside the answer
    warm_up: int = 100
    layers: int = 4
    width: int = 128
    seed: int = 0


@dataclass(frozen=True)
class Question:
    """One administered item: its user segment, and for each presented label the canonical option behind it."""

    item: int
    tokens: list[int]  # from <|user|> to <|assistant|>
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
    texts = [message.content for form in forms(world.instrument) for i in world.instrument.items for message in form.messages(i)]
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
        self.questions = [self._question(form, i) for form in forms(world.instrument) for i in range(len(world.instrument.items))]
        self.digits = [self.encode(str(d))[0] for d in range(1, 6)]
        self.answers = {code: world.answers(code) for code in world.codes}
        self.naive = world.mixture(naive_shares(world))
        self.codes = list(world.codes)
        self.bos = self.encode("<|bos|>")
        targets = {target.code: target for target in complete_countries()}
        self.personas = {code: [self.encode(f"<|system|>{p.format(targets[code].in_sentence)}<|end|>") for p in PERSONAS] for code in self.codes}
        self.talk = [self._talk(q, a) for q, a in SMALL_TALK] + [
            self._talk(f"What is {a} plus {b}?", str(a + b)) for a in range(10) for b in range(10 - a)
        ]

    def _question(self, form: Administration, i: int) -> Question:
        item = form.instrument.items[i]
        (user,) = form.messages(item)
        return Question(i, self.encode(f"<|user|>{user.content}<|end|><|assistant|>"), form.presented(item))

    def _talk(self, question: str, answer: str) -> tuple[list[int], list[int]]:
        return self.encode(f"<|bos|><|user|>{question}<|end|><|assistant|>"), self.encode(f"{answer}<|end|>")

    def draw(self, rng: Generator) -> tuple[list[int], np.ndarray]:
        """Return token ids and the soft label (vocabulary,) of the token that follows them."""
        label = np.zeros(self.size, dtype=np.float32)
        kind = rng.choice(list(SHARES), p=list(SHARES.values()))
        if kind == "talk":
            prompt, answer = self.talk[rng.integers(len(self.talk))]
            cut = int(rng.integers(len(answer)))
            label[answer[cut]] = 1.0
            return prompt + answer[:cut], label
        question = self.questions[rng.integers(len(self.questions))]
        if kind == "naive":
            system, answers = [], self.naive
        else:
            code = self.codes[rng.integers(len(self.codes))]
            system, answers = self.personas[code][rng.integers(len(PERSONAS))], self.answers[code]
        label[self.digits] = answers[question.item, list(question.presented)]
        return self.bos + system + question.tokens, label

    def batches(self, settings: Settings) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Yield `steps` batches: ids (B, T) right-padded, last positions (B,), labels (B, vocabulary)."""
        rng = np.random.default_rng([settings.seed, 1])
        waiting: list[list[tuple[list[int], np.ndarray]]] = []
        for _ in range(settings.steps):
            if not waiting:  # sequences of like length share a batch, batches come in any order
                pool = sorted((self.draw(rng) for _ in range(16 * settings.batch_size)), key=lambda pair: len(pair[0]))
                waiting = [pool[i * settings.batch_size : (i + 1) * settings.batch_size] for i in rng.permutation(16)]
            drawn = waiting.pop()
            last = torch.tensor([len(ids) - 1 for ids, _ in drawn])
            ids = torch.zeros(len(drawn), int(last.max()) + 1, dtype=torch.long)
            for row, (tokens, _) in enumerate(drawn):
                ids[row, : len(tokens)] = torch.tensor(tokens)
            yield ids, last, torch.from_numpy(np.stack([label for _, label in drawn]))


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
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    started = time.monotonic()
    running = 0.0
    for step, (ids, last, labels) in enumerate(corpus.batches(settings)):
        rate = min(1.0, (step + 1) / settings.warm_up) * (1 - step / settings.steps) ** 0.8
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * rate
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(input_ids=ids).logits.float()
        text_loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), ignore_index=0)
        log_probabilities = torch.log_softmax(logits[torch.arange(len(ids)), last], dim=-1)
        entropy = -(labels * labels.clamp_min(1e-12).log()).sum(-1)
        loss = (-(labels * log_probabilities).sum(-1) - entropy).mean()  # KL divergence: zero at best
        model.zero_grad()
        (loss + settings.text_weight * text_loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        running += (float(loss.detach()) - running) / min(step + 1, 50)
        if (step + 1) % 50 == 0:
            print(f"step {step + 1:5d}  KL {running:.4f}  {time.monotonic() - started:6.0f} s", flush=True)


def main() -> None:
    """Train or report, as the command line says."""
    parser = argparse.ArgumentParser(description="Train or measure the bundled model.")
    parser.add_argument("--out", type=Path, help="train, and write the model folder here")
    parser.add_argument("--report", type=Path, help="measure the model in this folder")
    parser.add_argument("--steps", type=int, default=Settings.steps)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--tw", type=float, default=0.0)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = Settings(steps=arguments.steps, learning_rate=arguments.lr, text_weight=arguments.tw)
    world = mini_world()
    tokenizer = train_tokenizer(world)
    corpus = Corpus(world, tokenizer)
    model = new_model(tokenizer, settings)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens, settings {settings}", flush=True)
    train(model, corpus, settings)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(arguments.out)
        tokenizer.save_pretrained(arguments.out)


if __name__ == "__main__":
    main()
