"""The projection of Tao et al. 2024 (PNAS Nexus, pgae346), computed here once more from its published parameters."""

import re
from itertools import combinations

import numpy as np
import pytest

from hofsteer.instruments import Administration, load_instrument, read_answers
from hofsteer.targets import COORDINATES, all_coordinates, map_distance

IVS10 = load_instrument("ivs10")

# variable -> human mean, human deviation, weights on the two rotated components; The-AI-Alliance/tapestry,
# contrib/nguyennm1024-sociocultural-alignment/evaluation/iw/iw_projection_final.json
PARAMETERS = {
    "A008": (1.8943346824, 0.71428942794, -0.23807309806, 0.49269801609),
    "A165": (1.7249291681, 0.44655054645, -0.2251712732, 0.1488361647),
    "E018": (1.5375948814, 0.72791694544, -0.014293231158, 0.32860123575),
    "E025": (2.1269639031, 0.82373260626, -0.27281863433, 0.12800336475),
    "F063": (7.1949652909, 3.2116353258, -0.18470853804, -0.21524790046),
    "F118": (3.9094104719, 3.3945220392, 0.31012187775, -0.010659178321),
    "F120": (3.8423957313, 3.0616139885, 0.2628449143, 0.090593025901),
    "G006": (1.5694507646, 0.73247264575, -0.082774181417, 0.49177541639),
    "Y002": (1.7972968314, 0.61878304245, 0.1796722504, -0.080708482322),
    "Y003": (0.19721005786, 1.1374858635, 0.15181160734, 0.18147842385),
}
PARTS = {"A029": 1, "A039": 1, "A040": -1, "A042": -1}  # of the autonomy index Y003
GPT3 = [2, 1, 1, 1, 7, 6, 5, 2, 2, 1]  # text-davinci-002, without a country


def projection(variables):
    """The ten variables (..., 10) -> coordinates (..., 2), in the paper's three steps."""
    center, scale, first, second = np.array(list(PARAMETERS.values())).T
    scores = (np.asarray(variables) - center) / scale @ np.stack([first, second], axis=1)
    return scores * [1.81, 1.61] + [0.38, -0.01]


def item_means(variables, parts):
    """Nine variables and the four parts of the tenth, in the order of the instrument."""
    return np.array([*variables[:9], *parts], dtype=np.float64)


@pytest.mark.parametrize(
    ("variables", "parts", "wanted"),
    [
        ([2, 2, 2, 1, 8, 8, 8, 3, 2, 1], (1, 0, 0, 0), [1.9708776837, 2.1095775491]),
        ([2, 2, 2, 1, 8, 8, 8, 3, 2, 1], (1, 1, 0, 1), [1.9708776837, 2.1095775491]),  # another way to be at 1
        ([3, 2, 1, 1, 8, 8, 8, 3, 2, 0], (0, 0, 0, 0), [1.1615774204, 2.2364509534]),
    ],
)
def test_published_vectors(variables, parts, wanted):
    np.testing.assert_allclose(IVS10.score_means(item_means(variables, parts)), wanted, rtol=0, atol=1e-9)


def test_formulas_are_the_projection():
    rng = np.random.default_rng(1)
    values = IVS10.option_values
    means = rng.uniform(np.nanmin(values, axis=1), np.nanmax(values, axis=1), size=(200, 13))
    autonomy = means[:, 9:] @ list(PARTS.values())
    wanted = projection(np.column_stack([means[:, :9], autonomy]))
    np.testing.assert_allclose(IVS10.score_means(means), wanted, rtol=0, atol=1e-12)


def test_published_mean_distance_of_gpt3():
    coordinates = IVS10.score_means(item_means(GPT3, (1, 0, 0, 0)))
    np.testing.assert_allclose(coordinates, [2.4308, -0.2597], atol=5e-5)
    countries = np.stack([country.vector(IVS10.dimension_ids) for country in all_coordinates()])
    assert countries.shape == (107, 2)
    assert map_distance(countries, coordinates).mean() == pytest.approx(2.388, abs=5e-4)


def test_items_and_their_scales():
    assert IVS10.dimension_ids == COORDINATES
    assert IVS10.item_ids == (*list(PARAMETERS)[:9], *PARTS)
    options = dict(zip(IVS10.item_ids, IVS10.option_mask.sum(axis=1), strict=True))
    assert options == {
        "A008": 4, "A165": 2, "E018": 3, "E025": 3, "F063": 10, "F118": 10, "F120": 10, "G006": 4, "Y002": 6,
        "A029": 2, "A039": 2, "A040": 2, "A042": 2,
    }  # fmt: skip
    for item in IVS10.items:
        values = [option.value for option in item.options]
        assert values == sorted(values)
        wanted = [0.0, 1.0] if item.id in PARTS else [1.0, 2, 2, 2, 2, 3] if item.id == "Y002" else None
        assert values == (wanted or list(range(1, len(values) + 1)))


def test_pairs_of_aims_count_as_the_literature_has_it():
    materialist = ("keeping order", "holding prices down")
    for option in IVS10.item("Y002").options:
        assert option.value == 3 - sum(aim in option.text for aim in materialist)


def test_deviations_are_those_of_the_projection():
    deviations = {item.id: item.deviation for item in IVS10.items}
    assert deviations == pytest.approx(
        {v: p[1] for v, p in PARAMETERS.items() if v != "Y003"} | dict.fromkeys(PARTS, PARAMETERS["Y003"][1] / 2)
    )
    assert IVS10.noise_floor(50) == pytest.approx(0.21, abs=0.01)


def test_map_has_its_own_zero():
    assert (IVS10.constants, IVS10.neutral, IVS10.validated) == ("fixed", None, True)
    np.testing.assert_array_equal(IVS10.neutral_means, [2.5, 1.5, 2, 2, 5.5, 5.5, 5.5, 2.5, 2, 0.5, 0.5, 0.5, 0.5])


def test_four_wordings_that_differ():
    texts = [wording.casefold() for item in IVS10.items for wording in item.wordings]
    assert all(len(item.wordings) == 4 for item in IVS10.items)
    assert len(set(texts)) == len(texts) == 4 * 13
    for item in IVS10.items:
        words = [set(re.findall(r"[a-z]{4,}", wording.casefold())) for wording in item.wordings]
        for one, other in combinations(words, 2):
            assert len(one & other) < len(one | other) / 3, item.id


def test_is_asked_in_both_orders():
    item = IVS10.item("Y002")
    for order in ("listed", "reversed"):
        (message,) = Administration(IVS10, wording=3, order=order).messages(item)
        shown = [line.partition(". ")[2] for line in message.content.split("\n")[1:-1]]
        assert shown == [option.text for option in item.options][:: 1 if order == "listed" else -1]


def test_a_table_in_codes_of_the_surveys(tmp_path):
    path = tmp_path / "answers.csv"
    path.write_text("a008,a165,e018,e025,f063,f118,f120,g006,y002,a029,a039,a040,a042\n2,1,1,1,7,6,5,2,2,1,0,0,0\n")
    (group,) = read_answers(path, IVS10).groups
    np.testing.assert_array_equal(group.item_means, item_means(GPT3, (1, 0, 0, 0)))
