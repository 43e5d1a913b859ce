"""What a read-out makes of logits, token by token."""

import torch

from hofsteer.config import ReadOut


def token_log_probabilities(logits: torch.Tensor, read_out: ReadOut) -> torch.Tensor:
    """Return log-probabilities of the next token (..., V) as a read-out sees them; -inf for what it never takes.

    A temperature and a nucleus (top-p: Holtzman et al. 2020, arXiv 1904.09751) are computed, not sampled.

    Args:
        logits: (..., V), in float32.
        read_out: `expected` leaves the model's own; `greedy` gives the likeliest token everything; the others divide by
            the temperature and keep the smallest set of likeliest tokens that together have at least `top_p`.
    """
    if read_out.kind == "expected":
        return logits.log_softmax(-1)
    if read_out.kind == "greedy":
        best = torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).bool()
        kept = torch.zeros_like(logits).masked_fill(~best, -torch.inf)
        return kept.masked_fill(logits.isnan().any(-1, keepdim=True), torch.nan)  # NaN stays a recorded failure
    tempered = (logits / read_out.temperature).log_softmax(-1)
    if read_out.top_p >= 1.0:
        return tempered
    ranked, order = tempered.sort(stable=True, dim=-1, descending=True)
    before = ranked.exp().cumsum(-1) - ranked.exp()  # of the likelier tokens
    dropped = torch.zeros_like(before, dtype=torch.bool).scatter(-1, order, before >= read_out.top_p)
    return tempered.masked_fill(dropped, -torch.inf).log_softmax(-1)
