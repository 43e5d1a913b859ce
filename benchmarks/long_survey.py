"""How time and memory grow with the length of a survey: items of 10 options with stems of many tokens.

    python benchmarks/long_survey.py [--tokens 2000] [--json]

A small Llama with random weights, one candidate. What is shown is the growth: seconds an item, and the most memory that
the process has held, against the number of items.
"""

import argparse
import json
import logging
import resource
import sys
import time
from dataclasses import replace

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from hofsteer import Respondent
from hofsteer.config import ModelSettings
from hofsteer.instruments import Administration, Item, Option, load_instrument
from hofsteer.respondent.hf import HFRespondent

ITEMS = (30, 60, 120, 240)


def small_llama() -> HFRespondent:
    """Return a two-layer respondent with the tokenizer of `mini`."""
    tokenizer = Respondent.from_pretrained("mini").tokenizer
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=8192,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return HFRespondent(LlamaForCausalLM(config), tokenizer, ModelSettings(id="small"))


def survey(items: int, tokens: int) -> Administration:
    """Return a survey of items with ten options whose stems have about as many tokens as asked."""
    options = tuple(Option(f"step {k}", float(k)) for k in range(1, 11))
    asked = tuple(
        Item(f"Q{n}", "length", (f"Question {n}:" + " how much work" * (tokens // 3) + "?",), options)
        for n in range(1, items + 1)
    )
    return Administration(replace(load_instrument("vsm13-own"), items=asked, dimensions=(), optional_items=()))


def main() -> None:
    """Print one line a length."""
    parser = argparse.ArgumentParser(description="Time and memory against the length of a survey.")
    parser.add_argument("--tokens", type=int, default=2000, help="of a stem")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    respondent = small_llama()
    rows = []
    print("items  tokens an item  seconds  seconds an item  peak MB", file=sys.stderr)
    for items in ITEMS:
        form = survey(items, arguments.tokens)
        length = max(map(len, respondent.rendered(form).rows))
        started = time.perf_counter()
        respondent.respond([form])
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rows.append({"items": items, "tokens": length, "seconds": seconds, "peak_mb": peak})
        line = f"{items:5}  {length:14}  {seconds:7.2f}  {seconds / items:15.3f}  {peak:7.0f}"
        print(line, file=sys.stderr, flush=True)
    if arguments.json:
        print(json.dumps({"schema": 1, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
