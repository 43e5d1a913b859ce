"""Gradients of what a model answers, with respect to the soft prompt: forward passes with a backward pass behind them.

The weights are frozen and never get a gradient: only the soft prompt is differentiated. What is wanted of the answers
is asked once, as one weight for each log-probability, so items can be passed in parts when all do not fit in memory.
"""

import logging
from collections.abc import Callable

import numpy as np
import torch

from hofsteer.config import ReadOut
from hofsteer.errors import ModelError
from hofsteer.instruments.base import Floats
from hofsteer.respondent.passes import Passes
from hofsteer.respondent.render import Read, Rendered

Weigh = Callable[[dict[Read, Floats]], dict[Read, float]]  # log-probabilities (1,) -> what each weighs in the sum

log = logging.getLogger(__name__)


def pull_back(passes: Passes, prompt: torch.Tensor, rendered: Rendered, read_out: ReadOut, weigh: Weigh) -> Floats:
    """Return the gradient (L, W) of sum over reads of weight * log-probability, for one soft prompt (L, W).

    All items go through one forward and one backward pass if they fit in memory. Otherwise they are halved until they
    do, at the price of one forward pass more for each part, since weights are known after all answers are.

    Args:
        passes: of the model.
        prompt: (L, W), in the dtype of the embeddings.
        rendered: the administration.
        read_out: one that leaves log-probabilities differentiable.
        weigh: called with all log-probabilities, perhaps more than once.

    Raises:
        ModelError: not even one item fits in memory.
    """
    soft, most = len(prompt), passes.positions_per_pass
    passes.check_trie(prompt[None], rendered)
    while True:
        groups = passes.groups(rendered.rows, soft, most)
        try:
            return _in_groups(passes, prompt, rendered, read_out, weigh, groups)
        except torch.OutOfMemoryError:
            pass  # what the failed pass held is free only after this block
        largest = max(groups, key=len)
        if len(largest) == 1:
            longest = soft + max(len(row) for row in rendered.rows)
            raise ModelError(f"one item of {longest} tokens and its gradient do not fit in memory")
        most = passes.places([rendered.rows[row] for row in largest], soft) // 2
        passes.positions_per_pass = min(passes.positions_per_pass, most)
        log.warning("out of memory: gradients go on with about %d items at a time", len(largest) // 2)


def _in_groups(
    passes: Passes,
    prompt: torch.Tensor,
    rendered: Rendered,
    read_out: ReadOut,
    weigh: Weigh,
    groups: list[list[int]],
) -> Floats:
    leaf = prompt.detach().clone().requires_grad_()
    wanted = list(dict.fromkeys(read for options in rendered.reads for reads in options for read in reads))
    total = torch.zeros_like(leaf, dtype=torch.float64)
    weights: dict[Read, float] | None = None
    if len(groups) > 1:
        weights = weigh(passes.log_probabilities(prompt[None], rendered, read_out))
    for rows in groups:
        place = {row: n for n, row in enumerate(rows)}
        reads = [read for read in wanted if read.row in place]
        moved = [read._replace(row=place[read.row]) for read in reads]
        values = passes.forward(leaf[None], [rendered.rows[row] for row in rows], moved, read_out)[0]
        if weights is None:
            weights = weigh(dict(zip(reads, values.detach().double().cpu().numpy()[:, None], strict=True)))
        factors = torch.tensor([weights[read] for read in reads], dtype=values.dtype, device=values.device)
        (slope,) = torch.autograd.grad(values, leaf, factors)
        total += slope
    return np.asarray(total.cpu().numpy())
