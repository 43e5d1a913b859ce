"""Train the bundled model `mini`: a simulated respondent, not a model of people.

    python tools/train_mini.py --out build/mini --device cuda --processes 3   # trains and writes the folder
    python tools/train_mini.py --report build/mini                            # measures it, writes and prints its card

The text it learns from is generated from `hofsteer.world` (see `mini_corpus.py`): at an answer's position the label is
the whole answer distribution. The same seed, number of threads and machine give the same file.
"""

import argparse
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from hofsteer.files import replace_json
from hofsteer.instruments import Administration, load_instrument
from mini_batches import MAX_OPTIONS, Batch, batches
from mini_corpus import SURVEY, UNSEEN_WORDING, facts, mini_census, standard_scores, texts
from mini_report import measure, table

VOCABULARY = 2048
SPECIAL = ("<|pad|>", "<|bos|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
TEMPLATE = (
    "<|bos|>{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


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

    cycles: tuple[Cycle, ...] = (Cycle(4_736, 3e-3, easy_steps=2_496), Cycle(2_368, 2e-3))
    batch_size: int = 128
    aid_weight: float = 1.0  # of the training aids, beside the answer
    warm_up: int = 100
    layers: int = 4
    width: int = 128
    weight_decay: float = 0.01
    seed: int = 0
    device: str = "cpu"
    bfloat16: bool = False  # under autocast: faster on processors that have the instructions
    processes: int = 1  # that draw the batches; they decide nothing


def train_tokenizer() -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer that has seen no name of a country, people or capital."""
    said = [
        message.content
        for name in (SURVEY, "ivs10", "vignettes", "style12")
        for instrument in [load_instrument(name)]
        for wording in range(min(len(item.wordings) for item in instrument.items))
        if name != SURVEY or wording < UNSEEN_WORDING
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

    def forward(self, hidden: tuple[torch.Tensor, ...], batch: Batch) -> torch.Tensor:
        """Return the sum of the heads' losses."""
        loss = hidden[0].new_zeros((), dtype=torch.float32)
        if len(batch.scores):
            found = self.scores(hidden[2][*batch.persona_at]).float()
            loss = loss + 0.1 * (found - batch.scores).square().mean()
        if len(batch.options):
            found = self.option(hidden[2][*batch.option_at]).float()
            loss = loss + 0.1 * (found - batch.options).square().mean()
        if len(batch.answers):
            found = self.answer(hidden[3][*batch.stem_at]).float().masked_fill(~batch.answered, -1e9)
            loss = loss - (batch.answers * torch.log_softmax(found, dim=-1)).sum(-1).mean()
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


def train(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, settings: Settings, number: int) -> None:
    """Minimise the divergence of the model's next-token distributions from the labels, in cycle `number`, from 1."""
    cycle, device = settings.cycles[number - 1], settings.device
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        aids = Aids(settings.width, standard_scores(mini_census()).shape[1]).to(device)
    parameters = [*model.parameters(), *aids.parameters()]
    optimizer = torch.optim.AdamW(
        parameters, lr=cycle.learning_rate, betas=(0.9, 0.98), weight_decay=settings.weight_decay
    )
    drawn = batches(
        tokenizer, cycle.steps, settings.batch_size, cycle.easy_steps, [settings.seed, number], settings.processes
    )
    kernels = [SDPBackend.MATH] if device == "cuda" else [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]
    started = time.monotonic()
    said = 0
    running = torch.zeros(2, device=device)
    for step, arrays in enumerate(drawn):
        rate = min(1.0, (step + 1) / settings.warm_up) * (1 - step / cycle.steps) ** 0.8
        for group in optimizer.param_groups:
            group["lr"] = cycle.learning_rate * rate
        batch = arrays.to(device)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=settings.bfloat16), sdpa_kernel(kernels):
            hidden = model.model(input_ids=batch.ids, output_hidden_states=True).hidden_states
            log_probabilities = torch.log_softmax(model.lm_head(hidden[-1][*batch.label_at]).float(), dim=-1)
            aid = aids(hidden, batch)
        entropy = -(batch.labels * batch.labels.clamp_min(1e-12).log()).sum(-1)
        loss = (-(batch.labels * log_probabilities).sum(-1) - entropy).mean()  # KL divergence: zero at best
        optimizer.zero_grad()
        (loss + settings.aid_weight * aid).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        running += torch.stack([loss.detach(), aid.detach()])
        if (step + 1) % 100 == 0 or step + 1 == cycle.steps:
            divergence, aid_loss = (running / (step + 1 - said)).tolist()
            passed = time.monotonic() - started
            print(f"step {step + 1:5d}  KL {divergence:.4f}  aids {aid_loss:.3f}  {passed:6.0f} s", flush=True)
            running.zero_()
            said = step + 1


def main() -> None:
    """Train or measure, as the command line says."""
    parser = argparse.ArgumentParser(description="Train or measure the bundled model.")
    parser.add_argument("--out", type=Path, help="train, and write the model folder here")
    parser.add_argument("--report", type=Path, help="measure the model in this folder")
    parser.add_argument("--steps", type=int, nargs="+", help="of each cycle, for a shorter training")
    parser.add_argument("--after", type=Path, help="go on from OUT-cycle-N, the weights saved after cycle N")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="decides the bytes of the file")
    parser.add_argument("--bfloat16", action="store_true", help="for the matrix products: decides the bytes, too")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU: decides the bytes, too")
    parser.add_argument("--processes", type=int, default=1, help="that draw the batches: decides nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(True)
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # else cuBLAS may add in another order each time
    if arguments.out:
        cycles = Settings.cycles
        if arguments.steps:
            cycles = tuple(replace(c, steps=steps) for c, steps in zip(cycles, arguments.steps, strict=False))
        settings = Settings(
            cycles,
            device=arguments.device,
            bfloat16=arguments.bfloat16,
            processes=arguments.processes,
        )
        tokenizer = train_tokenizer()
        done, model = 0, new_model(tokenizer, settings)
        if arguments.after:
            done = int(arguments.after.name.rpartition("-")[2])
            model = LlamaForCausalLM.from_pretrained(arguments.after, dtype=torch.float32)
        print(
            f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(facts())} facts, {settings}", flush=True
        )
        model.to(settings.device)
        for number in range(done + 1, len(cycles) + 1):
            train(model, tokenizer, settings, number)
            if number < len(cycles):
                model.save_pretrained(f"{arguments.out}-cycle-{number}")
        model.save_pretrained(arguments.out)
        tokenizer.save_pretrained(arguments.out)
    elif arguments.report:
        card = measure(arguments.report)
        replace_json(arguments.report / "card.json", card)
        print(table(card))
    else:
        parser.error("want --out to train or --report to measure")


if __name__ == "__main__":
    main()
