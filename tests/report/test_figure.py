from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest

from hofsteer.report import convergence_figure

DURATIONS = [1.5, 1.25, 1.5, 2.0, 1.0]
SVG = "{http://www.w3.org/2000/svg}"


def texts_of(figure):
    return {(element.text or "").strip() for element in ET.fromstring(figure).iter(f"{SVG}text")}


def test_figure_is_well_formed_svg(history, evaluate):
    root = ET.fromstring(convergence_figure(history, DURATIONS, evaluate()))
    assert root.tag == f"{SVG}svg"
    assert not list(root.iter(f"{SVG}script"))
    assert not list(root.iter(f"{SVG}image"))  # drawn, not a picture of a drawing


def test_words_of_the_figure(history, evaluate):
    assert texts_of(convergence_figure(history, DURATIONS, evaluate())) >= {
        "evaluations",
        "forward passes",
        "seconds",
        "loss on the fitted forms (index points)",
        "Search for Japan",
        "best",
        "mean",
        "naive (30.2)",
        "persona (20.5)",
        "mean country (16.0)",
    }


def test_same_numbers_same_bytes(history, evaluate):
    first = convergence_figure(history, DURATIONS, evaluate())
    assert convergence_figure(history, DURATIONS, evaluate()) == first
    assert convergence_figure(history[:4], DURATIONS[:4], evaluate()) != first
    assert "<dc:date>" not in first


def test_figure_leaves_the_users_matplotlib_alone(history, evaluate):
    before = dict(mpl.rcParams)
    convergence_figure(history, DURATIONS, evaluate())
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("target", ["SAU", "ARAB_COUNTRIES", "TUR", "SAU@arab-2021-05"])
def test_names_of_all_kinds(target, history, evaluate):
    figure = convergence_figure(history, DURATIONS, evaluate(target))
    assert f"Search for {evaluate(target).target.name}" in texts_of(figure)


def test_generation_in_which_everything_failed(history, evaluate):
    ET.fromstring(convergence_figure(history[1:2], DURATIONS[:1], evaluate()))


def test_one_generation_is_visible(history, evaluate):
    # a line through one point draws nothing: the search was once not to be seen
    def points(records):
        root = ET.fromstring(convergence_figure(records, DURATIONS[: len(records)], evaluate()))
        return [use for use in root.iter(f"{SVG}use") if "#0b6e4f" in use.get("style", "")]

    assert points(history[:1])
    assert not points(history)
