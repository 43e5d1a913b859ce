"""How fast a model answers a survey: one pass over a trie beside a padded batch and `generate`."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from hofsteer.instruments import Administration
from hofsteer.respondent.hf import HFRespondent
from hofsteer.respondent.render import Read, Rendered
from hofsteer.respondent.trie import Trie

SOFT_TOKENS = 8
MATMUL_SIZE = {"cpu": 2048, "cuda": 8192}  # what fills the device
GENERATE_SEEDS = 5
NEW_TOKENS = 8


@dataclass(frozen=True)
class Bench:
    """Medians over interleaved repetitions; seconds and positions are those of one candidate."""

    items: int
    candidates: int  # of one pass
    soft_tokens: int
    threads: int
    repetitions: int
    one_pass: bool  # whether the model can be asked in one pass
    positions_trie: int | None  # None where items are asked one by one
    positions_padded: int
    seconds_trie: float
    seconds_padded: float
    seconds_generate: float | None  # 5 seeds of at most 8 new tokens; None if it was not asked for
    speedup_vs_padded: float
    speedup_vs_generate: float | None
    candidates_a_second: float
    matmul_gflops: float  # of a square matrix product (2048; 8192 on a GPU) in the model's dtype, in the same loop
    dtype: str  # of the model
    share_of_matmul_rate: float | None
    max_abs_difference: float  # of log-probabilities of options, trie against padded
    peak_gigabytes: float | None  # of memory on the GPU in one pass; None elsewhere

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {"schema": 1, **asdict(self)}


def bench(
    respondent: HFRespondent,
    administration: Administration,
    repetitions: int = 5,
    generate: bool = True,
    candidates: int = 1,
    watch: Callable[[int], None] | None = None,
) -> Bench:
    """Time a survey on a model in three ways that take turns.

    Args:
        respondent: a loaded model.
        administration: what is asked.
        repetitions: of which the medians are taken; one more goes before them uncounted.
        generate: also time `generate`, left-padded, as surveys are put without access to logits.
        candidates: how many share a pass; `generate` is timed for one of them.
        watch: called with the number of repetitions done.
    """
    rng = np.random.default_rng([1, 1])
    soft_prompt = rng.normal(0.0, respondent.spread, (candidates, SOFT_TOKENS, respondent.width)).astype(np.float32)
    prompts = torch.from_numpy(soft_prompt).to(respondent.device, respondent.dtype)
    rendered = respondent.rendered(administration)
    respondent.respond([administration], soft_prompt)  # the check happens here
    one_pass = respondent.passes.uses_trie
    reads = list(dict.fromkeys(read for options in rendered.reads for option in options for read in option))
    rows = list(rendered.rows)

    def trie() -> Any:
        return respondent.passes.look_up(prompts, rows, reads) if one_pass else padded()

    def padded() -> Any:
        respondent.passes.uses_trie = False
        try:
            return respondent.passes.look_up(prompts, rows, reads)
        finally:
            respondent.passes.uses_trie = one_pass

    ways: dict[str, Callable[[], Any]] = {"trie": trie, "padded": padded, "matmul": _matmul(respondent)}
    if generate:
        ways["generate"] = lambda: _generate(respondent, prompts, rendered)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    answers: dict[str, Any] = {}
    on_gpu = respondent.device.type == "cuda"
    peak = 0
    for repetition in range(repetitions + 1):
        for name, way in ways.items():
            if on_gpu:
                torch.cuda.reset_peak_memory_stats()
            started = time.perf_counter()
            answers[name] = way()
            if on_gpu:
                torch.cuda.synchronize()
                peak = max(peak, torch.cuda.max_memory_allocated()) if name == "trie" else peak
            if repetition:
                seconds[name].append(time.perf_counter() - started)
        if watch is not None:
            watch(repetition + 1)
    median = {name: float(np.median(times)) for name, times in seconds.items()}
    for name in ("trie", "padded"):
        median[name] /= candidates
    tree = Trie.of(rows)
    rate = 2 * _matmul_size(respondent) ** 3 / median["matmul"]
    work = flops(respondent, tree, reads, SOFT_TOKENS) if one_pass else None
    length = SOFT_TOKENS + max(map(len, rows))
    return Bench(
        items=len(rendered.reads),
        candidates=candidates,
        soft_tokens=SOFT_TOKENS,
        threads=torch.get_num_threads(),
        repetitions=repetitions,
        one_pass=one_pass,
        positions_trie=SOFT_TOKENS + len(tree.tokens) if one_pass else None,
        positions_padded=len(rows) * length,
        seconds_trie=median["trie"],
        seconds_padded=median["padded"],
        seconds_generate=median.get("generate"),
        speedup_vs_padded=median["padded"] / median["trie"],
        speedup_vs_generate=median["generate"] / median["trie"] if generate else None,
        candidates_a_second=1 / median["trie"],
        matmul_gflops=rate / 1e9,
        dtype=respondent.conditions()["dtype"],
        share_of_matmul_rate=None if work is None else work / median["trie"] / rate,
        max_abs_difference=float(np.abs(answers["trie"] - answers["padded"]).max()),
        peak_gigabytes=peak / 1e9 if on_gpu else None,
    )


def flops(respondent: HFRespondent, trie: Trie, reads: list[Read], soft: int) -> float:
    """Return the floating-point operations of one pass: 2 x weights x positions, attention over allowed pairs, head."""
    config = respondent.model.config.get_text_config()
    embeddings = respondent.model.get_input_embeddings().weight
    head = respondent.model.get_output_embeddings()
    skipped = {id(embeddings), id(head.weight) if head is not None else 0}
    weights = sum(p.numel() for p in respondent.model.parameters() if id(p) not in skipped)
    positions = soft + len(trie.tokens)
    pairs = soft * (soft + 1) / 2 + float((soft + trie.depths + 1).sum())
    heads = config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    kept = len({int(trie.paths[read.row][read.position]) for read in reads})
    attention = 4 * config.num_hidden_layers * heads * head_size * pairs
    return float(2 * weights * positions + attention + 2 * config.hidden_size * config.vocab_size * kept)


def _matmul_size(respondent: HFRespondent) -> int:
    return MATMUL_SIZE.get(respondent.device.type, MATMUL_SIZE["cpu"])


def _matmul(respondent: HFRespondent) -> Callable[[], torch.Tensor]:
    size = _matmul_size(respondent)
    square = torch.ones(size, size, device=respondent.device, dtype=respondent.dtype)
    return lambda: square @ square


def _generate(respondent: HFRespondent, prompts: torch.Tensor, rendered: Rendered) -> list[Any]:
    """Sample an answer text to every item, all in one left-padded batch, once per seed."""
    starts = [options[0][0] for options in rendered.reads]
    texts = [rendered.rows[read.row][: read.position + 1] for read in starts]
    soft, longest = prompts.shape[1], max(map(len, texts))
    device = respondent.device
    embeds = torch.zeros(len(texts), soft + longest, respondent.width, device=device, dtype=respondent.dtype)
    mask = torch.zeros(len(texts), soft + longest, dtype=torch.long, device=device)
    for row, text in enumerate(texts):
        first = longest - len(text)
        with torch.inference_mode():
            embeds[row, first : first + soft] = prompts[0]
            embeds[row, first + soft :] = respondent.embed(torch.tensor(text, device=device))
        mask[row, first:] = 1
    found = []
    with torch.random.fork_rng(), torch.inference_mode():
        for seed in range(GENERATE_SEEDS):
            torch.manual_seed(seed)
            found.append(
                respondent.model.generate(
                    inputs_embeds=embeds,
                    attention_mask=mask,
                    do_sample=True,
                    temperature=0.8,
                    top_p=0.8,
                    max_new_tokens=NEW_TOKENS,
                    pad_token_id=0,
                )
            )
    return found
