"""Answers as generated text: sampled token by token with given luck, then parsed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from hofsteer.config import ReadOut
from hofsteer.instruments import Administration
from hofsteer.instruments.base import Floats
from hofsteer.respondent.base import NOT_NUMBERS, Responses, common_instrument
from hofsteer.respondent.draws import uniforms
from hofsteer.respondent.parsing import Said, parse_answer
from hofsteer.respondent.read_out import token_log_probabilities

if TYPE_CHECKING:
    from hofsteer.respondent.hf import HFRespondent

Text = tuple[int, ...]


def generated_responses(
    respondent: "HFRespondent", prompts: torch.Tensor, administrations: Sequence[Administration], read_out: ReadOut
) -> Responses:
    """Return what parsed texts say: shares of options among the draws that chose one, refusals and the rest as data.

    `valid_mass` is the share of the draws that chose an option. A candidate fails if an item has no such draw.
    """
    mask = common_instrument(administrations).option_mask
    shape = (len(prompts), len(administrations), len(mask))
    counts, refused, unparsable = np.zeros((*shape, mask.shape[1])), np.zeros(shape), np.zeros(shape)
    broken = np.zeros(len(prompts), dtype=np.bool_)
    for a, administration in enumerate(administrations):
        for i, item in enumerate(administration.instrument.items):
            numbers = uniforms(read_out, administration, i, read_out.max_new_tokens)
            start = respondent.prompt_ids(administration, i)
            shown = administration.presented(item)
            words = [item.options[k].text for k in shown]
            for p, texts in enumerate(generate(respondent, prompts, start, numbers, read_out)):
                broken[p] |= texts is None
                for text in texts or ():
                    said = parse_answer(text, administration.option_labels(item), words)
                    _count(said, shown, counts[p, a, i], refused[p, a], unparsable[p, a], i)
    used = counts.sum(axis=-1)
    silent = (used == 0).any(axis=(1, 2)) | broken
    with np.errstate(invalid="ignore"):
        probabilities = counts / used[..., None]
    probabilities[silent] = np.nan
    reasons = np.where(broken, NOT_NUMBERS, "no generated text of an item chose one of its options")
    failures = tuple(str(reason) if one else None for one, reason in zip(silent, reasons, strict=True))
    draws = read_out.draws
    return Responses(probabilities, used / draws, mask, failures, refused / draws, unparsable / draws)


def _count(said: Said, shown: Sequence[int], counts: Floats, refused: Floats, unparsable: Floats, i: int) -> None:
    if said == "refused":
        refused[i] += 1
    elif said == "unparsable":
        unparsable[i] += 1
    else:
        counts[shown[said]] += 1


def generate(
    respondent: "HFRespondent", prompts: torch.Tensor, start: Text, numbers: Floats, read_out: ReadOut
) -> list[list[str] | None]:
    """Return the texts of every candidate and draw after one prompt, without special tokens.

    None for a candidate under which the model gives NaN or infinite logits.

    At each step the token is the one at which the cumulated probabilities, the likeliest first, exceed the uniform.
    There is no cache: each step is a plain forward pass over what is there, right for every architecture, and texts
    that are the same so far share it.

    Args:
        respondent: the model.
        prompts: soft prompts (P, L, W).
        start: token ids up to where the answer begins.
        numbers: uniforms (draws, most new tokens).
        read_out: temperature and top-p.
    """
    return [_texts(respondent, prompt, start, numbers, read_out) for prompt in prompts]


def _texts(
    respondent: "HFRespondent", prompt: torch.Tensor, start: Text, numbers: Floats, read_out: ReadOut
) -> list[str] | None:
    """Return the texts of one candidate (L, W), one a draw."""
    ends = respondent.end_ids
    said: list[Text] = [()] * len(numbers)
    for step in range(numbers.shape[1]):
        going = sorted({text for text in said if not text or text[-1] not in ends})
        if not going:
            break
        logits = respondent.next_logits(prompt, [start + text for text in going])
        if bool((logits.isnan() | logits.isposinf()).any()):
            return None
        probabilities = token_log_probabilities(logits, read_out).double().exp()
        ranked, order = probabilities.sort(stable=True, dim=-1, descending=True)
        reached = ranked.cumsum(-1).cpu().numpy()
        for draw, text in enumerate(said):
            if text in going:
                row = going.index(text)
                place = int(np.searchsorted(reached[row], numbers[draw, step] * reached[row, -1], side="right"))
                said[draw] = (*text, int(order[row, min(place, reached.shape[1] - 1)]))
    return [respondent.tokenizer.decode(text, skip_special_tokens=True) for text in said]
