"""The tree of tokens, and the pass that puts it through a model."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from families import FAMILIES
from hofsteer import Respondent
from hofsteer.instruments import Administration
from hofsteer.respondent import attention, passes
from hofsteer.respondent.attention import lay_out, row_masks
from hofsteer.respondent.trie import Trie, groups_of_neighbours, known_lengths, places, shared_length

SAME_AS_PLAIN = 1e-5


@pytest.fixture
def own_tiny(tiny_folder):
    """The tiny respondent for a test that breaks it."""
    return Respondent.from_pretrained(str(tiny_folder))


def random_rows(seed: int) -> list[tuple[int, ...]]:
    """Rows over a small alphabet, which share beginnings; one begins another, and one is there twice."""
    rng = np.random.default_rng([8, seed])
    rows = [tuple(rng.integers(3, size=rng.integers(1, 9)).tolist()) for _ in range(12)]
    return [*rows, rows[0], rows[1][: max(1, len(rows[1]) - 1)]]


@pytest.mark.parametrize("seed", range(20))
def test_every_row_is_a_path_and_every_beginning_is_one_node(seed):
    rows = random_rows(seed)
    trie = Trie.of(rows)
    beginnings = {row[:k] for row in rows for k in range(1, len(row) + 1)}
    assert len(trie.tokens) == len(beginnings)
    for row, path in zip(rows, trie.paths, strict=True):
        assert tuple(trie.tokens[path].tolist()) == row
        assert trie.depths[path].tolist() == list(range(len(row)))
    in_order = sorted(range(len(rows)), key=lambda i: rows[i])
    for before, index in zip([None, *in_order], in_order, strict=False):
        assert trie.shared[index] == (0 if before is None else shared_length(rows[before], rows[index]))


@pytest.mark.parametrize("soft", [0, 3])
@pytest.mark.parametrize("seed", range(20))
def test_every_position_asks_once_and_sees_its_path(own_tiny, seed, soft):
    """Late rows, which ask at their end alone, are among the long ones."""
    trunk = tuple(range(20)) if seed % 2 else ()
    trie = Trie.of([trunk + row for row in random_rows(seed)])
    length = soft + max(map(len, trie.paths))
    layout = lay_out(own_tiny.model, trie, soft, *row_masks(own_tiny.model, length))
    asking = torch.cat([part.queries for part in layout.parts])
    assert asking[layout.homes].tolist() == list(range(soft + len(trie.tokens)))
    assert len(layout.parts) == 2 or not trunk
    seen = []
    for part in layout.parts:
        keys = part.keys.reshape(part.n_rows, length)
        queries = part.queries.reshape(part.n_rows, -1)
        mask = part.masks[0]
        allowed = torch.ones(1, 1, length, length).tril().bool() if mask is None else mask
        allowed = allowed.expand(part.n_rows, 1, *allowed.shape[2:])[:, 0]
        seen += [keys[n][allowed[n, q]].tolist() for n, row in enumerate(queries) for q in range(len(row))]
    for path in trie.paths:
        for k, node in enumerate(path):
            assert seen[int(layout.homes[soft + node])] == [*range(soft), *(soft + path[: k + 1])]


@pytest.mark.parametrize("most", [1, 20, 60, 10_000])
def test_groups_hold_every_row_once_and_fit(most):
    rows = random_rows(3)
    groups = groups_of_neighbours(rows, most, in_front=2)
    assert sorted(index for group in groups for index in group) == list(range(len(rows)))
    for group in groups:
        in_order = [rows[i] for i in group]
        assert len(group) == 1 or places(known_lengths(in_order, 2), 2 + max(map(len, in_order))) <= most


def test_a_pass_has_one_position_for_each_token_of_each_beginning(tiny, vsm13):
    seen = []

    def look(model, positional, named):
        seen.append(named["inputs_embeds"].shape[:2])

    hook = tiny.model.register_forward_pre_hook(look, with_kwargs=True)
    try:
        tiny.respond([Administration(vsm13)], np.zeros((3, 4, tiny.width), np.float32))
    finally:
        hook.remove()
    rows = tiny.rendered(Administration(vsm13)).rows
    beginnings = {row[:k] for row in rows for k in range(1, len(row) + 1)}
    assert sum(length for _, length in seen[-1:]) == 4 + len(beginnings)
    assert len(beginnings) < sum(map(len, rows))


@pytest.mark.parametrize("positions_per_pass", [300, 1_000, 5_000, 1 << 16])
@pytest.mark.parametrize("tokens", [0, 1, 7])
def test_the_trie_gives_what_the_reference_gives(own_tiny, vsm13, positions_per_pass, tokens):
    own_tiny.passes.positions_per_pass = positions_per_pass
    prompts = (
        np.random.default_rng([5, tokens]).normal(0, own_tiny.spread, (3, tokens, own_tiny.width)).astype(np.float32)
    )
    forms = [Administration(vsm13, system="You live in Japan."), Administration(vsm13, order="reversed")]
    found = own_tiny.respond(forms, prompts)
    assert own_tiny.passes.uses_trie
    own_tiny.passes.uses_trie = False
    wanted = own_tiny.respond(forms, prompts)
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, rtol=0, atol=SAME_AS_PLAIN)
    np.testing.assert_allclose(found.valid_mass, wanted.valid_mass, rtol=0, atol=SAME_AS_PLAIN)


def broken_positions(respondent, monkeypatch):
    right = respondent.passes._logits

    def wrong(embeds, mask, kept, **options):
        if "position_ids" in options:
            options["position_ids"] = torch.arange(embeds.shape[1]).expand(len(embeds), -1)
        return right(embeds, mask, kept, **options)

    monkeypatch.setattr(respondent.passes, "_logits", wrong)


def broken_mask(respondent, monkeypatch):
    def wrong(model, length):
        mask, _ = row_masks(model, length)
        mask = mask.clone()
        mask[..., -1, 0] = False  # one token of one row is not seen
        return mask, torch.empty(0)

    monkeypatch.setattr(passes, "row_masks", wrong)


@pytest.mark.parametrize("broken", [broken_positions, broken_mask])
def test_the_check_finds_what_is_wrong_and_the_reference_answers(own_tiny, tiny, short, monkeypatch, caplog, broken):
    broken(own_tiny, monkeypatch)
    prompts = np.random.default_rng([5, 5]).normal(0, tiny.spread, (2, 3, tiny.width)).astype(np.float32)
    with caplog.at_level(logging.WARNING, logger="hofsteer"):
        found = own_tiny.respond([Administration(short)], prompts)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "items are asked one by one, not in one pass: log-probabilities would differ by" in line
    wanted = tiny.respond([Administration(short)], prompts)
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, rtol=0, atol=SAME_AS_PLAIN)


def test_a_wrong_mask_of_late_rows_is_found(own_tiny, make_instrument, monkeypatch):
    form = Administration(make_instrument(10, 10))
    right = attention._part_mask

    def wrong(mask, stand_in, asking, longest):
        found = right(mask, stand_in, asking, longest)
        if found is not None and asking.shape[1] < longest:
            found[..., 0] = False
        return found

    monkeypatch.setattr(attention, "_part_mask", wrong)
    own_tiny.respond([form])
    assert not own_tiny.passes.uses_trie


def test_a_longer_item_is_checked_again(own_tiny, vsm13, monkeypatch):
    checked = []
    fault = own_tiny.passes._trie_fault

    def look(prompt, rows):
        checked.append(max(map(len, rows)))
        return fault(prompt, rows)

    monkeypatch.setattr(own_tiny.passes, "_trie_fault", look)
    form = Administration(vsm13)
    for one in (form, form, replace(form, system="You live in Japan."), form):
        own_tiny.respond([one])
    assert len(checked) == 2
    assert checked[0] < checked[1]


def test_a_first_candidate_of_nan_decides_nothing(own_tiny, short):
    prompts = np.full((1, 2, own_tiny.width), np.nan, np.float32)
    assert own_tiny.respond([Administration(short)], prompts).failures[0] is not None
    assert own_tiny.passes.uses_trie
    assert not own_tiny.passes._checked.any()


def test_the_first_late_rows_are_checked(own_tiny, vsm13, make_instrument, monkeypatch):
    """Scales of ten make rows that end differently after a long beginning: fewer and shorter ones than seen before."""
    checked = []
    fault = own_tiny.passes._trie_fault
    monkeypatch.setattr(own_tiny.passes, "_trie_fault", lambda *given: checked.append(given) or fault(*given))
    for form, times in ((Administration(vsm13), 1), (Administration(make_instrument(10)), 2)):
        own_tiny.respond([form])
        own_tiny.respond([form])
        assert len(checked) == times


def test_a_larger_pass_is_checked_again(tiny_tokenizer, vsm13, short, tmp_path):
    """Llama 4 scales by the place in the pass: few items fit below the place where it begins, all of them do not."""
    llama4 = next(family for family in FAMILIES if family.name == "Llama 4")
    family = replace(llama4, options={**llama4.options, "floor_scale": 600})
    model = Respondent.from_pretrained(str(family.save(tmp_path, tiny_tokenizer)))
    longest = Administration(replace(short, items=(max(vsm13.items, key=lambda item: len(item.wordings[0])),)))
    model.respond([longest])
    assert model.passes.uses_trie
    model.respond([Administration(vsm13)])  # no item is longer
    assert not model.passes.uses_trie


def test_a_check_that_runs_out_of_memory_goes_on_in_parts(own_tiny, tiny, vsm13, monkeypatch):
    asked, passing = [], own_tiny.passes._trie_logits

    def small(prompts, rows, reads):
        asked.append(len(rows))
        if len(rows) > 6:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return passing(prompts, rows, reads)

    monkeypatch.setattr(own_tiny.passes, "_trie_logits", small)
    found = own_tiny.respond([Administration(vsm13)])
    assert own_tiny.passes.uses_trie
    assert asked[0] == 24
    assert asked[-1] <= 6
    wanted = tiny.respond([Administration(vsm13)])
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, rtol=0, atol=SAME_AS_PLAIN)


@pytest.mark.parametrize("threads", [1, 2])
def test_batches_of_5_to_20_give_the_same_bytes(vsm13, threads):
    """What a resumed run relies on, on one machine."""
    mini = Respondent.from_pretrained("mini")
    prompts = np.random.default_rng([5, 6]).normal(0, mini.spread, (20, 8, mini.width)).astype(np.float32)
    form = Administration(vsm13)
    length = 8 + max(map(len, mini.rendered(form).rows))
    before = torch.get_num_threads()
    found = {}
    for size in (20, 10, 5):
        mini.passes.positions_per_pass = size * 24 * length
        found[size, before] = mini.respond([form], prompts).probabilities.tobytes()
    try:
        torch.set_num_threads(threads)
        found[5, threads] = mini.respond([form], prompts).probabilities.tobytes()
    finally:
        torch.set_num_threads(before)
    assert len(set(found.values())) == 1
