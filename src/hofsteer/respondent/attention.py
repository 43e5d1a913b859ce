"""Attention inside a trie: everything else of a model works on its nodes, attention on its rows.

Where a model attends, queries, keys and values of the nodes are copied to where the rows need them, the model's own
attention function runs on plain causal rows, and each node takes its output from one of them. So no position pays for
what it may not see, and masks are those of ordinary sequences: a window counts along a node's own path, and without a
window the mask is none at all, which is what fast kernels want.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, create_masks_for_generate
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from hofsteer.respondent.trie import Trie, is_late

NAME = "hofsteer_rows"

Masks = torch.Tensor | dict[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Part:
    """Rows of a pass that ask alike: all of a row, or late rows, of which only the end is not known from others."""

    queries: torch.Tensor  # (R * A,), positions that ask
    keys: torch.Tensor  # (R * T,), positions that each row sees
    n_rows: int
    masks: tuple[torch.Tensor | None, ...]  # in the order of Layout.masks; None is causal and nothing else


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the positions of a pass stand in rows; positions are the soft prompt's, then those of the nodes."""

    parts: tuple[Part, ...]
    homes: torch.Tensor  # (positions,), where in the outputs of all parts each position takes its own
    masks: Masks  # what the model is given: (1, 1, T, T) of one row or a stand-in, for all layers or by layer type
    implementation: str  # the model's own attention

    @property
    def nbytes(self) -> int:
        """How much memory it holds of its own: not the masks that the model is given."""
        given = {id(mask) for mask in _each(self.masks)}
        held = [self.homes]
        for part in self.parts:
            held += [part.queries, part.keys, *(m for m in part.masks if m is not None and id(m) not in given)]
        return sum(tensor.nbytes for tensor in held)


_current: ContextVar[Layout | None] = ContextVar("hofsteer_layout", default=None)


def row_masks(model: Any, length: int) -> tuple[Masks, torch.Tensor]:
    """Return the masks that a model uses on a row of `length` tokens, and what stands in for a merely causal one.

    They are the model's own: by layer type where it has several. Where a mask is merely causal, sdpa needs none: a
    stand-in of one number takes its place, so that long rows cost no memory.
    """
    config = model.config.get_text_config()
    embeds = torch.empty(1, length, 1, dtype=model.dtype, device=model.device)
    found = create_masks_for_generate(config, embeds, None, None, and_mask_function=_everything, position_ids=None)
    masks = dict(found) if isinstance(found, dict) else {"": found}
    causal = torch.ones(length, length, dtype=torch.bool, device=model.device).tril()
    stand_in = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=model.device)
    if config._attn_implementation == "sdpa":
        masks = {name: stand_in if bool((mask == causal).all()) else mask for name, mask in masks.items()}
    return (masks if isinstance(found, dict) else masks[""]), stand_in


def _everything(batch: Any, head: Any, query: Any, key: Any) -> Any:
    """Forbid nothing: asked for one more function, transformers writes the mask down instead of leaving it out."""
    return query >= 0


