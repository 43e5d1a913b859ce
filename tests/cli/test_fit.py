"""`hofsteer instruments fit` on small files."""

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
    assert (tmp_path / "mine-targets.csv").read_text().startswith("group,n,n_effective,F1,F1_se,F2,F2_se\n")
    assert sorted(path.name for path in figures.iterdir()) == ["groups.svg", "loadings.svg", "scree.svg"]
    assert RUN.invoke(app, ["instruments", "show", str(out)]).exit_code == 0
    with pytest.raises(InstrumentError, match="want a new file for the instrument"):
        invoke(wave, "--group", "land", "--level", "between", "--out", out)


def test_the_table_for_people(wave):
    result = invoke(wave, "--items", "Q*", "--preset", "iw", "--factors", "2")
    assert "level pooled, pearson correlations, components, varimax" in result.stdout
    assert "parallel analysis 2" in result.stdout


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
        (["--group", "lande", "--level", "within"], "did you mean 'land'"),
        (["--factors", "5"], "want 1 to 3 factors for 6 items, got 5"),
    ],
)
def test_bad_input(wave, arguments, wanted):
    with pytest.raises(InstrumentError, match=wanted):
        invoke(wave, *arguments)
