import numpy as np
import pytest

from hofsteer.errors import TargetError
from hofsteer.instruments import load_instrument
from hofsteer.targets import index_loss, load_target, mean_country, nearest, noise_floor, source_losses, target_for
from hofsteer.targets.uncertainty import source_spread, uncertainty_note

TABLE = "group,n,n_effective,PDI,PDI_se,IDV,IDV_se\nJPN,200,150.5,54,3,46,4\nnorth,60,,40,2,50,\nsouth,,,80,,20,\n"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(TABLE)
    return path


def test_a_row_is_a_target(table):
    vsm = load_instrument("vsm13")
    japan = target_for(f"{table}:japan", vsm)
    assert (japan.code, japan.in_sentence, japan.n, japan.n_effective) == ("own.csv:JPN", "Japan", 200, 150.5)
    assert dict(japan.scores) == {"PDI": 54, "IDV": 46}
    assert noise_floor(vsm, japan).points == pytest.approx(2 / np.sqrt(np.pi) * 3.5)
    assert noise_floor(vsm, japan).n is None
    north = target_for(f"{table}:north", vsm)
    assert noise_floor(vsm, north).n == 50  # an error is missing
    assert uncertainty_note(north) == "respondents: 60; standard errors: PDI 2.0, IDV unknown"
    assert nearest(japan, vsm.dimension_ids)[0].name == "north"
    assert mean_country(vsm.dimension_ids, japan)[:2].tolist() == [60, 35]
    assert source_losses(japan.vector(vsm.dimension_ids), japan, vsm) == {}


def test_a_noise_floor_without_errors_is_from_the_effective_number(table):
    vsm = load_instrument("vsm13")
    table.write_text("group,n,n_effective,PDI,IDV\nnorth,400,150.5,54,46\nsouth,400,,40,50\neast,9,0,1,2\n")
    north, south, east = (noise_floor(vsm, target_for(f"{table}:{name}", vsm)) for name in ("north", "south", "east"))
    assert (north.n, south.n, east.n) == (150, 50, 50)
    assert north.points == pytest.approx(south.points * np.sqrt(50 / 150))


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        (TABLE, "own.csv:nort", "did you mean 'north'?"),
        (TABLE, "own.csv", "got no group"),
        (TABLE, "other.csv:A", "cannot read targets"),
        ("group,X\nA,1\nB,2\n", "own.csv:A", "scores on PDI"),
        ("group,PDI\nA,1\n", "own.csv:A", "want two groups or more"),
        ("group,PDI\nA,1\nA,1\n", "own.csv:A", "each group once"),
        ("group,PDI\nA,x\nB,1\n", "own.csv:A", "row 2, column PDI: want a number, got 'x'"),
        ("group,PDI,PDI_se\nA,1,-1\nB,1,1\n", "own.csv:A", "want a number of at least 0"),
        ("group,PDI\nA,\nB,1\n", "own.csv:A", "row 2: want a score"),
        ("", "own.csv:A", "got columns none"),
    ],
)
def test_bad_tables(text, name, said, tmp_path):
    (tmp_path / "own.csv").write_text(text)
    with pytest.raises(TargetError, match=said.replace("?", r"\?")) as error:
        target_for(str(tmp_path / name), load_instrument("vsm13"))
    assert "\n" not in str(error.value)


def test_published_rows_of_one_place():
    vsm, saudi = load_instrument("vsm13"), load_target("SAU")
    scores = saudi.vector(vsm.dimension_ids)
    losses = source_losses(scores, saudi, vsm)
    arab = load_target("SAU@arab-2021-05").vector(vsm.dimension_ids)
    assert losses["SAU@arab-2021-05"] == pytest.approx(float(index_loss(scores, arab)))
    assert losses["SAU@hofstede-2015"] == 0
    assert source_spread(saudi) == pytest.approx((9 + 38) / 2)  # LTO and IVR of 2015 and of the Arab study
    assert source_spread(load_target("ARAB_COUNTRIES")) is None
