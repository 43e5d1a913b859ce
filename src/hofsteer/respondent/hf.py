"""A frozen causal language model of transformers as a respondent.

The reference path is exact for every architecture: right-padded rows `[soft prompt][text][pad]` at default positions,
logits at the last real tokens. The fast path puts the rows into one trie (`trie.py`), and is used as long as it gives
what the reference path gives. The soft prompt stands in front of everything, the beginning-of-sequence token included,
because that is where PEFT puts it.
"""

import inspect
import logging
import time
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch

from hofsteer.config import EXPECTED, ModelSettings, ReadOut
from hofsteer.errors import ModelError, SoftPromptError
from hofsteer.files import hash_bytes
from hofsteer.instruments import Administration
from hofsteer.instruments.base import Floats
from hofsteer.respondent import mini
from hofsteer.respondent.attention import Layout, Masks, in_rows, lay_out, row_masks
from hofsteer.respondent.base import Respondent, Responses, SoftPrompts, common_instrument, make_responses
from hofsteer.respondent.generate import generated_responses
from hofsteer.respondent.loading import load_model
from hofsteer.respondent.read_out import token_log_probabilities
from hofsteer.respondent.render import Read, Rendered, render
from hofsteer.respondent.trie import Trie, groups_of_neighbours, places, shared_length

BUNDLED = ("mini",)
POSITIONS_PER_PASS = {"cpu": 1 << 14, "cuda": 1 << 16}  # tokens of one forward pass, padding included
MOST_KEPT = 1 << 20  # numbers that lay out passes, kept from one call to the next
SHORTEST_SHARE = 0.8  # rows share a padded pass if the shortest is at least this share of the longest
# Largest difference of log-probabilities between both paths, in units of the largest logit: what rounding explains.
UNTOLD = "the reference gives no numbers for this candidate"  # so the next one decides
TOLERANCE = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}

log = logging.getLogger(__name__)


