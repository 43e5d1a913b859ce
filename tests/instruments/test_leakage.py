from dataclasses import replace

import numpy as np
import pytest

from hofsteer.instruments import bundled_instruments, leakage, load_instrument

VSM13, IVS10 = load_instrument("vsm13"), load_instrument("ivs10")


def test_a_uniform_bias_leaks_into_no_index_of_vsm13():
    np.testing.assert_array_equal(VSM13.weights.sum(axis=1), np.zeros(6))
    np.testing.assert_array_equal(leakage(VSM13).uniform, np.zeros(6))


def test_a_bias_on_one_scale_leaks_into_three_indices_of_vsm13():
    leak = leakage(VSM13)
    named = {
        block: {d: p for d, p in zip(VSM13.dimension_ids, row, strict=True) if p}
        for block, row in zip(leak.blocks, leak.by_block, strict=True)
    }
    assert named == {
        "importance": {},
        "frequency": {"UAI": -40.0},
        "health": {"UAI": 40.0},
        "pride": {"LTO": 25.0},
        "frequency-rising": {"PDI": 25.0},
        "agreement": {"PDI": -25.0, "LTO": -25.0},
    }


@pytest.mark.parametrize("name", [entry.id for entry in bundled_instruments()])
def test_blocks_add_up(name):
    instrument = load_instrument(name)
    leak = leakage(instrument)
    assert leak.by_block.shape == (len(leak.blocks), len(instrument.dimensions))
    np.testing.assert_allclose(leak.by_block.sum(axis=0), leak.uniform, atol=1e-9)


@pytest.mark.parametrize("instrument", [VSM13, IVS10], ids=lambda i: i.id)
def test_leakage_is_what_moved_answers_do(instrument):
    values = instrument.option_values
    quarter = (np.nanmax(values, axis=1) - np.nanmin(values, axis=1)) / 4
    spaced = np.array([item.id != "Y002" for item in instrument.items])  # its middle four pairs count the same
    means = instrument.neutral_means
    moved = means + np.where(spaced, quarter, 0.0)
    if not spaced.all():
        moved[~spaced] += 5 / 17.5 * 5 / 4  # slope of 1 2 2 2 2 3 a place, times a quarter of the five places
    np.testing.assert_allclose(
        instrument.score_means(moved) - instrument.score_means(means), leakage(instrument).uniform, atol=1e-12
    )


def test_the_map_is_open_to_a_uniform_bias():
    survival, secular = leakage(IVS10).uniform
    assert survival == pytest.approx(-0.476, abs=5e-4)
    assert secular == pytest.approx(2.044, abs=5e-4)
    pick = leakage(IVS10).blocks.index("pick")
    np.testing.assert_allclose(leakage(IVS10).by_block[pick], 0, atol=1e-12)  # two parts against two


def test_turned_scale_leaks_the_other_way():
    item = VSM13.item("Q15")
    turned = replace(VSM13, items=tuple(replace(i, options=i.options[::-1]) if i is item else i for i in VSM13.items))
    assert leakage(turned).uniform[3] == 80.0  # UAI: -40 became +40
