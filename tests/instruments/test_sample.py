import numpy as np
import pytest

from hofsteer.errors import InstrumentError
from hofsteer.instruments import Administration
from hofsteer.instruments.sample import load_sample, sample_file, sample_names


def test_bundled_grid():
    assert sample_names() == ("grid-24",)
    sample = load_sample()
    assert sample.id == "grid-24"
    assert len({cell.text for cell in sample.cells}) == 24
    assert [factor for factor, _ in sample.cells[0].levels] == ["gender", "age", "education", "job"]
    np.testing.assert_allclose(sample.shares, np.full(24, 1 / 24))
    assert sample.effective_cells == pytest.approx(24)


@pytest.fixture
def changed(tmp_path):
    """Write the bundled grid with a change."""

    def changed(old, new, count=-1):
        text = sample_file().read_text(encoding="utf-8")
        assert old in text
        path = tmp_path / "mine.toml"
        path.write_text(text.replace(old, new, count), encoding="utf-8")
        return path

    return changed


def test_weights(changed):
    sample = load_sample(changed("weight = 1 }", "weight = 25.0 }", 1))
    assert sample.shares[0] == pytest.approx(25 / 48)
    assert sample.effective_cells == pytest.approx(48**2 / (25**2 + 23))  # Kish: (sum w)^2 / sum w^2


def test_cells_are_asked_behind_a_persona(vsm13):
    sample = load_sample()
    plain = sample.administrations(Administration(vsm13, wording=1))
    assert [a.system for a in plain] == [cell.text for cell in sample.cells]
    assert {a.wording for a in plain} == {1}
    country = sample.administrations(Administration(vsm13, system="You live in Japan."))
    assert country[0].system == f"You live in Japan. {sample.cells[0].text}"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("format = 1", "format = 2", "want format 1, got 2"),
        ("title =", "titel =", "missing key 'title'"),
        ("format = 1", "format = 1\nlevel = 1", "unknown key 'level'; did you mean 'levels'?"),
        ('gender = "woman", age = "25"', 'gender = "women", age = "25"', "cell 1 wants gender woman, man, got 'women'"),
        ('{ gender = "woman", age = "25"', '{ gender = "woman", aeg = "25"', "unknown key 'aeg'; did you mean 'age'?"),
        ('gender = "woman", age = "25", ', 'age = "25", ', "cell 1 wants gender woman, man, got ''"),
        ("weight = 1 }", "weight = 0 }", "cell 1 wants a positive weight, got 0"),
        (", weight = 1 }", " }", "cell 1 wants a positive weight, got None"),
        ("weight = 1 }", 'weight = "1" }', "cell 1 wants a positive weight, got '1'"),
        ("{job}", "{jobs}", "factor 'jobs' is named in text, but not in levels"),
        (" {job}", "", "factor 'job' is named in levels, but not in text"),
        ("{job}", "{job", "text: "),
        ('man = "man"', 'man = "woman"', "cells 1 and 13 are the same respondent"),
        ('  { gender = "woman"', '  # { gender = "woman"', "want at least 20 cells, got 12"),
        ("cells = [", "cells = [[", "is not a TOML file"),
    ],
)
def test_bad_files(old, new, message, changed):
    with pytest.raises(InstrumentError) as caught:
        load_sample(changed(old, new))
    assert message in str(caught.value)
    assert "mine.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names():
    with pytest.raises(InstrumentError, match=r"bundled sample \(grid-24\), got 'grid24'; did you mean 'grid-24'\?"):
        load_sample("grid24")
    with pytest.raises(InstrumentError, match=r"no sample file at nowhere\.toml"):
        load_sample("nowhere.toml")
