"""A random soft prompt: what rows of that length do that nobody searched for."""

import numpy as np

from hofsteer.respondent.base import Respondent, SoftPrompts

STREAM = 91


def random_prompt(respondent: Respondent, tokens: int, seed: int) -> SoftPrompts:
    """Return rows (1, L, W) of normal noise with the spread of the vocabulary, as long on average as its rows."""
    rng = np.random.default_rng([seed, STREAM])
    rows = rng.normal(0.0, respondent.spread, (1, tokens, respondent.width))
    return respondent.as_saved(rows.astype(np.float32))
