"""Batches of what `mini` learns from, as arrays, made by other processes while the model trains."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from mini_corpus import POOL, Corpus, Example

MAX_OPTIONS = 10
AHEAD = 3  # pools that are drawn beforehand, a process

_corpus: Corpus | None = None  # of a process that draws


@dataclass(frozen=True)
class Batch:
    """B examples of at most T tokens, right-padded; the rest as rows (examples) and places (tokens) in them.

    NumPy arrays where they are drawn, tensors where they are learnt from.
    """

    ids: Any  # (B, T)
    label_at: Any  # (2, N) rows and places
    labels: Any  # (N, vocabulary) probabilities of what follows
    persona_at: Any  # (2, P) where a persona ends
    scores: Any  # (P, M) its country's standard scores
    option_at: Any  # (2, O) where an option ends
    options: Any  # (O, 2) its level and its place
    stem_at: Any  # (2, S) where a stem ends
    answers: Any  # (S, MAX_OPTIONS) its canonical answer, zero where there is no such option
    answered: Any  # (S, MAX_OPTIONS) whether there is

    def to(self, device: str) -> "Batch":
        """Return the batch as tensors on a device."""
        return Batch(**{f.name: torch.from_numpy(getattr(self, f.name)).to(device) for f in fields(self)})


def collate(examples: list[Example], vocabulary: int, n_scores: int) -> Batch:
    """Return examples as one batch of arrays."""
    ids = np.zeros((len(examples), max(len(example.tokens) for example in examples)), np.int64)
    for row, example in enumerate(examples):
        ids[row, : len(example.tokens)] = example.tokens
    found = [(row, label) for row, example in enumerate(examples) for label in example.labels]
    labels = np.zeros((len(found), vocabulary), np.float32)
    for n, (_, label) in enumerate(found):
        labels[n, list(label.ids)] = label.shares
    personas = [(row, *persona) for row, example in enumerate(examples) for persona in example.personas]
    options = [(row, *option) for row, example in enumerate(examples) for option in example.options]
    stems = [(row, *stem) for row, example in enumerate(examples) for stem in example.answers]
    answers = np.zeros((len(stems), MAX_OPTIONS), np.float32)
    answered = np.zeros((len(stems), MAX_OPTIONS), bool)
    for n, (_, _, answer) in enumerate(stems):
        answers[n, : len(answer)] = answer
        answered[n, : len(answer)] = True
    return Batch(
        ids,
        _places([(row, label.position) for row, label in found]),
        labels,
        _places([(row, place) for row, place, _ in personas]),
        np.array([scores for _, _, scores in personas], np.float32).reshape(-1, n_scores),
        _places([(row, place) for row, place, *_ in options]),
        np.array([said for _, _, *said in options], np.float32).reshape(-1, 2),
        _places([(row, place) for row, place, _ in stems]),
        answers,
        answered,
    )


def _places(found: list[tuple[int, int]]) -> Any:
    return np.ascontiguousarray(np.array(found, np.int64).reshape(-1, 2).T)


def batches(
    tokenizer: PreTrainedTokenizerFast, steps: int, size: int, easy_steps: int, stream: list[int], processes: int
) -> Iterator[Batch]:
    """Yield `steps` batches (a multiple of `POOL`), the same and in the same order with any number of processes."""
    if steps % POOL:
        raise ValueError(f"want a multiple of {POOL} steps, got {steps}")
    with ProcessPoolExecutor(processes, get_context("spawn"), _start, (tokenizer,)) as pool:
        draw = partial(_draw, size, easy_steps, stream)
        waiting: deque[Future[list[Batch]]] = deque()
        for number in range(-(-steps // POOL)):
            waiting.append(pool.submit(draw, number))
            if len(waiting) == AHEAD * processes:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def _start(tokenizer: PreTrainedTokenizerFast) -> None:
    global _corpus
    torch.set_num_threads(1)
    _corpus = Corpus(tokenizer)


def _draw(size: int, easy_steps: int, stream: list[int], number: int) -> list[Batch]:
    assert _corpus is not None
    drawn = _corpus.pool(size, number * POOL < easy_steps, [*stream, number])
    return [collate(examples, len(_corpus.tokenizer), _corpus.scores.shape[1]) for examples in drawn]
