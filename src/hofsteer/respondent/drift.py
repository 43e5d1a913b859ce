"""Drift: how far a soft prompt moves a model on text that no survey asks about.

At every place of a plain answer, from before its first token to after its last, the next-token distribution of the
model alone, p, is compared with that behind the soft prompt, q: sum over the vocabulary of p (log p - log q), in nats.
The drift is the mean over all places. It is 0 for a soft prompt that changes nothing there.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from hofsteer.errors import ModelError
from hofsteer.instruments.base import Floats
from hofsteer.respondent.neutral import Neutral

if TYPE_CHECKING:
    import torch

    from hofsteer.respondent.passes import Passes

T = TypeVar("T")

TOGETHER = 16  # candidates for which a group of texts leaves room in one pass
MOST_LOGITS = 1 << 26  # numbers that a pass may give, those of the whole vocabulary at every place


def drift_of(passes: "Passes", prompts: "torch.Tensor", texts: Sequence[Neutral]) -> Floats:
    """Return the drift (P,) of soft prompts (P, L, W), in nats a token; NaN where the model gives no numbers."""
    parts = _in_groups(passes, prompts.shape[1], texts, lambda group: _sums(passes, prompts, group))
    return np.asarray(sum(parts) / sum(len(text.reads) for text in texts))


def drift_with_gradient(passes: "Passes", prompt: "torch.Tensor", texts: Sequence[Neutral]) -> tuple[Floats, Floats]:
    """Return the drift (1,) of one soft prompt (1, L, W), in nats a token, and its gradient (L, W).

    Raises:
        ModelError: not even one text and its gradient fit in memory.
    """
    parts = _in_groups(passes, prompt.shape[1], texts, lambda group: _sum_with_gradient(passes, prompt, group))
    values, slopes = zip(*parts, strict=True)
    places = sum(len(text.reads) for text in texts)
    return np.array([sum(values)]) / places, np.asarray(sum(slopes)) / places


def divergence(before: "torch.Tensor", after: "torch.Tensor") -> "torch.Tensor":
    """Return KL(before || after) in nats, (...), of log-probabilities (..., V) over the whole vocabulary."""
    import torch

    terms = before.exp() * (before - after)
    return torch.where(before == -torch.inf, 0.0, terms).sum(dim=-1)  # 0 log 0 is 0


def _groups(passes: "Passes", soft: int, texts: Sequence[Neutral]) -> list[list[Neutral]]:
    """Return texts in groups of one pass each, behind `soft` rows of a soft prompt."""
    groups: list[list[Neutral]] = []
    for text in sorted(texts, key=lambda text: (text.first, len(text.tokens))):
        if not groups or _most_candidates(passes, soft, [*groups[-1], text]) < TOGETHER:
            groups.append([])
        groups[-1].append(text)
    return groups


def _most_candidates(passes: "Passes", soft: int, group: Sequence[Neutral]) -> int:
    longest = soft + max(len(text.tokens) for text in group)
    kept = len({read.position for text in group for read in text.reads}) if passes.keeps_logits else longest
    logits = len(group) * kept * passes.vocabulary_size
    return min(passes.positions_per_pass // (len(group) * longest), MOST_LOGITS // logits)


def _in_groups(
    passes: "Passes", soft: int, texts: Sequence[Neutral], once: Callable[[Sequence[Neutral]], T]
) -> list[T]:
    """Return what `once` gives of each group of texts; a group that does not fit in memory is halved until it does."""
    import torch

    waiting: list[Sequence[Neutral]] = [*_groups(passes, soft, texts)]
    found = []
    while waiting:
        group = waiting.pop()
        try:
            found.append(once(group))
            continue
        except torch.OutOfMemoryError:
            if len(group) == 1:
                raise
        half = len(group) // 2  # here what the failed pass held is free
        waiting += [group[:half], group[half:]]
    return found


def _sums(passes: "Passes", prompts: "torch.Tensor", group: Sequence[Neutral]) -> Floats:
    """Return the divergences behind soft prompts (P,), summed over all places of a group."""
    import torch

    before = _log_probabilities(passes, prompts[:1, :0], group)
    parts = [divergence(before, batch).double().sum(dim=-1) for batch in _batches(passes, prompts, group)]
    return np.asarray(torch.cat(parts).cpu().numpy())


def _sum_with_gradient(passes: "Passes", prompt: "torch.Tensor", group: Sequence[Neutral]) -> tuple[float, Floats]:
    """Return the divergence behind one soft prompt (1, L, W), summed over a group, and its gradient (L, W)."""
    import torch

    leaf = prompt.detach().clone().requires_grad_()
    try:
        before = _log_probabilities(passes, prompt[:, :0], group)
        drift = divergence(before, _log_probabilities(passes, leaf, group)).double().sum()
        (slope,) = torch.autograd.grad(drift, leaf)
    except torch.OutOfMemoryError:
        if len(group) > 1:
            raise
        longest = prompt.shape[1] + len(group[0].tokens)
        raise ModelError(f"a neutral text of {longest} tokens and its gradient do not fit in memory") from None
    return drift.item(), slope[0].double().cpu().numpy()


def _batches(passes: "Passes", prompts: "torch.Tensor", group: Sequence[Neutral]) -> Iterator["torch.Tensor"]:
    """Yield log-probabilities (P', places, V) for as many candidates at a time as fit."""
    import torch

    most = _most_candidates(passes, prompts.shape[1], group)
    size = max(1, min(most, passes.batch_size or len(prompts)))
    while len(prompts):
        try:
            found = _log_probabilities(passes, prompts[:size], group)
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            size //= 2
            continue
        yield found
        prompts = prompts[size:]


def _log_probabilities(passes: "Passes", prompts: "torch.Tensor", group: Sequence[Neutral]) -> "torch.Tensor":
    rows = [text.tokens for text in group]
    reads = [read._replace(row=row) for row, text in enumerate(group) for read in text.reads]
    logits, places = passes.padded_logits(prompts, rows, reads)
    return logits[:, places].float().log_softmax(dim=-1)
