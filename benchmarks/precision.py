"""bfloat16 against float32: the largest and the mean difference of an index, in points.

    python benchmarks/precision.py [--json]

On `mini` under the personas of every fifth country, and on a Llama of the 135M shape with random weights under five
soft prompts. What either answers says nothing about real models; what is shown is how far rounding moves an index.
"""

import argparse
import json

import numpy as np
import torch

from hofsteer import Respondent
from hofsteer.baselines import persona_text
from hofsteer.instruments import Administration, load_instrument
from hofsteer.instruments.base import Floats
from hofsteer.respondent.hf import HFRespondent
from hofsteer.targets import complete_countries
from respondent import random_llama

VSM13 = load_instrument("vsm13-own")


def on_mini() -> tuple[Floats, Floats]:
    """Return the scores under personas in float32 and in bfloat16."""
    forms = [Administration(VSM13, system=persona_text(country)) for country in complete_countries()[::5]]
    models = [Respondent.from_pretrained("mini", dtype=dtype) for dtype in ("float32", "bfloat16")]
    first, second = (VSM13.score(model.respond(forms).probabilities) for model in models)
    return first, second


def on_135m() -> tuple[Floats, Floats]:
    """Return the scores under soft prompts in float32 and in bfloat16."""
    exact = random_llama(30)
    rough = HFRespondent(random_llama(30).model.to(torch.bfloat16), exact.tokenizer, exact.settings)
    prompts = np.random.default_rng([1, 1]).normal(0.0, exact.spread, (5, 8, exact.width)).astype(np.float32)
    form = [Administration(VSM13, layout="scale-first")]
    first, second = (VSM13.score(model.respond(form, prompts).probabilities) for model in (exact, rough))
    return first, second


def main() -> None:
    """Print one line a model."""
    parser = argparse.ArgumentParser(description="bfloat16 against float32, in index points.")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = {}
    for name, scores in (("mini", on_mini()), ("135M shape", on_135m())):
        difference = np.abs(scores[0] - scores[1])
        rows[name] = {"largest": float(difference.max()), "mean": float(difference.mean())}
    if arguments.json:
        print(json.dumps({"schema": 1, "index_points": rows}, indent=2))
        return
    for name, row in rows.items():
        print(f"{name}: largest difference {row['largest']:.2f} index points, mean {row['mean']:.2f}")


if __name__ == "__main__":
    main()
