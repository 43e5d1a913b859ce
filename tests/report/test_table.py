import io

import pytest
from rich.console import Console

from hofsteer.report import points, results_table
from hofsteer.report.table import result_heads, result_rows


def lines_of(evaluation, width=80):
    console = Console(file=io.StringIO(), width=width, markup=False)
    console.print(results_table(evaluation))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_every_row_with_scores_loss_skill_and_mass(evaluate):
    lines = lines_of(evaluate())
    text = "\n".join(lines)
    cells = {line[:24].strip(): line.split() for line in lines}
    assert "Japan: scores and mean distance to the target, in index points" in text
    assert cells["target"] == ["target", "54.0", "46.0", "95.0", "92.0", "88.0", "42.0"]
    assert cells["naive"] == ["naive", "30.2", "40.2", "50.2", "60.2", "70.2", "80.2", "30.2", "-0.89", "0.981"]
    assert cells["persona"][-3:] == ["20.5", "-0.28", "0.982"]
    assert cells["steered"][-3:] == ["4.0", "0.75", "0.983"]
    assert [cells[name][-2:] for name in ("mean country", "nearest (Hungary)")] == [["16.0", "0.00"], ["14.0", "0.12"]]
    assert cells["flat (neutral answers)"][-2:] == ["22.0", "-0.38"]


@pytest.mark.parametrize("target", ["JPN", "SAU", "AND"])
def test_names_are_whole_on_a_narrow_terminal(target, evaluate):
    # in 80 columns `persona` and `steered` were once cut to `perso...` and `steer...`
    lines = lines_of(evaluate(target))
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 80
    assert "…" not in text
    for name in ("target", "naive", "persona", "steered", "mean country", "loss", "skill"):
        assert name in text


def test_an_item_loss_that_was_minimised_stands_first_and_skill_is_by_it(evaluate_items):
    evaluation = evaluate_items(naive=8.0, persona=6.0, aligned=6.4, mean_country=5.0)
    assert result_heads(evaluation)[-5:] == ["W1", "index loss", "JS", "skill (W1)", "valid mass"]
    cells = dict(result_rows(evaluation))
    assert cells["aligned"][-5:] == ["6.4", "4.0", "-", "-0.28", "0.983"]
    assert cells["mean_country"][-5:-1] == ["5.0", "16.0", "-", "0.00"]
    assert cells["flat"][-5:-1] == ["-", "22.0", "-", "-"]
    assert max(map(len, lines_of(evaluation))) <= 80
    assert "steered" in "\n".join(lines_of(evaluation))


def test_estimates_are_marked_and_gaps_are_dashes(evaluate):
    assert "95.0* 25.0* 60.0* 80.0* 36.0 52.0" in "\n".join(lines_of(evaluate("SAU"), width=120))
    (target,) = (line for line in lines_of(evaluate("SAU@hofstede-2015"), width=120) if line.startswith(" target"))
    assert target.split() == ["target", "-", "-", "-", "-", "36.0", "52.0"]
    assert "*" not in "\n".join(lines_of(evaluate("JPN")))


@pytest.mark.parametrize(
    ("value", "text"), [(49.96, "50.0"), (-0.3, "-0.3"), (0.0, "0.0"), (None, "-"), (float("nan"), "-")]
)
def test_points(value, text):
    assert points(value) == text
