"""How fast a GPU answers a survey: Llamas of three shapes with random weights, in bfloat16.

    python benchmarks/gpu.py [--shapes 8B 1B 135M] [--device cuda] [--json]

For each shape: candidates a second in one pass, the share of the rate of a bfloat16 matrix product measured in the same
loop, peak memory, and how many times slower a padded batch and sampled texts are. What random weights answer means
nothing. Without a GPU it says so and ends; `--device cpu` runs the smallest shape anywhere.
"""

import argparse
import json
import logging
import sys
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from hofsteer import Respondent
from hofsteer.config import ModelSettings
from hofsteer.instruments import Administration, load_instrument
from hofsteer.respondent.bench import SOFT_TOKENS, Bench, bench
from hofsteer.respondent.hf import HFRespondent

SHAPES: dict[str, dict[str, Any]] = {
    "8B": {  # of Llama-3-8B
        **{"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32},
        **{"num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256},
    },
    "1B": {  # of Llama-3.2-1B
        **{"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16},
        **{"num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "tie_word_embeddings": True},
    },
    "135M": {  # of SmolLM2-135M
        **{"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30},
        **{"num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152, "tie_word_embeddings": True},
    },
}
MOST_CANDIDATES = 64


def random_llama(shape: str, device: str) -> HFRespondent:
    """Return a respondent of a shape on a device, in bfloat16, its weights drawn from seed 0."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.random.fork_rng(), torch.device(device):
            torch.manual_seed(0)
            model = LlamaForCausalLM(LlamaConfig(max_position_embeddings=8192, **SHAPES[shape]))
    finally:
        torch.set_default_dtype(before)
    return HFRespondent(model, Respondent.from_pretrained("mini").tokenizer, ModelSettings(id=f"llama-{shape}-shape"))


def measure(shape: str, device: str, repetitions: int) -> Bench:
    """Return the figures of one shape, at the batch size that pays there."""
    respondent = random_llama(shape, device)
    form = Administration(load_instrument("vsm13-own"), layout="scale-first")
    candidates = respondent.measure_batch_size(form, SOFT_TOKENS, MOST_CANDIDATES)
    return bench(respondent, form, repetitions, candidates=candidates)


def main() -> None:
    """Print one line a shape, or JSON."""
    parser = argparse.ArgumentParser(description="Time a survey on a GPU.")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("no GPU here: nothing measured", file=sys.stderr)
        return
    if not arguments.json:
        print("| shape | candidates a pass | a second | share of matmul rate | peak GB | padded | 5 texts |")
        print("|---|---|---|---|---|---|---|")
    rows = {}
    for shape in arguments.shapes:
        found = measure(shape, arguments.device, arguments.repetitions)
        rows[shape] = found.to_json()
        if not arguments.json:
            share = "" if found.share_of_matmul_rate is None else f"{100 * found.share_of_matmul_rate:.0f} %"
            memory = "" if found.peak_gigabytes is None else f"{found.peak_gigabytes:.1f}"
            slower = f"{found.speedup_vs_padded:.1f} times | {found.speedup_vs_generate:.1f} times"
            rate = f"{found.candidates_a_second:.1f}"
            print(f"| {shape} | {found.candidates} | {rate} | {share} | {memory} | {slower} |", flush=True)
    if arguments.json:
        print(json.dumps({"schema": 1, "device": arguments.device, "shapes": rows}, indent=2))


if __name__ == "__main__":
    main()
