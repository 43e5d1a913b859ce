"""`hofsteer instruments fit` on small files."""

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from hofsteer.cli.main import app
from hofsteer.errors import InstrumentError

pytest.importorskip("pyarrow")
RUN = CliRunner()


@pytest.fixture(scope="module")
def wave(tmp_path_factory):
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(22), 60)
    factors = 0.6 * rng.normal(size=(22, 2))[groups] + rng.normal(size=(len(groups), 2))
    latent = np.repeat(factors, 3, axis=1) * 0.8 + 0.6 * rng.normal(size=(len(groups), 6))
    answers = np.digitize(latent, [-1.2, -0.4, 0.4, 1.2]) + 1
    path = tmp_path_factory.mktemp("fit") / "wave.csv"
    lines = [f"L{g},{','.join(map(str, row))}" for g, row in zip(groups, answers, strict=True)]
    path.write_text("\n".join(["land,Q1,Q2,Q3,Q4,Q5,Q6", *lines]) + "\n")
    return path


def invoke(*arguments):
    result = RUN.invoke(app, ["instruments", "fit", *map(str, arguments)])
    if isinstance(result.exception, InstrumentError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_an_instrument_targets_figures_and_json(wave, tmp_path):
    out, figures = tmp_path / "mine.toml", tmp_path / "figures"
    result = invoke(
        wave, "--group", "land", "--level", "between", "--texts", "vsm13", "--out", out, "--figures", figures, "--json"
    )
    found = json.loads(result.stdout)
    assert found["schema"] == 1
    assert found["items"] == ["Q1", "Q2", "Q3", "Q4", "Q5", "Q6"]
    assert found["factors"] == ["F1", "F2"]
    assert np.array(found["loadings"]).shape == (6, 2)
    assert found["fit"]["kmo"] > 0.5
    assert len(found["groups"]) == 22
    assert out.is_file()
    assert (tmp_path / "mine-targets.csv").read_text().startswith("group,n,n_effective,items,items_sha256,F1,F1_se,")
    assert sorted(path.name for path in figures.iterdir()) == ["groups.svg", "loadings.svg", "scree.svg"]
    assert RUN.invoke(app, ["instruments", "show", str(out)]).exit_code == 0
    with pytest.raises(InstrumentError, match="want a new file for the instrument"):
        invoke(wave, "--group", "land", "--level", "between", "--out", out)


def test_the_table_for_people(wave):
    result = invoke(wave, "--items", "Q*", "--preset", "iw", "--factors", "2")
    assert "level pooled, pearson correlations, components, varimax" in result.stdout
    assert "parallel analysis 2" in result.stdout


def test_groups_of_the_users_own_items_are_targets_with_item_distributions(wave, tmp_path):
    path, out = tmp_path / "wave.csv", tmp_path / "mine.toml"
    path.write_text(wave.read_text().replace("L1,3", "L1,", 9).replace(",Q", ",mine"))
    invoke(path, "--group", "land", "--level", "within", "--factors", "2", "--out", out)
    again = ["targets", "fit", str(path), "--instrument", str(out), "--group", "land"]
    assert RUN.invoke(app, [*again, "--out", str(tmp_path / "again.csv")]).exit_code == 0  # texts say FILL IN
    tables = []
    for name in ("mine-targets", "again"):
        with (tmp_path / f"{name}.csv").open() as file:
            tables.append(list(csv.DictReader(file)))
    for mine, theirs in zip(*tables, strict=True):
        for column in ("F1", "F1_se", "F2", "F2_se"):
            assert float(mine[column]) == pytest.approx(float(theirs[column]), abs=1e-5)
    kept, other = (json.loads((tmp_path / f"{name}.items.json").read_text()) for name in ("mine-targets", "again"))
    assert kept == other
    shown = ["targets", "show", f"{tmp_path / 'mine-targets.csv'}:L1", "--instrument", str(out), "--json"]
    assert json.loads(RUN.invoke(app, shown).stdout)["items"]["items"]["mine1"]["shares"]
    asked = ["survey", "--instrument", str(out), "--target", f"{tmp_path / 'mine-targets.csv'}:L1"]
    assert "still to be written" in str(RUN.invoke(app, asked).exception)
    out.write_text(out.read_text().replace("FILL IN", "please say"))
    found = json.loads(RUN.invoke(app, [*asked, "--model", "mini", "--constants", "none", "--json"]).stdout)
    assert found["item_losses"]["wasserstein"] > 0


def test_items_that_were_taken_and_groups_alike(wave, tmp_path):
    lines = wave.read_text().splitlines()
    path = tmp_path / "alike.csv"
    groups = np.random.default_rng(4).integers(0, 22, size=len(lines) - 1)  # they mean nothing
    alike = [f"L{g}{line[line.index(',') :]}" for g, line in zip(groups, lines[1:], strict=True)]
    path.write_text("\n".join([lines[0], *alike]) + "\n")
    command = (path, "--group", "land", "--level", "pooled", "--factors", "2")
    result = invoke(*command)
    assert "items, as none were named: Q1, Q2, Q3, Q4, Q5, Q6\n" in result.stderr
    assert "items, as" not in invoke(*command, "--items", "Q*").stderr
    below = np.array(json.loads(invoke(*command, "--json").stdout)["icc2"]) < 0
    assert 0 < below.sum() < 6
    rows = {row.split()[0]: row.split()[-2:] for row in result.stdout.splitlines() if row.strip().startswith("Q")}
    assert [rows[f"Q{i}"] == ["-", "-"] for i in range(1, 7)] == below.tolist()


def test_a_table_wants_two_groups_that_are_large_enough(wave, tmp_path):
    rows = wave.read_text().splitlines()
    path = tmp_path / "small.csv"
    path.write_text("\n".join([*rows[:101], *rows[121:142]]) + "\n")  # 60, 40 and 21 respondents
    result = invoke(path, "--group", "land", "--level", "pooled", "--factors", "2", "--out", tmp_path / "mine.toml")
    assert "no target for groups with an effective n below 50: L1 (40), L2 (21)" in result.stderr
    assert "no table of targets is written: it wants two groups or more, got 1" in result.stderr
    assert sorted(file.name for file in tmp_path.glob("*.*")) == ["mine.toml", "small.csv"]


def test_codes_that_nobody_declared(wave, tmp_path):
    lines = wave.read_text().splitlines()
    coded = [f"{line.rsplit(',', 1)[0]},-1" for line in lines[1:31]]
    path = tmp_path / "coded.csv"
    path.write_text("\n".join([lines[0], *coded, *lines[31:]]) + "\n")
    result = invoke(path, "--items", "Q*", "--factors", "2", "--json")
    warning = "Q6 counts -1 (30 rows) as an answer: name it with --missing -1 if it is a code"
    assert f"warning: {warning}\n" in result.stderr
    assert warning in json.loads(result.stdout)["warnings"]
    assert "counts" not in invoke(path, "--items", "Q*", "--factors", "2", "--missing", "-1").stderr


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--group", "land"], "name the --level"),
        (["--rotation", "promax"], "want --rotation oblimin or varimax, got 'promax'"),
        (["--preset", "iw", "--rotation", "oblimin"], "the preset iw sets --rotation itself"),
        (["--missing", "none"], "want --missing as numbers"),
        (["--out", "mine.csv"], r"ends with \.toml"),
        (["--out", "nowhere/mine.toml"], "got nowhere/mine.toml: there is no nowhere"),
        (["--group", "lande", "--level", "within"], "did you mean 'land'"),
        (["--factors", "5"], "want 1 to 3 factors for 6 items, got 5"),
    ],
)
def test_bad_input(wave, arguments, wanted):
    with pytest.raises(InstrumentError, match=wanted):
        invoke(wave, *arguments)
