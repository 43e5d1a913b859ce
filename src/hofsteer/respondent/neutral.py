"""Neutral text: lines that no survey asks about with plain answers, as token ids, and how well a model writes them.

What a model does not write cannot be damaged: where it finds an answer about as likely as a random string, nobody
would see it. So an answer counts only if the model alone finds it likely enough: see `MOST_SURPRISAL`.
"""

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from hofsteer.instruments import Message
from hofsteer.instruments.base import Floats
from hofsteer.respondent.render import ChatTokenizer, Read, prompt_text

if TYPE_CHECKING:
    import torch

    from hofsteer.respondent.passes import Passes

# The perplexity 37.5 of GPT-2's smallest on WikiText-103 (Radford et al. 2019, table 3), of 50,257 tokens, is 0.33.
MOST_SURPRISAL = 0.5
FEWEST_TEXTS = 5  # neutral exchanges that a model writes, for its drift to say anything


class Exchange(NamedTuple):
    """A line of small talk and a plain answer to it."""

    user: str
    assistant: str


class Neutral(NamedTuple):
    """An exchange as token ids, and the first place whose next token is part of the answer."""

    tokens: tuple[int, ...]
    first: int

    @property
    def reads(self) -> list[Read]:
        """The places that are compared; the token is of no account."""
        return [Read(0, place, 0) for place in range(self.first, len(self.tokens))]


@cache
def load_exchanges(part: Literal["told", "held_out"] = "told") -> tuple[Exchange, ...]:
    """Return the bundled exchanges: those that searches are told of, or those that evaluations measure.

    >>> load_exchanges()[4].assistant
    'Seven plus five is twelve.'
    """
    text = (files("hofsteer.respondent") / "neutral.toml").read_text(encoding="utf-8")
    return tuple(Exchange(**table) for table in tomllib.loads(text)[part])


def render_neutral(
    exchanges: Sequence[Exchange], tokenizer: ChatTokenizer, template: Mapping[str, Any] | None = None
) -> tuple[Neutral, ...]:
    """Return exchanges as token ids, in the model's own chat format; arguments as in `render`."""
    rendered = []
    for user, assistant in exchanges:
        head, _ = prompt_text([Message("user", user)], tokenizer, template)
        alone, joint = tokenizer([head, head + assistant], add_special_tokens=False)["input_ids"]
        parts = [place for place, (a, b) in enumerate(zip(alone, joint, strict=False)) if a != b]
        rendered.append(Neutral(tuple(joint), max(1, parts[0] if parts else min(len(alone), len(joint))) - 1))
    return tuple(rendered)


def answer_log_likelihoods(passes: "Passes", prompt: "torch.Tensor", texts: Sequence[Neutral]) -> Floats:
    """Return the log-likelihood of each answer (N,), in nats, behind one soft prompt (1, L, W)."""
    import numpy as np

    rows = [text.tokens[:-1] for text in texts]
    reads = [
        [Read(row, place, text.tokens[place + 1]) for place in range(text.first, len(text.tokens) - 1)]
        for row, text in enumerate(texts)
    ]
    logits, places = passes.padded_logits(prompt, rows, [read for own in reads for read in own])
    logs = logits[0].float().log_softmax(dim=-1)
    found = iter(places)
    return np.array([sum(float(logs[next(found), read.token]) for read in own) for own in reads])


def surprisal(passes: "Passes", no_prompt: "torch.Tensor", texts: Sequence[Neutral]) -> Floats:
    """Return how unlikely the model finds each answer (N,): its nats a token, in those of guessing among all tokens.

    `no_prompt` is an empty soft prompt (1, 0, W). Guessing costs 1, the logarithm of the vocabulary's size in nats.
    """
    import numpy as np

    guessing = np.log(passes.vocabulary_size)
    each = [answer_log_likelihoods(passes, no_prompt, [text])[0] for text in texts]  # one by one, to fit in memory
    return np.array([-found / (len(text.reads) - 1) / guessing for found, text in zip(each, texts, strict=True)])
