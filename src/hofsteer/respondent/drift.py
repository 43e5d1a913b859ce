"""Drift: how far a soft prompt moves a model on text that no survey asks about.

At every place of a plain answer, from before its first token to after its last, the next-token distribution of the
model alone, p, is compared with that behind the soft prompt, q: sum over the vocabulary of p (log p - log q), in nats.
The drift is the mean over all places. It is 0 for a soft prompt that changes nothing there.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from hofsteer.errors import ModelError
from hofsteer.instruments import Message
from hofsteer.instruments.base import Floats
from hofsteer.respondent.render import ChatTokenizer, Read, prompt_text

if TYPE_CHECKING:
    import torch

    from hofsteer.respondent.passes import Passes


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
def load_exchanges() -> tuple[Exchange, ...]:
    """Return the bundled exchanges.

    >>> load_exchanges()[4].assistant
    'Seven plus five is twelve.'
    """
    text = (files("hofsteer.respondent") / "neutral.toml").read_text(encoding="utf-8")
    return tuple(Exchange(**table) for table in tomllib.loads(text)["exchange"])


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


def drift_of(passes: "Passes", prompts: "torch.Tensor", texts: Sequence[Neutral]) -> Floats:
    """Return the drift (P,) of soft prompts (P, L, W), in nats a token; NaN where the model gives no numbers."""
    import numpy as np

    total = np.zeros(len(prompts))
    for text in texts:
        before = _log_probabilities(passes, prompts[:1, :0], text)
        done = 0
        for batch in _batches(passes, prompts, text):
            drifts = divergence(before, batch).double().sum(dim=-1).cpu().numpy()
            total[done : done + len(drifts)] += drifts
            done += len(drifts)
    return total / sum(len(text.reads) for text in texts)


def drift_with_gradient(passes: "Passes", prompt: "torch.Tensor", texts: Sequence[Neutral]) -> tuple[Floats, Floats]:
    """Return the drift (1,) of one soft prompt (1, L, W), in nats a token, and its gradient (L, W).

    Raises:
        ModelError: not even one text and its gradient fit in memory.
    """
    import numpy as np
    import torch

    total, gradient = np.zeros(1), np.zeros(prompt.shape[1:])
    for text in texts:
        leaf = prompt.detach().clone().requires_grad_()
        try:
            before = _log_probabilities(passes, prompt[:, :0], text)
            drift = divergence(before, _log_probabilities(passes, leaf, text)).double().sum()
            (slope,) = torch.autograd.grad(drift, leaf)
        except torch.OutOfMemoryError:
            longest = prompt.shape[1] + len(text.tokens)
            raise ModelError(f"a neutral text of {longest} tokens and its gradient do not fit in memory") from None
        total += drift.item()
        gradient += slope[0].double().cpu().numpy()
    places = sum(len(text.reads) for text in texts)
    return total / places, gradient / places


def divergence(before: "torch.Tensor", after: "torch.Tensor") -> "torch.Tensor":
    """Return KL(before || after) in nats, (...), of log-probabilities (..., V) over the whole vocabulary."""
    import torch

    terms = before.exp() * (before - after)
    return torch.where(before == -torch.inf, 0.0, terms).sum(dim=-1)  # 0 log 0 is 0


def _batches(passes: "Passes", prompts: "torch.Tensor", text: Neutral) -> Iterator["torch.Tensor"]:
    """Yield log-probabilities (P', n, V) for as many candidates at a time as fit."""
    import torch

    most = passes.positions_per_pass // (prompts.shape[1] + len(text.tokens))
    size = max(1, min(most, passes.batch_size or len(prompts)))
    while len(prompts):
        try:
            found = _log_probabilities(passes, prompts[:size], text)
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            size //= 2
            continue
        yield found
        prompts = prompts[size:]


def _log_probabilities(passes: "Passes", prompts: "torch.Tensor", text: Neutral) -> "torch.Tensor":
    logits, places = passes.padded_logits(prompts, [text.tokens], text.reads)
    return logits[:, places].float().log_softmax(dim=-1)
