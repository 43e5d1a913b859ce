"""The bundled model: a simulated respondent, trained by `tools/train_mini.py` on text generated from the world."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def card() -> dict[str, Any]:
    """Return the numbers of the model's card, as the training script measured them."""
    return dict(json.loads((FOLDER / "card.json").read_text(encoding="utf-8")))
