"""Where a search starts: noise, rows of the vocabulary, a text, or what another run found."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from hofsteer.alignment.space import Space
from hofsteer.config import SpaceSettings
from hofsteer.errors import SoftPromptError
from hofsteer.instruments.base import Floats
from hofsteer.respondent.base import Respondent
from hofsteer.respondent.soft_prompt import SoftPrompt

IDS, AROUND = 3, 4  # random streams; 1 and 2 are those of the space

log = logging.getLogger(__name__)


def starting_population(
    space: Space, settings: SpaceSettings, respondent: Respondent, population_size: int, seed: int
) -> Floats:
    """Return the population (population_size, dim) that a search starts from, a function of its arguments alone.

    Around a text, a run's soft prompt or BOS, candidates stand at normal noise of deviation `start_jitter`, in units of
    the space; the first candidate stands there exactly, or where the space comes nearest.

    Raises:
        SoftPromptError: the run's soft prompt has another width, or more tokens than the search.
        ModelError: the start needs a vocabulary, and the respondent has none.
    """
    noise = space.noise(population_size, settings.start_scale, seed)
    jitter = np.random.default_rng([seed, AROUND]).normal(0.0, settings.start_jitter, size=noise.shape)
    jitter[0] = 0.0
    kind, detail = settings.start_kind
    if kind == "noise":
        population = noise
    elif kind == "vocabulary":
        vocabulary = respondent.vocabulary()
        rng = np.random.default_rng([seed, IDS])
        ids = rng.choice(vocabulary.ordinary_ids, size=(population_size, space.tokens))
        population = space.encode(np.stack([vocabulary.rows(own) for own in ids]))
    elif kind == "text":
        vocabulary = respondent.vocabulary()
        population = space.encode(vocabulary.rows(vocabulary.text_ids(detail, space.tokens))[None]) + jitter
    else:
        population = _around_run(space, load_start(detail, settings.tokens), respondent, noise, jitter)
    if settings.bos:
        first = space.blocks == 0
        rows = np.broadcast_to(respondent.vocabulary().bos_row, (1, space.tokens, space.width))
        population[:, first] = space.encode(rows)[:, first] + jitter[:, first]
    return population


def load_start(folder: str, tokens: int) -> SoftPrompt:
    """Return the soft prompt that a search starts from. Raises SoftPromptError if it has more tokens than `tokens`."""
    found = SoftPrompt.load(Path(folder))
    if len(found.values) > tokens:
        raise SoftPromptError(
            f"the soft prompt in {folder} has {len(found.values)} tokens and the search {tokens}: to cut it would lose "
            f"what was found; set space.tokens to {len(found.values)} or more"
        )
    return found


def start_identity(settings: SpaceSettings) -> dict[str, Any]:
    """Return what a run records of its start: its kind, and the text or what tells the soft prompt from another."""
    kind, detail = settings.start_kind
    found: dict[str, Any] = {"kind": kind}
    if kind == "text":
        found["text"] = detail
    if kind == "run":
        found |= load_start(detail, settings.tokens).identity()
    return found


def start_note(start: dict[str, Any]) -> str | None:
    """Return what must be said of a start beside every result; None for noise and vocabulary rows."""
    if start["kind"] == "text":
        return (
            f"The search started from the text {start['text']!r}. Words that name a country or its people make such a "
            "start a persona in disguise: compare it with the persona, and not with searches that start from noise."
        )
    if start["kind"] == "run":
        return (
            f"The search started from another soft prompt (SHA-256 {start['sha256'][:12]}), so its evaluations are not "
            "all that the result cost."
        )
    return None


def _around_run(space: Space, found: SoftPrompt, respondent: Respondent, noise: Floats, jitter: Floats) -> Floats:
    """Return a population around a soft prompt; rows that it lacks stand in front of its own and start from noise."""
    tokens, width = found.values.shape
    if width != space.width:
        raise SoftPromptError(f"want a soft prompt of width {space.width} to start from, got one of width {width}")
    if found.base_model not in (None, respondent.settings.id, Path(respondent.settings.id).name):
        log.warning("the start was found for %s, not for %s", found.base_model, respondent.settings.id)
    missing = space.tokens - tokens
    rows = np.zeros((1, space.tokens, width))
    rows[0, missing:] = found.values
    population = space.encode(rows) + jitter
    new = space.blocks < missing
    population[:, new] = noise[:, new]
    return population
