"""One pass over a trie beside a padded batch and `generate`, on a Llama of the 135M shape with random weights.

    python benchmarks/respondent.py [--layers 30] [--repetitions 5] [--layout scale-first] [--no-generate] [--json]

Survey file and tokenizer are fixed: `vsm13-own` and that of `mini`. What random weights answer means nothing.
"""

import argparse
import json
import logging
import sys
from collections.abc import Mapping
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from hofsteer import Respondent
from hofsteer.config import ModelSettings
from hofsteer.instruments import Administration, load_instrument
from hofsteer.respondent.bench import bench
from hofsteer.respondent.hf import HFRespondent

SHAPE = {  # of SmolLM2-135M
    **{"hidden_size": 576, "intermediate_size": 1536, "num_attention_heads": 9, "num_key_value_heads": 3},
    **{"vocab_size": 49152, "tie_word_embeddings": True, "max_position_embeddings": 8192},
}


def random_llama(
    layers: int, shape: Mapping[str, Any] = SHAPE, name: str = "llama-135m-shape", like: HFRespondent | None = None
) -> HFRespondent:
    """Return a respondent of a shape, its weights drawn from seed 0, with the tokenizer of `mini`.

    Device and dtype are those of `like`; without it the CPU and float32.
    """
    tokenizer = (like or Respondent.from_pretrained("mini")).tokenizer
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(LlamaConfig(num_hidden_layers=layers, **shape))
    if like is not None:
        model = model.to(like.device, like.dtype)
    return HFRespondent(model, tokenizer, ModelSettings(id=name))


def main() -> None:
    """Print the figures, as JSON if asked."""
    parser = argparse.ArgumentParser(description="Time a survey on a Llama of the 135M shape.")
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--layout", default="scale-first", choices=["scale-first", "stem-first"])
    parser.add_argument("--no-generate", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    administration = Administration(load_instrument("vsm13-own"), layout=arguments.layout)
    found = bench(
        random_llama(arguments.layers),
        administration,
        arguments.repetitions,
        generate=not arguments.no_generate,
        watch=lambda done: print(f"round {done} of {arguments.repetitions + 1}", file=sys.stderr, flush=True),
    )
    if arguments.json:
        print(json.dumps(found.to_json(), indent=2))
        return
    for name, value in found.to_json().items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
