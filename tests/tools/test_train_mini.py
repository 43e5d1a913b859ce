"""The training of `mini`: the same seed gives the same file, and the bundled tokenizer is the tool's."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from hofsteer.respondent.mini import FOLDER
from mini_batches import batches, collate
from mini_corpus import POOL, Corpus, mini_census, standard_scores
from train_mini import Cycle, Settings, new_model, train, train_tokenizer

SMALL = Settings((Cycle(POOL, 1e-3, easy_steps=POOL), Cycle(POOL, 1e-3)), batch_size=2, layers=3, width=32)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(FOLDER)


def weights(model):
    return hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.parameters())).hexdigest()


def test_the_bundled_tokenizer_is_the_one_that_the_tool_makes(tokenizer):
    made = train_tokenizer()
    assert made.get_vocab() == tokenizer.get_vocab()
    assert (
        json.loads(made.backend_tokenizer.to_str())["model"]
        == json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    )
    assert made.chat_template == tokenizer.chat_template


def test_batches_hold_what_was_drawn(tokenizer):
    corpus = Corpus(tokenizer)
    drawn = corpus.pool(3, False, [5, 1])[0]
    batch = collate(drawn, len(tokenizer), corpus.scores.shape[1])
    assert batch.ids.shape == (3, max(len(example.tokens) for example in drawn))
    for row, example in enumerate(drawn):
        assert batch.ids[row, : len(example.tokens)].tolist() == example.tokens
    np.testing.assert_allclose(batch.labels.sum(axis=1), 1, atol=1e-6)
    n = 0
    for row, example in enumerate(drawn):
        for label in example.labels:
            assert batch.label_at[:, n].tolist() == [row, label.position]
            np.testing.assert_allclose(batch.labels[n, list(label.ids)], label.shares, rtol=1e-6)
            n += 1
    assert n == len(batch.labels)


def test_a_part_of_a_pool_is_refused(tokenizer):
    with pytest.raises(ValueError, match=f"want a multiple of {POOL} steps, got 3"):
        next(batches(tokenizer, 3, 2, 0, [1], 1))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_with_any_number_of_processes(tokenizer, tmp_path):
    assert standard_scores(mini_census()).shape[1] > 6
    found = []
    for processes in (1, 2):
        settings = dataclasses.replace(SMALL, processes=processes)
        model = new_model(tokenizer, settings)
        for number in (1, 2):
            train(model, tokenizer, settings, number)
            if number == 1:
                model.save_pretrained(tmp_path / "cycle-1")
        found.append(weights(model))
    resumed = LlamaForCausalLM.from_pretrained(tmp_path / "cycle-1", dtype=torch.float32)
    assert weights(resumed) != found[0]
    train(resumed, tokenizer, SMALL, 2)
    found.append(weights(resumed))
    assert len(set(found)) == 1
    other = dataclasses.replace(SMALL, seed=1)
    model = new_model(tokenizer, other)
    assert weights(model) != weights(new_model(tokenizer, SMALL))
