from importlib.resources import files

import pytest


def test_list_as_json(hofsteer):
    result = hofsteer("instruments", "--json")
    assert (result.code, result.err) == (0, "")
    table = result.json()
    assert list(table) == ["schema", "instruments"]
    assert table["schema"] == 1
    aliases = {entry["id"]: entry["aliases"] for entry in table["instruments"]}
    assert (aliases["vsm13-own"], aliases["vsm13-cat"]) == (["vsm13"], [])
    assert all(list(entry) == ["id", "aliases", "title"] for entry in table["instruments"])


def test_list(hofsteer):
    result = hofsteer("instruments")
    assert (result.code, result.err) == (0, "")
    assert "vsm13-own" in result.out
    assert "vsm13-cat" in result.out


def test_show_as_json(hofsteer, vsm13):
    table = hofsteer("instruments", "show", "VSM13", "--json").json()
    assert list(table) == [
        *("schema", "instrument", "title", "source", "licence", "sha256", "constants", "validated"),
        *("person_centred", "dimensions", "items", "optional_items", "leakage"),
    ]
    assert (table["schema"], table["instrument"], table["sha256"]) == (1, "vsm13-own", vsm13.hash)
    assert table["dimensions"]["PDI"] == {
        "name": "Power distance",
        "weights": {"Q7": 35, "Q2": -35, "Q20": 25, "Q23": -25},
        "intercept": 0,
    }
    assert list(table["items"]) == list(vsm13.item_ids)
    assert list(table["items"]["Q1"]) == ["construct", "wordings", "options", "scale", "domain"]
    assert list(table["items"]["Q1"]["options"].values()) == [1, 2, 3, 4, 5]


def test_show(hofsteer):
    result = hofsteer("instruments", "show", "vsm13")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("vsm13-own: VSM13-style index, own wording\n")
    assert "PDI Power distance: +35 Q7 -35 Q2 +25 Q20 -25 Q23 + C" in result.out
    assert "1 essential" in result.out
    assert "Apache-2.0" in result.out


def test_texts_of_a_file_are_shown_as_they_are(hofsteer, tmp_path):
    text = (files("hofsteer.instruments") / "data" / "vsm13-own.toml").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    text = text.replace('"essential"', '"[/b] sure"').replace('title = "VSM13-style', 'title = "[i] :cat: VSM13-style')
    path.write_text(text, encoding="utf-8")
    result = hofsteer("instruments", "show", path)
    assert result.code == 0
    assert "1 [/b] sure" in result.out
    assert "[i] :cat: VSM13-style" in result.out


def test_person_centring_is_said(hofsteer, tmp_path):
    text = (files("hofsteer.instruments") / "data" / "vsm13-own.toml").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(f"person_centred = true\n{text}", encoding="utf-8")
    said = " ".join(hofsteer("instruments", "show", path).out.split())
    assert "person-centred: answers count less a respondent's mean over all items" in said
    assert hofsteer("instruments", "show", path, "--json").json()["person_centred"] is True
    assert "person-centred" not in hofsteer("instruments", "show", "vsm13").out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vsm14", "unknown instrument 'vsm14'; did you mean 'vsm13'? (there are "),
        ("none.toml", "no instrument file at none.toml"),
        ("broken.toml", "broken.toml is not a TOML file: "),
        ("wrong.toml", "wrong.toml: missing key "),
    ],
)
def test_bad_instruments(name, message, refused, tmp_path):
    (tmp_path / "cwd" / "broken.toml").write_text("items = [", encoding="utf-8")
    (tmp_path / "cwd" / "wrong.toml").write_text('format = 1\nid = "mine"\n', encoding="utf-8")
    assert refused("instruments", "show", name).startswith(message)
