"""Forward passes of a frozen model: candidates times rows of token ids in, log-probabilities of some tokens out.

The reference path is exact for every architecture: right-padded rows `[soft prompt][text][pad]` at default positions,
logits at the last real tokens. The fast path puts the rows into one trie (`trie.py`), and is used as long as it gives
what the reference path gives.
"""

import inspect
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

import numpy as np
import torch

from hofsteer.config import EXPECTED, ReadOut
from hofsteer.errors import ModelError
from hofsteer.instruments.base import Floats
from hofsteer.respondent.attention import Layout, Masks, in_rows, lay_out, mask_bytes, row_masks
from hofsteer.respondent.read_out import token_log_probabilities
from hofsteer.respondent.render import Read, Rendered
from hofsteer.respondent.trie import Trie, groups_of_neighbours, is_late, known_lengths, places

POSITIONS_PER_PASS = {"cpu": 1 << 14, "cuda": 1 << 16}  # tokens of one forward pass, padding included
MOST_KEPT = 1 << 26  # bytes of what lays out passes, masks included, kept from one call to the next
SHORTEST_SHARE = 0.8  # rows share a padded pass if the shortest is at least this share of the longest
UNTOLD = "the reference gives no numbers for this candidate"  # so the next one decides
# Largest difference of log-probabilities between both paths, in units of the largest logit: what rounding explains.
TOLERANCE = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}

log = logging.getLogger(__name__)