def lay_out(model: Any, trie: Trie, soft: int, masks: Masks, stand_in: torch.Tensor) -> Layout:
    """Return how a trie behind `soft` rows of a soft prompt stands in rows; masks are those of `row_masks`."""
    longest = soft + max(map(len, trie.paths))
    paths = [np.concatenate([np.arange(soft), soft + path]) for path in trie.paths]
    known = [soft + shared if shared else 0 for shared in trie.shared]
    late = np.array([is_late(shared, longest) for shared in known])
    homes = np.empty(soft + len(trie.tokens), dtype=np.int64)
    parts, before = [], 0
    for rows in (np.flatnonzero(~late), np.flatnonzero(late)):
        if not len(rows):
            continue
        first = np.array([known[row] if late[row] else 0 for row in rows])
        asked = max(1, *(len(paths[row]) - known[row] for row in rows)) if late[rows[0]] else longest
        places = np.minimum(first[:, None] + np.arange(asked), longest - 1)  # (R, A), beyond the end of a row too
        nodes = np.zeros((len(rows), longest), dtype=np.int64)
        for n, row in enumerate(rows):
            nodes[n, : len(paths[row])] = paths[row]
            homes[paths[row][known[row] :]] = before + n * asked + np.arange(known[row], len(paths[row])) - first[n]
        before += len(rows) * asked
        asking = torch.from_numpy(places).to(model.device)
        parts.append(
            Part(
                queries=torch.from_numpy(np.take_along_axis(nodes, places, axis=1).ravel()).to(model.device),
                keys=torch.from_numpy(nodes.ravel()).to(model.device),
                n_rows=len(rows),
                masks=tuple(_part_mask(mask, stand_in, asking, longest) for mask in _each(masks)),
            )
        )
    homes_there = torch.from_numpy(homes).to(model.device)
    return Layout(tuple(parts), homes_there, masks, model.config._attn_implementation)


def mask_bytes(masks: Masks) -> int:
    """Return how much memory the masks of one row hold."""
    return sum(mask.nbytes for mask in _each(masks))


def _each(masks: Masks) -> list[torch.Tensor]:
    return list(masks.values()) if isinstance(masks, dict) else [masks]


def _part_mask(mask: torch.Tensor, stand_in: torch.Tensor, asking: torch.Tensor, longest: int) -> torch.Tensor | None:
    """Return the mask (1 or R, 1, A, T) of rows that ask from the places (R, A)."""
    from_the_start = asking.shape[1] == longest
    if mask is stand_in:
        return None if from_the_start else (torch.arange(longest, device=asking.device) <= asking[..., None])[:, None]
    return mask if from_the_start else mask[0, 0][asking][:, None]


@contextmanager
def in_rows(model: Any, layout: Layout) -> Iterator[None]:
    """Let a model attend in rows for a while."""
    config = model.config
    before = config._attn_implementation
    token = _current.set(layout)
    try:
        config._attn_implementation = NAME
        yield
    finally:
        config._attn_implementation = before
        _current.reset(token)


def attend(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any, **options: Any
) -> tuple[torch.Tensor, None]:
    """Attend in rows: (B, heads, positions, D) to (B, positions, heads, D)."""
    layout = _current.get()
    if layout is None:
        raise RuntimeError(f"{NAME} attends inside `in_rows` only")
    number = next(n for n, mask in enumerate(_each(layout.masks)) if mask is attention_mask)
    function = _own_attention(module, layout.implementation)
    dtype = query.dtype
    if query.requires_grad and dtype.itemsize == 2 and query.device.type == "cpu" and layout.implementation == "sdpa":
        query, key, value = query.float(), key.float(), value.float()  # in 16 bits its backward pass is 8 times slower
    outputs = []
    for part in layout.parts:

        def to_rows(states: torch.Tensor, at: torch.Tensor, n_rows: int = part.n_rows) -> torch.Tensor:
            batch, heads, _, size = states.shape
            rows = states.transpose(1, 2).index_select(1, at)
            return rows.reshape(batch * n_rows, -1, heads, size).transpose(1, 2)

        mask = part.masks[number]
        if mask is not None and len(mask) > 1:
            mask = mask.repeat(len(query), 1, 1, 1)
        states = to_rows(query, part.queries), to_rows(key, part.keys), to_rows(value, part.keys)
        output = function(module, *states, mask, **options)[0]
        outputs.append(output.reshape(len(query), -1, *output.shape[2:]))
    rows = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)
    return rows.index_select(1, layout.homes).to(dtype), None


def _own_attention(module: Any, implementation: str) -> Callable[..., Any]:
    """Return the attention function that a module would have used."""
    if implementation == "eager":
        return cast(Callable[..., Any], sys.modules[type(module).__module__].eager_attention_forward)
    return cast(Callable[..., Any], ALL_ATTENTION_FUNCTIONS[implementation])


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
