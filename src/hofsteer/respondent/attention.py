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

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, create_masks_for_generate
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

NAME = "hofsteer_rows"

Masks = torch.Tensor | dict[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the positions of a pass stand in rows; positions are the soft prompt's, then those of the nodes."""

    nodes: torch.Tensor  # (R * T,), position that stands at each place of the rows
    homes: torch.Tensor  # (positions,), place from which each position takes its output
    n_rows: int
    masks: Masks  # of one row, (1, 1, T, T) or a stand-in: one for all layers, or by layer type
    implementation: str  # the model's own attention
    stand_in: torch.Tensor  # where a layer is given this mask, it is causal and nothing else


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
    if attention_mask is layout.stand_in:
        attention_mask = None  # sdpa takes it to be causal then

    def to_rows(states: torch.Tensor) -> torch.Tensor:
        batch, heads, _, size = states.shape
        rows = states.transpose(1, 2).index_select(1, layout.nodes)
        return rows.reshape(batch * layout.n_rows, -1, heads, size).transpose(1, 2)

    function = _own_attention(module, layout.implementation)
    output = function(module, to_rows(query), to_rows(key), to_rows(value), attention_mask, **options)[0]
    rows = output.reshape(len(query), -1, *output.shape[2:])
    return rows.index_select(1, layout.homes), None


def _own_attention(module: Any, implementation: str) -> Callable[..., Any]:
    """Return the attention function that a module would have used."""
    if implementation == "eager":
        return cast(Callable[..., Any], sys.modules[type(module).__module__].eager_attention_forward)
    return cast(Callable[..., Any], ALL_ATTENTION_FUNCTIONS[implementation])


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