class Passes:
    """All forward passes of one model, and what was learnt about it on the way."""

    def __init__(self, model: Any, name: str, batch_size: int | None = None) -> None:
        self.model = model
        self.name = name
        self.batch_size = batch_size  # candidates of one pass at most
        self.positions_per_pass = POSITIONS_PER_PASS.get(self.device.type, POSITIONS_PER_PASS["cpu"])
        self.uses_trie = True  # until it is found not to give what the reference path gives
        self.keeps_logits = "logits_to_keep" in inspect.signature(model.forward).parameters  # only where they are read
        self._checked = np.zeros(3, dtype=np.int64)  # the largest `_extent` on which both paths were compared
        self._masks: dict[int, tuple[Masks, torch.Tensor]] = {}  # by the length of the rows
        self._layouts: dict[tuple[int, tuple[tuple[int, ...], ...]], tuple[Trie, Layout]] = {}

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return cast(torch.device, self.model.get_input_embeddings().weight.device)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Return what the embedding module gives for token ids, any scaling inside it included."""
        with torch.inference_mode():
            return cast(torch.Tensor, self.model.get_input_embeddings()(ids))

    def log_probabilities(self, prompts: torch.Tensor, rendered: Rendered, read_out: ReadOut) -> dict[Read, Floats]:
        """Look up every read of an administration for every candidate (P, L, W): read -> (P,)."""
        self.check_trie(prompts, rendered)
        wanted: dict[int, list[Read]] = {}
        for read in dict.fromkeys(read for options in rendered.reads for reads in options for read in reads):
            wanted.setdefault(read.row, []).append(read)
        found: dict[Read, Floats] = {}
        for rows in self.groups(rendered.rows, prompts.shape[1], self.positions_per_pass):
            reads = [read._replace(row=place) for place, row in enumerate(rows) for read in wanted[row]]
            values = self.look_up(prompts, [rendered.rows[row] for row in rows], reads, read_out)
            for read, value in zip(reads, values, strict=True):
                found[read._replace(row=rows[read.row])] = value
        return found

    @property
    def vocabulary_size(self) -> int:
        """V, how many tokens the model chooses among."""
        return int(self.model.config.get_text_config().vocab_size)

    def groups(self, rows: Sequence[tuple[int, ...]], soft: int, most_places: int) -> list[list[int]]:
        """Return row indices in groups of one pass each; with one candidate a group takes at most `most_places`."""
        if self.uses_trie:
            return groups_of_neighbours(rows, most_places, in_front=soft)
        return _groups_of_like_length(rows, most_places)

    def look_up(
        self, prompts: torch.Tensor, rows: list[tuple[int, ...]], reads: list[Read], read_out: ReadOut = EXPECTED
    ) -> Floats:
        """Pass all candidates through the rows, as many at a time as fit: log-probabilities (reads, P)."""
        taken = self.places(rows, prompts.shape[1])
        size = max(1, min(self.positions_per_pass // taken, self.batch_size or len(prompts), len(prompts)))
        while True:
            try:
                parts = [self._pass(batch, rows, reads, read_out) for batch in torch.split(prompts, size)]
                return np.concatenate(parts, axis=1)
            except torch.OutOfMemoryError:
                pass  # what the failed pass held is free only after this block
            if size == 1:
                return self._look_up_in_halves(prompts, rows, reads, read_out)
            size //= 2
            self.positions_per_pass = min(self.positions_per_pass, size * taken)
            log.warning("out of memory: going on with %d candidates at a time", size)

    def _look_up_in_halves(
        self, prompts: torch.Tensor, rows: list[tuple[int, ...]], reads: list[Read], read_out: ReadOut
    ) -> Floats:
        """Pass the candidates through half of the rows, then through the others: (reads, P)."""
        middle = self._halve(rows, prompts.shape[1])
        values = np.empty((len(reads), len(prompts)))
        for first, part in ((0, rows[:middle]), (middle, rows[middle:])):
            inside = [n for n, read in enumerate(reads) if first <= read.row < first + len(part)]
            moved = [reads[n]._replace(row=reads[n].row - first) for n in inside]
            values[inside] = self.look_up(prompts, part, moved, read_out)
        return values

    def _halve(self, rows: list[tuple[int, ...]], soft: int) -> int:
        """Remember that one candidate with these rows does not fit; return how many rows to try instead."""
        if len(rows) == 1:
            raise ModelError(f"one candidate and one item of {soft + len(rows[0])} tokens do not fit in memory")
        self.positions_per_pass = min(self.positions_per_pass, self.places(rows, soft) // 2)
        log.warning("out of memory: going on with %d items at a time", len(rows) // 2)
        return len(rows) // 2

    def places(self, rows: list[tuple[int, ...]], soft: int) -> int:
        """Return how many places of a pass the rows take for each candidate."""
        longest = soft + max(map(len, rows))
        return places(known_lengths(sorted(rows), soft), longest) if self.uses_trie else len(rows) * longest

    def _pass(self, prompts: torch.Tensor, rows: list[tuple[int, ...]], reads: list[Read], read_out: ReadOut) -> Floats:
        """One forward pass over candidates x rows: log-probabilities (reads, P)."""
        values = self.forward(prompts, rows, reads, read_out)
        return cast(Floats, values.T.cpu().numpy().astype(np.float64))

    def forward(
        self, prompts: torch.Tensor, rows: list[tuple[int, ...]], reads: list[Read], read_out: ReadOut
    ) -> torch.Tensor:
        """One forward pass over candidates x rows: log-probabilities (P, reads), with a graph if prompts need one."""
        shares = self.uses_trie and len(rows) > 1  # one row alone has nothing to share
        logits, places = (self._trie_logits if shares else self.padded_logits)(prompts, rows, reads)
        at = torch.tensor(places, device=self.device)
        tokens = torch.tensor([read.token for read in reads], device=self.device)
        with _graph_of(prompts):
            logits = logits if logits.dtype == torch.float64 else logits.float()
            return token_log_probabilities(logits, read_out)[:, at, tokens]

    def _trie_logits(
        self, prompts: torch.Tensor, rows: list[tuple[int, ...]], reads: list[Read]
    ) -> tuple[torch.Tensor, list[int]]:
        """Return logits (P, kept, vocabulary) of one pass over the trie of the rows, and where in them each read is."""
        candidates, soft = prompts.shape[:2]
        trie, layout = self._layout(soft, tuple(rows))
        at = [soft + int(trie.paths[read.row][read.position]) for read in reads]
        kept = sorted(set(at))
        depths = torch.from_numpy(trie.depths).to(self.device)
        positions = torch.cat([torch.arange(soft, device=self.device), soft + depths])
        with _graph_of(prompts), in_rows(self.model, layout):
            text = self.embed(torch.from_numpy(trie.tokens).to(self.device)).clone()  # not bound to inference
            embeds = torch.cat([prompts, text.expand(candidates, -1, -1)], dim=1)
            logits = self._logits(embeds, layout.masks, kept, position_ids=positions.expand(candidates, -1))
        return logits, [kept.index(place) for place in at]

    def _layout(self, soft: int, rows: tuple[tuple[int, ...], ...]) -> tuple[Trie, Layout]:
        """Return the trie of rows behind `soft` rows of a soft prompt, and how its positions stand in rows."""
        if (soft, rows) not in self._layouts:
            trie = Trie.of(rows)
            length = soft + max(map(len, rows))
            if length not in self._masks:
                self._masks[length] = row_masks(self.model, length)
            kept = sum(layout.nbytes for _, layout in self._layouts.values())
            if kept + sum(mask_bytes(masks) for masks, _ in self._masks.values()) > MOST_KEPT:
                self._layouts.clear()
                self._masks = {length: self._masks[length]}
            self._layouts[soft, rows] = trie, lay_out(self.model, trie, soft, *self._masks[length])
        return self._layouts[soft, rows]

    def check_trie(self, prompts: torch.Tensor, rendered: Rendered) -> None:
        """Stop using the trie if it does not give what the reference path gives.

        Compared whenever a row is longer, a pass larger, or rows late for the first time: what a mask gets wrong shows
        at the end of the longest row, what goes by the place in the pass at its last row.
        """
        if not self.uses_trie or len(rendered.rows) == 1:
            return
        soft, rows = prompts.shape[1], rendered.rows
        groups = [[rows[i] for i in group] for group in groups_of_neighbours(rows, self.positions_per_pass, soft)]
        seen = np.array([_extent(group, soft) for group in groups])
        if (seen.max(axis=0) <= self._checked).all():
            return
        for number in dict.fromkeys(seen.argmax(axis=0).tolist()):
            why = self._trie_fault(prompts[:1], groups[number])
            if why == UNTOLD:
                return
            if why is not None:
                self.uses_trie = False
                log.warning("%s: items are asked one by one, not in one pass: %s", self.name, why)
                return
        self._checked = np.maximum(self._checked, seen.max(axis=0))

    def _trie_fault(self, prompt: torch.Tensor, rows: list[tuple[int, ...]]) -> str | None:
        """Return what is wrong with a pass over a trie; None if it agrees with the reference.

        UNTOLD if the reference itself gives no numbers.
        """
        implementation = self.model.config._attn_implementation
        if implementation not in ("sdpa", "eager"):
            return f"no masks for {implementation} attention"
        try:
            return self._difference(prompt, rows)
        except torch.OutOfMemoryError:
            pass  # what the failed pass held is free only after this block
        middle = self._halve(rows, prompt.shape[1])
        return self._trie_fault(prompt, rows[:middle]) or self._trie_fault(prompt, rows[middle:])

    def _difference(self, prompt: torch.Tensor, rows: list[tuple[int, ...]]) -> str | None:
        """Compare both paths at the longest row, the last, and the one that shares most and adds something."""
        shared = [known if known < len(row) else 0 for row, known in zip(rows, Trie.of(rows).shared, strict=True)]
        picked = sorted({int(np.argmax([len(row) for row in rows])), int(np.argmax(shared)), len(rows) - 1})
        reads = [Read(i, len(rows[i]) - 1, 0) for i in picked]
        try:
            logits, places = self._trie_logits(prompt, rows, reads)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # whatever a model raises that was not made for masks or positions of its own
            reason = str(error).strip().splitlines() or [""]
            return f"its forward pass raises {type(error).__name__}: {reason[0]}"
        found = logits[0, places].float().log_softmax(-1)
        alone = [self.padded_logits(prompt, [rows[i]], [Read(0, len(rows[i]) - 1, 0)])[0][0] for i in picked]
        wanted = torch.cat(alone).float().log_softmax(-1)
        if not bool(wanted.isfinite().all()):
            return UNTOLD
        difference = float((found - wanted).abs().max())
        tolerance = TOLERANCE.get(self.model.dtype, TOLERANCE[torch.bfloat16]) * max(1.0, float(wanted.abs().max()))
        return None if difference <= tolerance else f"log-probabilities would differ by {difference:.1e}"

    def padded_logits(
        self, prompts: torch.Tensor, rows: list[tuple[int, ...]], reads: list[Read]
    ) -> tuple[torch.Tensor, list[int]]:
        """Return logits (P, kept, vocabulary) of one pass over padded rows, and where in them each read is."""
        candidates, soft = prompts.shape[:2]
        longest = max(map(len, rows))
        ids = torch.zeros(len(rows), longest, dtype=torch.long, device=self.device)
        mask = torch.zeros(len(rows), soft + longest, dtype=torch.long, device=self.device)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row)
            mask[place, : soft + len(row)] = 1
        kept = sorted({soft + read.position for read in reads})
        with _graph_of(prompts):
            text = self.embed(ids).clone()  # not bound to inference
            embeds = torch.cat(
                [
                    prompts[:, None].expand(-1, len(rows), -1, -1),
                    text[None].expand(candidates, -1, -1, -1),
                ],
                dim=2,
            ).flatten(0, 1)
            logits = self._logits(embeds, mask.repeat(candidates, 1), kept)
            logits = logits.reshape(candidates, len(rows) * len(kept), -1)
        return logits, [read.row * len(kept) + kept.index(soft + read.position) for read in reads]

    def _logits(self, embeds: torch.Tensor, mask: Any, kept: list[int], **options: Any) -> torch.Tensor:
        """Return the logits (rows, kept, vocabulary) at some positions."""
        at = torch.tensor(kept, device=self.device)
        if self.keeps_logits:
            options["logits_to_keep"] = at
        logits = self.model(inputs_embeds=embeds, attention_mask=mask, use_cache=False, **options).logits
        return cast(torch.Tensor, logits if self.keeps_logits else logits[:, at])


def _graph_of(prompts: torch.Tensor) -> AbstractContextManager[Any]:
    """Return the mode of a pass: with a graph of what led to its result if the prompts require it, else without."""
    return torch.enable_grad() if prompts.requires_grad else torch.inference_mode()


def _extent(rows: Sequence[tuple[int, ...]], soft: int) -> tuple[int, int, int]:
    """Return what a pass asks of the trie: longest row and all rows, in tokens, and 1 if a row is late."""
    longest = soft + max(map(len, rows))
    late = any(is_late(known, longest) for known in known_lengths(sorted(rows), soft))
    return longest, soft + sum(map(len, rows)), int(late)


def _groups_of_like_length(rows: Sequence[tuple[int, ...]], most_positions: int) -> list[list[int]]:
    """Return row indices in groups that waste little padding and that fit one pass."""
    groups: list[list[int]] = []
    for index in sorted(range(len(rows)), key=lambda i: (-len(rows[i]), i)):
        longest = len(rows[groups[-1][0]]) if groups else 0
        full = groups and (len(groups[-1]) + 1) * longest > most_positions
        if not groups or full or len(rows[index]) < SHORTEST_SHARE * longest:
            groups.append([])
        groups[-1].append(index)
    return groups
