"""Train the bundled model `mini`: a simulated respondent, not a model of people.

    python tools/train_mini.py --out build/mini       # trains, measures, writes the folder; three hours on one core
    python tools/train_mini.py --report build/mini    # measures a trained folder again, prints the card's table

The text it learns from is generated from `hofsteer.world` (see `mini_corpus.py`): at an answer's position the label is
the whole answer distribution. The same seed, number of threads and machine give the same file.
"""

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from hofsteer.files import replace_json
from hofsteer.instruments import Administration, load_instrument
from mini_corpus import SURVEY, UNSEEN_WORDING, Corpus, Example, facts, mini_census, texts
from mini_report import measure, table

VOCABULARY = 2048
SPECIAL = ("<|pad|>", "<|bos|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
TEMPLATE = (
    "<|bos|>{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
MAX_OPTIONS = 10


@dataclass(frozen=True)
class Cycle:
    """A part of the training in which the learning rate rises and falls to zero again.

    It begins with a fresh optimizer and fresh aids, so that it may as well begin from the weights that were saved
    after the one before: the file is the same.
    """

    steps: int
    learning_rate: float
    easy_steps: int = 0  # the first ones, without what makes questions hard to know: see `Corpus.easy`


@dataclass(frozen=True)
class Settings:
    """What decides the result of a training."""

    cycles: tuple[Cycle, ...] = (Cycle(12_000, 3e-3, easy_steps=2_500), Cycle(6_000, 2e-3))
    batch_size: int = 64
    aid_weight: float = 1.0  # of the training aids, beside the answer
    warm_up: int = 100
    layers: int = 4
    width: int = 128
    seed: int = 0


def train_tokenizer() -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer that has seen no name of a country, people or capital."""
    said = [
        message.content
        for name in (SURVEY, "ivs10", "vignettes", "style12")
        for instrument in [load_instrument(name)]
        for wording in range(min(len(item.wordings) for item in instrument.items))
        if name != SURVEY or wording != UNSEEN_WORDING
        for item in instrument.items
        for message in Administration(instrument, wording=wording).messages(item)
    ]
    said += [text for many in texts()["paraphrases"].values() for text in many]
    said += [text for pair in [*texts()["talk"], *texts()["facts"]] for text in pair]
    said += [text.replace("{}", "") for key in ("personas", "peoples", "systems") for text in texts()[key]]
    said += ["What is the capital of", "What is plus minus", "Which is larger, or"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(said, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|bos|>", eos_token="<|end|>", pad_token="<|pad|>"
    )
    fast.chat_template = TEMPLATE
    peoples = [row["people"] for row in texts()["countries"].values()]
    for name in [name for country in mini_census().countries for name in (country.name, country.in_sentence)] + peoples:
        for text in (name, f" {name}"):
            if len(fast(text, add_special_tokens=False)["input_ids"]) < 2:
                raise SystemExit(f"{name} is a single token")
    return fast


class Aids(torch.nn.Module):
    """Linear heads that are thrown away: what the model should know half-way through.

    After the second layer, where the persona ends, the country's scores, and where an option ends, its level and its
    place; after the third, where the stem ends, the answer in canonical order. Without them the model ignores the
    country for thousands of steps, and the order of the options for longer.
    """

    def __init__(self, width: int, n_scores: int) -> None:
        super().__init__()
        self.scores = torch.nn.Linear(width, n_scores)
        self.option = torch.nn.Linear(width, 2)
        self.answer = torch.nn.Linear(width, MAX_OPTIONS)

    def forward(self, hidden: tuple[torch.Tensor, ...], batch: list[Example]) -> torch.Tensor:
        """Return the sum of the heads' losses."""
        loss = hidden[0].new_zeros((), dtype=torch.float32)
        personas = [(row, place, scores) for row, e in enumerate(batch) for place, scores in e.personas]
        if personas:
            rows, places, wanted = zip(*personas, strict=True)
            found = self.scores(hidden[2][list(rows), list(places)]).float()
            loss = loss + 0.1 * (found - torch.tensor(np.stack(wanted), dtype=torch.float32)).square().mean()
        options = [(row, place, (level, at)) for row, e in enumerate(batch) for place, level, at in e.options]
        if options:
            rows, places, wanted = zip(*options, strict=True)
            found = self.option(hidden[2][list(rows), list(places)]).float()
            loss = loss + 0.1 * (found - torch.tensor(wanted, dtype=torch.float32)).square().mean()
        answers = [(row, place, answer) for row, e in enumerate(batch) for place, answer in e.answers]
        if answers:
            rows, places, wanted = zip(*answers, strict=True)
            shares = torch.zeros(len(wanted), MAX_OPTIONS)
            there = torch.zeros(len(wanted), MAX_OPTIONS, dtype=torch.bool)
            for row, answer in enumerate(wanted):
                shares[row, : len(answer)] = torch.tensor(answer)
                there[row, : len(answer)] = True
            found = self.answer(hidden[3][list(rows), list(places)]).float().masked_fill(~there, -1e9)
            loss = loss - (shares * torch.log_softmax(found, dim=-1)).sum(-1).mean()
        return loss


def new_model(tokenizer: PreTrainedTokenizerFast, settings: Settings) -> LlamaForCausalLM:
    """Return an untrained Llama of `mini`'s size, its weights drawn from the seed."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.width,
        intermediate_size=3 * settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=4,
        max_position_embeddings=4096,
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


def train(model: LlamaForCausalLM, corpus: Corpus, settings: Settings, number: int) -> None:
    """Minimise the divergence of the model's next-token distributions from the labels, in cycle `number`, from 1."""
    cycle = settings.cycles[number - 1]
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        aids = Aids(settings.width, corpus.scores.shape[1])
    parameters = [*model.parameters(), *aids.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=cycle.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    batches = corpus.batches(cycle.steps, settings.batch_size, cycle.easy_steps, [settings.seed, number])
    started = time.monotonic()
    running = 0.0
    for step, batch in enumerate(batches):
        rate = min(1.0, (step + 1) / settings.warm_up) * (1 - step / cycle.steps) ** 0.8
        for group in optimizer.param_groups:
            group["lr"] = cycle.learning_rate * rate
        ids, rows, places, labels = tensors(batch, model.config.vocab_size)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = model.model(input_ids=ids, output_hidden_states=True).hidden_states
            log_probabilities = torch.log_softmax(model.lm_head(hidden[-1][rows, places]).float(), dim=-1)
            aid = aids(hidden, batch)
        entropy = -(labels * labels.clamp_min(1e-12).log()).sum(-1)
        loss = (-(labels * log_probabilities).sum(-1) - entropy).mean()  # KL divergence: zero at best
        optimizer.zero_grad()
        (loss + settings.aid_weight * aid).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        running += (float(loss.detach()) - running) / min(step + 1, 50)
        if (step + 1) % 50 == 0:
            passed = time.monotonic() - started
            print(f"step {step + 1:5d}  KL {running:.4f}  aids {float(aid.detach()):.3f}  {passed:6.0f} s", flush=True)


def tensors(batch: list[Example], vocabulary: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return right-padded ids (B, T), rows and positions (N,) of the labels, and the labels (N, vocabulary)."""
    lengths = [len(example.tokens) for example in batch]
    ids = torch.zeros(len(batch), max(lengths), dtype=torch.long)
    for row, example in enumerate(batch):
        ids[row, : lengths[row]] = torch.tensor(example.tokens)
    found = [(row, label) for row, example in enumerate(batch) for label in example.labels]
    labels = torch.zeros(len(found), vocabulary)
    for n, (_, label) in enumerate(found):
        labels[n, list(label.ids)] = torch.tensor(label.shares, dtype=torch.float32)
    rows = torch.tensor([row for row, _ in found])
    return ids, rows, torch.tensor([label.position for _, label in found]), labels


def main() -> None:
    """Train or measure, as the command line says."""
    parser = argparse.ArgumentParser(description="Train or measure the bundled model.")
    parser.add_argument("--out", type=Path, help="train, and write the model folder here")
    parser.add_argument("--report", type=Path, help="measure the model in this folder")
    parser.add_argument("--steps", type=int, nargs="+", help="of each cycle, for a shorter training")
    parser.add_argument("--after", type=Path, help="go on from OUT-cycle-N, the weights saved after cycle N")
    parser.add_argument("--threads", type=int, default=1, help="part of what makes the file the same again")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.out:
        cycles = Settings.cycles
        if arguments.steps:
            cycles = tuple(replace(c, steps=steps) for c, steps in zip(cycles, arguments.steps, strict=False))
        settings = Settings(cycles)
        tokenizer = train_tokenizer()
        done, model = 0, new_model(tokenizer, settings)
        if arguments.after:
            done = int(arguments.after.name.rpartition("-")[2])
            model = LlamaForCausalLM.from_pretrained(arguments.after, dtype=torch.float32)
        print(
            f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(facts())} facts, {settings}", flush=True
        )
        corpus = Corpus(tokenizer)
        for number in range(done + 1, len(cycles) + 1):
            train(model, corpus, settings, number)
            if number < len(cycles):
                model.save_pretrained(f"{arguments.out}-cycle-{number}")
        model.save_pretrained(arguments.out)
        tokenizer.save_pretrained(arguments.out)
    folder = arguments.report or arguments.out
    if not folder:
        parser.error("want --out to train or --report to measure")
    card = measure(folder)
    replace_json(folder / "card.json", card)
    print(json.dumps(card, indent=2) if arguments.out else table(card))


if __name__ == "__main__":
    main()