class HFRespondent(Respondent):
    """Reads the answers of a causal language model from its logits. The model is never changed."""

    def __init__(self, model: Any, tokenizer: Any, settings: ModelSettings) -> None:
        takes = inspect.signature(model.forward).parameters
        if "inputs_embeds" not in takes:
            raise ModelError(f"{settings.id}: {type(model).__name__} takes no inputs_embeds, so no soft prompt either")
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.settings = settings
        known = mini.card()
        same_size = model.num_parameters() == known["parameters"]  # spares large models the hash
        self.simulated = same_size and self.fingerprint == known["weights_sha256"]
        self._said: set[str] = set()
        self.positions_per_pass = POSITIONS_PER_PASS.get(self.device.type, POSITIONS_PER_PASS["cpu"])
        self._rendered: dict[Administration, Rendered] = {}
        self._keeps_logits = "logits_to_keep" in takes
        self.uses_trie = True  # until it is found not to give what the reference path gives
        self._checked = (0, 0)  # longest row and largest pass, in tokens, on which both paths were compared
        self._masks: dict[int, tuple[Masks, torch.Tensor]] = {}  # by the length of the rows
        self._layouts: dict[tuple[int, tuple[tuple[int, ...], ...]], tuple[Trie, Layout]] = {}

    @classmethod
    def load(cls, settings: ModelSettings) -> "HFRespondent":
        """Load a model from a hub id, a local folder, or the bundled `mini`; only safetensors weights are read.

        Unless settings say otherwise, the device is a GPU if there is one, the dtype float32 on the CPU and bfloat16
        elsewhere.

        Raises:
            ModelError: there is no such model, or it cannot be loaded.
        """
        model, tokenizer = load_model(settings)
        return cls(model, tokenizer, settings)

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return cast(torch.device, self.model.get_input_embeddings().weight.device)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the input embeddings, to which a soft prompt is cast."""
        return cast(torch.dtype, self.model.get_input_embeddings().weight.dtype)

    @cached_property
    def width(self) -> int:
        """W, the width of the input embeddings (not always the hidden size)."""
        return int(self.embed(torch.zeros(1, dtype=torch.long, device=self.device)).shape[-1])

    @cached_property
    def spread(self) -> float:
        """Standard deviation of all values that the embedding module gives for the vocabulary."""
        rows = self.model.get_input_embeddings().weight.shape[0]
        total = squares = 0.0
        for ids in torch.split(torch.arange(rows, device=self.device), 8192):
            values = self.embed(ids).double()
            total += float(values.sum())
            squares += float(values.square().sum())
        count = rows * self.width
        return float(np.sqrt(squares / count - (total / count) ** 2))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the weights that are in use, in their dtype."""
        parts = []
        for name, tensor in sorted(self.model.state_dict().items()):
            data = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
            parts.append(f"{name} {tensor.dtype} {hash_bytes(data.tobytes())}")
        return hash_bytes("\n".join(parts).encode())

    def identity(self) -> dict[str, str | None]:
        """The hub commit that was loaded, if any, and a hash of the weights."""
        revision = getattr(self.model.config, "_commit_hash", None) or self.settings.revision
        return {"revision": revision, "weights_sha256": self.fingerprint}

    def conditions(self) -> dict[str, str]:
        """Device and dtype."""
        return {"device": self.device.type, "dtype": str(self.dtype).removeprefix("torch.")}

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Return what the embedding module gives for token ids, any scaling inside it included."""
        with torch.inference_mode():
            return cast(torch.Tensor, self.model.get_input_embeddings()(ids))

    def rendered(self, administration: Administration) -> Rendered:
        """The administration as token ids, rendered on first use and never again."""
        if administration not in self._rendered:
            self.use_rendered(administration, render(administration, self.tokenizer, self.settings.template))
        return self._rendered[administration]

    def use_rendered(self, administration: Administration, rendered: Rendered) -> None:
        """Put an administration with these token ids from now on, for example those stored in a run."""
        for note in sorted(set(rendered.notes) - self._said):
            self._said.add(note)
            log.warning("%s: %s", self.settings.id, note)
        self._rendered[administration] = rendered

    def respond(
        self,
        administrations: Sequence[Administration],
        soft_prompts: SoftPrompts | None = None,
        read_out: ReadOut = EXPECTED,
    ) -> Responses:
        """Answer every administration once per soft prompt; see `Respondent.respond`.

        Raises:
            SoftPromptError: the soft prompts have another width than the model.
        """
        option_mask = common_instrument(administrations).option_mask
        if soft_prompts is None:
            soft_prompts = np.zeros((1, 0, self.width), dtype=np.float32)
        if soft_prompts.ndim != 3 or soft_prompts.shape[2] != self.width:
            raise SoftPromptError(
                f"want soft prompts (candidates, tokens, {self.width}) for {self.settings.id}, got {soft_prompts.shape}"
            )
        own = np.array(soft_prompts, order="C")  # a copy: torch takes neither read-only nor reversed arrays
        prompts = torch.from_numpy(own).to(self.device, self.dtype)
        if read_out.kind == "generated":
            return generated_responses(self, prompts, administrations, read_out)
        log_probabilities = np.full((len(prompts), len(administrations), *option_mask.shape), -np.inf)
        for a, administration in enumerate(administrations):
            rendered = self.rendered(administration)
            self._check_trie(prompts, rendered)
            found = self._log_probabilities(prompts, rendered, read_out)
            for i, options in enumerate(rendered.reads):
                for k, reads in enumerate(options):
                    log_probabilities[:, a, i, k] = sum(found[read] for read in reads)
        return make_responses(log_probabilities, option_mask, administrations, read_out)

    def measure_batch_size(self, administration: Administration, soft_tokens: int, most: int) -> int:
        """Double the candidates of a pass for as long as that saves a twentieth of the time for each.

        The size is kept in `settings`; what settings say already is not measured.
        """
        if self.settings.batch_size is not None:
            return self.settings.batch_size
        rng = np.random.default_rng([1, 1])
        prompts = rng.normal(0.0, self.spread, (most, soft_tokens, self.width)).astype(np.float32)
        self.respond([administration], prompts[:1])  # renders, checks and warms up

        def seconds_each(size: int) -> float:
            self.settings = self.settings.model_copy(update={"batch_size": size})
            times = []
            for _ in range(2):
                began = time.perf_counter()
                self.respond([administration], prompts[:size])
                times.append(time.perf_counter() - began)
            return min(times) / size

        size, best = 1, seconds_each(1)
        while 2 * size <= most and (now := seconds_each(2 * size)) < 0.95 * best:
            size, best = 2 * size, now
        self.settings = self.settings.model_copy(update={"batch_size": size})
        return size

    @cached_property
    def end_ids(self) -> frozenset[int]:
        """Tokens that end a generated text."""
        named = getattr(self.model.generation_config, "eos_token_id", None)
        ids = [*(named if isinstance(named, list) else [named]), self.tokenizer.eos_token_id]
        return frozenset(int(one) for one in ids if one is not None)

    def prompt_ids(self, administration: Administration, item: int) -> tuple[int, ...]:
        """The token ids of an item up to where its options part."""
        rendered = self.rendered(administration)
        first = rendered.reads[item][0][0]
        return rendered.rows[first.row][: first.position + 1]

    def next_logits(self, prompt: torch.Tensor, texts: list[tuple[int, ...]]) -> torch.Tensor:
        """Return the logits (len(texts), V) of the token that follows each text, behind one soft prompt (L, W)."""
        reads = [Read(row, len(text) - 1, 0) for row, text in enumerate(texts)]
        with torch.inference_mode():
            logits, places = self._padded_logits(prompt[None], texts, reads)
            return logits[0, places].float()

    def _log_probabilities(self, prompts: torch.Tensor, rendered: Rendered, read_out: ReadOut) -> dict[Read, Floats]:
        """Look up every read of an administration for every candidate: read -> (P,)."""
        wanted: dict[int, list[Read]] = {}
        for read in dict.fromkeys(read for options in rendered.reads for reads in options for read in reads):
            wanted.setdefault(read.row, []).append(read)
        found: dict[Read, Floats] = {}
        soft, budget = prompts.shape[1], self.positions_per_pass
        if self.uses_trie:
            groups = groups_of_neighbours(rendered.rows, budget, in_front=soft)
        else:
            groups = _groups_of_like_length(rendered.rows, budget)
        for rows in groups:
            reads = [read._replace(row=place) for place, row in enumerate(rows) for read in wanted[row]]
            values = self._pass_in_batches(prompts, [rendered.rows[row] for row in rows], reads, read_out)
            for read, value in zip(reads, values, strict=True):
                found[read._replace(row=rows[read.row])] = value
        return found

    def _pass_in_batches(
        self, prompts: torch.Tensor, rows: list[tuple[int, ...]], reads: list[Read], read_out: ReadOut
    ) -> Floats:
        """Pass all candidates through the rows, as many at a time as fit: (reads, P)."""
        length = prompts.shape[1] + max(map(len, rows))
        taken = self._places(rows, prompts.shape[1])
        size = max(1, min(self.positions_per_pass // taken, self.settings.batch_size or len(prompts)))
        while True:
            try:
                parts = [self._pass(batch, rows, reads, read_out) for batch in torch.split(prompts, size)]
                return np.concatenate(parts, axis=1)
            except torch.OutOfMemoryError:
                if size == 1 and len(rows) == 1:
                    raise ModelError(f"one candidate and one item of {length} tokens do not fit in memory") from None
                if size == 1:
                    return self._pass_in_halves(prompts, rows, reads, read_out)
                size //= 2
                self.positions_per_pass = size * taken
                log.warning("out of memory: going on with %d candidates at a time", size)

    def _places(self, rows: list[tuple[int, ...]], soft: int) -> int:
        """Return how many places of a pass the rows take for each candidate."""
        longest = soft + max(map(len, rows))
        if not self.uses_trie:
            return len(rows) * longest
        return places([0, *(soft + shared_length(one, next_) for one, next_ in pairwise(sorted(rows)))], longest)

    def _pass_in_halves(
        self, prompts: torch.Tensor, rows: list[tuple[int, ...]], reads: list[Read], read_out: ReadOut
    ) -> Floats:
        """Pass one candidate at a time through half of the rows, then through the others: (reads, P)."""
        middle = len(rows) // 2
        self.positions_per_pass = middle * (prompts.shape[1] + max(map(len, rows)))
        log.warning("out of memory: going on with %d items at a time", middle)
        values = np.empty((len(reads), len(prompts)))
        for first, part in ((0, rows[:middle]), (middle, rows[middle:])):
            inside = [n for n, read in enumerate(reads) if first <= read.row < first + len(part)]
            moved = [reads[n]._replace(row=reads[n].row - first) for n in inside]
            values[inside] = self._pass_in_batches(prompts, part, moved, read_out)
        return values

    def _pass(
        self, prompts: torch.Tensor, rows: list[tuple[int, ...]], reads: list[Read], read_out: ReadOut = EXPECTED
    ) -> Floats:
        """One forward pass over candidates x rows: log-probabilities (reads, P)."""
        logits, places = (self._trie_logits if self.uses_trie else self._padded_logits)(prompts, rows, reads)
        at = torch.tensor(places, device=self.device)
        tokens = torch.tensor([read.token for read in reads], device=self.device)
        with torch.inference_mode():
            values = token_log_probabilities(logits.float(), read_out)[:, at, tokens]
        return cast(Floats, values.T.cpu().numpy().astype(np.float64))

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
        with torch.inference_mode(), in_rows(self.model, layout):
            text = self.embed(torch.from_numpy(trie.tokens).to(self.device))
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
            if sum(kept.size for _, kept in self._layouts.values()) > MOST_KEPT:
                self._layouts.clear()
                self._masks = {length: self._masks[length]}
            self._layouts[soft, rows] = trie, lay_out(self.model, trie, soft, *self._masks[length])
        return self._layouts[soft, rows]

    def _check_trie(self, prompts: torch.Tensor, rendered: Rendered) -> None:
        """Stop using the trie if it does not give what the reference path gives.

        Compared whenever a row is longer, or a pass larger, than any before: what a mask gets wrong shows at the end of
        the longest row, what goes by the place in the pass at its last row.
        """
        if not self.uses_trie:
            return
        soft, rows = prompts.shape[1], rendered.rows
        groups = groups_of_neighbours(rows, self.positions_per_pass, soft)
        lengths = [soft + max(len(rows[i]) for i in group) for group in groups]
        sizes = [soft + sum(len(rows[i]) for i in group) for group in groups]
        length, size = self._checked
        if max(lengths) <= length and max(sizes) <= size:
            return
        for group in dict.fromkeys((int(np.argmax(lengths)), int(np.argmax(sizes)))):
            why = self._trie_fault(prompts[:1], [rows[i] for i in groups[group]])
            if why == UNTOLD:
                return
            if why is not None:
                self.uses_trie = False
                log.warning("%s: items are asked one by one, not in one pass: %s", self.settings.id, why)
                return
        self._checked = (max(length, *lengths), max(size, *sizes))

    def _trie_fault(self, prompt: torch.Tensor, rows: list[tuple[int, ...]]) -> str | None:
        """Return what is wrong with a trie pass at its longest row and its last; None if it agrees with the reference.

        UNTOLD if the reference itself gives no numbers.
        """
        implementation = self.model.config._attn_implementation
        if implementation not in ("sdpa", "eager"):
            return f"no masks for {implementation} attention"
        picked = sorted({max(range(len(rows)), key=lambda i: len(rows[i])), len(rows) - 1})
        reads = [Read(i, len(rows[i]) - 1, 0) for i in picked]
        try:
            logits, places = self._trie_logits(prompt, rows, reads)
        except torch.OutOfMemoryError:
            if len(rows) == 1:
                raise ModelError(f"one candidate and one item of {len(rows[0])} tokens do not fit in memory") from None
            middle = len(rows) // 2
            self.positions_per_pass = middle * (prompt.shape[1] + max(map(len, rows)))
            return self._trie_fault(prompt, rows[:middle]) or self._trie_fault(prompt, rows[middle:])
        except Exception as error:  # whatever a model raises that was not made for masks or positions of its own
            reason = str(error).strip().splitlines() or [""]
            return f"its forward pass raises {type(error).__name__}: {reason[0]}"
        found = logits[0, places].float().log_softmax(-1)
        alone = [self._padded_logits(prompt, [rows[i]], [Read(0, len(rows[i]) - 1, 0)])[0][0] for i in picked]
        wanted = torch.cat(alone).float().log_softmax(-1)
        if not bool(wanted.isfinite().all()):
            return UNTOLD
        difference = float((found - wanted).abs().max())
        tolerance = TOLERANCE.get(self.model.dtype, TOLERANCE[torch.bfloat16]) * max(1.0, float(wanted.abs().max()))
        return None if difference <= tolerance else f"log-probabilities would differ by {difference:.1e}"

    def _padded_logits(
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
        with torch.inference_mode():
            text = self.embed(ids)
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
        if self._keeps_logits:
            options["logits_to_keep"] = at
        logits = self.model(inputs_embeds=embeds, attention_mask=mask, use_cache=False, **options).logits
        return cast(torch.Tensor, logits if self._keeps_logits else logits[:, at])


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
