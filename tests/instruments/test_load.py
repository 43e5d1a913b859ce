import numpy as np
import pytest

from hofsteer.errors import InstrumentError
from hofsteer.instruments import bundled_instruments, load_instrument

TOY = """\
format = 1
id = "toy"
aliases = ["plaything"]
title = "Toy"
source = "made up"
licence = "none needed"
language = "en"
neutral = 1.5

[scales]
pair = ["left", "right"]
ten = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]

[[dimensions]]
id = "SIDE"
name = "Side"
weights = { first = 100, second = -2.5 }

[[dimensions]]
id = "DEPTH"
name = "Depth"
weights = { third = 1 }

[[items]]
id = "first"
construct = "which side"
scale = "pair"
wordings = ["Left or right?", "Which side?"]

[[items]]
id = "second"
construct = "how far"
scale = "ten"
wordings = ["How far?"]

[[items]]
id = "third"
construct = "how deep"
scale = "ten"
wordings = ["How deep?"]
"""

VARIANT = """\
format = 1
extends = "toy"
id = "toy-turned"
title = "Toy, turned"
source = "made up"

[[dimensions]]
id = "SIDE"
name = "Other side"
weights = { first = -100, second = 2.5 }
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="toy.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def replaced(text, old, new):
    assert text.count(old) == 1
    return text.replace(old, new)


def message_of(path):
    with pytest.raises(InstrumentError) as caught:
        load_instrument(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["vsm13-own", "vsm13", "VSM13", "Vsm13-OWN"])
def test_bundled_by_id_or_alias_in_any_case(name):
    assert load_instrument(name).id == "vsm13-own"


def test_bundled_is_read_once():
    assert load_instrument("vsm13") is load_instrument("vsm13")


def test_list_of_bundled():
    entries = {entry.id: entry for entry in bundled_instruments()}
    assert list(entries) == sorted(entries)
    assert entries["vsm13-own"].aliases == ("vsm13",)
    for name in entries:
        assert load_instrument(name).id == name
        assert load_instrument(name).title == entries[name].title


def test_by_path(write):
    path = write(TOY)
    for name in (path, str(path)):
        toy = load_instrument(name)
        assert (toy.id, toy.title, toy.source, toy.licence, toy.language) == (
            "toy",
            "Toy",
            "made up",
            "none needed",
            "en",
        )
        assert toy.item_ids == ("first", "second", "third")
        assert toy.item("first").wordings == ("Left or right?", "Which side?")
        assert [(option.text, option.value) for option in toy.item("first").options] == [("left", 1.0), ("right", 2.0)]
        np.testing.assert_array_equal(toy.weights, [[100, -2.5, 0], [0, 0, 1]])


def test_scales_of_two_and_ten_options_are_padded(write):
    toy = load_instrument(write(TOY))
    np.testing.assert_array_equal(toy.option_mask.sum(axis=1), [2, 10, 10])
    np.testing.assert_array_equal(toy.option_values[0], [1, 2] + [np.nan] * 8)
    np.testing.assert_array_equal(toy.option_values[1], np.arange(1, 11))


def test_hash_follows_the_text(write):
    before = load_instrument(write(TOY)).hash
    assert load_instrument(write(TOY)).hash == before
    assert load_instrument(write(replaced(TOY, "Which side?", "Which one?"))).hash != before


def test_variant_of_a_file_beside_it(write):
    toy, turned = load_instrument(write(TOY)), load_instrument(write(VARIANT, "turned.toml"))
    assert (turned.id, turned.title) == ("toy-turned", "Toy, turned")
    assert turned.items == toy.items
    np.testing.assert_array_equal(turned.weights, [[-100, 2.5, 0], [0, 0, 1]])
    assert [dimension.name for dimension in turned.dimensions] == ["Other side", "Depth"]


def test_hash_of_a_variant_follows_both_files(write):
    write(TOY)
    variant = write(VARIANT, "turned.toml")
    before = load_instrument(variant).hash
    write(replaced(TOY, "Which side?", "Which one?"))
    assert load_instrument(variant).hash != before


def test_variant_of_a_bundled_instrument(write):
    text = replaced(VARIANT, 'extends = "toy"', 'extends = "VSM13"').replace("SIDE", "PDI")
    text = replaced(text, "first = -100, second = 2.5", "Q7 = 1")
    instrument = load_instrument(write(text, "mine.toml"))
    assert instrument.dimension_ids == load_instrument("vsm13").dimension_ids
    assert instrument.score_means(np.arange(1.0, 25.0))[0] == 7.0


def test_unknown_name():
    names = sorted(name for entry in bundled_instruments() for name in (entry.id, *entry.aliases))
    assert message_of("vsm31") == (f"unknown instrument 'vsm31'; did you mean 'vsm13'? (there are {', '.join(names)})")


def test_no_file(tmp_path):
    assert message_of(tmp_path / "none.toml") == f"no instrument file at {tmp_path / 'none.toml'}"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "Toy"', "title = Toy", "toy.toml is not a TOML file: Invalid value (at line 4, column 9)"),
        ('title = "Toy"\n', "", "toy.toml: missing key 'title'"),
        ("format = 1\n", "", "toy.toml: missing key 'format'"),
        ("format = 1", "format = 2", "toy.toml: want format 1, got 2"),
        ("format = 1", 'format = "1"', "toy.toml: want format 1, got '1'"),
        ("licence =", "license =", "toy.toml: missing key 'licence'"),
        ("neutral = 1.5", "neutral = 1.5\nneutrall = 1", "toy.toml: unknown key 'neutrall'; did you mean 'neutral'?"),
        ("neutral = 1.5", "neutral = nan", "toy.toml: neutral: Input should be a finite number, got nan"),
        ("neutral = 1.5", 'neutral = "1"', "toy.toml: neutral: Input should be a valid number, got '1'"),
        ('id = "toy"', 'id = ""', "toy.toml: id: String should have at least 1 character, got ''"),
        ('id = "second"', 'id = "first"', "toy.toml: duplicate item 'first'"),
        ('id = "second"', 'id = "First"', "toy.toml: duplicate item 'First'"),
        ('id = "DEPTH"', 'id = "SIDE"', "toy.toml: duplicate dimension 'SIDE'"),
        (
            "third = 1",
            "thirdd = 1",
            "toy.toml: the formula of DEPTH names item 'thirdd', which is not in the instrument; did you mean 'third'?",
        ),
        ("third = 1", 'third = "1"', "toy.toml: dimensions.2.weights.third: Input should be a valid number, got '1'"),
        ("{ third = 1 }", "{}", None),
        ('scale = "pair"', 'scale = "pairs"', "toy.toml: item first uses unknown scale 'pairs'; did you mean 'pair'?"),
        ('construct = "how far"', 'constructs = "how far"', "toy.toml: missing key 'items.2.construct'"),
        ('"How far?"]', '"How far?"]\nnote = "x"', "toy.toml: unknown key 'items.2.note'"),
        (
            'scale = "pair"',
            'scale = "pair"\nconstrukt = "x"',
            "toy.toml: unknown key 'items.1.construkt'; did you mean 'construct'?",
        ),
        ('name = "Depth"', 'name = "Depth"\nweight = 1', "toy.toml: unknown key 'dimensions.2.weight'; did you mean"),
        ('["How far?"]', "[]", "toy.toml: items.2.wordings: List should have at least 1 item"),
        ('["left", "right"]', '["left"]', "toy.toml: scales.pair: List should have at least 2 items"),
        ('"i", "j"]', '"i", "j", "k"]', "toy.toml: scales.ten: List should have at most 10 items"),
    ],
)
def test_errors_of_a_file_in_one_line(write, old, new, message):
    said = message_of(write(replaced(TOY, old, new)))
    assert said.startswith(message or "toy.toml: dimensions.2.weights: Dictionary should have at least 1 item")


EXTENDED = (
    replaced(TOY, "neutral = 1.5\n", 'constants = "fixed"\nvalidated = false\n')
    .replace('pair = ["left", "right"]', 'pair = [{ text = "left", value = -1 }, { text = "right", value = 0.5 }]')
    .replace("weights = { third = 1 }", "weights = { third = 1 }\nintercept = -7")
    .replace(
        'construct = "how deep"\nscale = "ten"',
        'construct = "how deep"\noptions = [{ text = "up", value = 2 }, { text = "down", value = 8 }]\n'
        'domain = "sea"\ndeviation = 3',
    )
    + """
[[items]]
id = "age"
construct = "years of life"
options = ["young", "old"]
wordings = ["How old?"]
optional = true
"""
)


def test_extended_format(write):
    toy = load_instrument(write(EXTENDED))
    assert (toy.constants, toy.validated, toy.neutral) == ("fixed", False, None)
    assert [(o.text, o.value) for o in toy.item("first").options] == [("left", -1.0), ("right", 0.5)]
    assert [(o.text, o.value) for o in toy.item("third").options] == [("up", 2.0), ("down", 8.0)]
    assert [item.scale for item in toy.items] == ["pair", "ten", None]
    assert (toy.item("third").domain, toy.item("third").deviation) == ("sea", 3.0)
    assert (toy.item("second").domain, toy.item("second").deviation) == (None, 1.0)
    np.testing.assert_array_equal(toy.neutral_means, [-0.25, 5.5, 5.0])
    np.testing.assert_array_equal(toy.score_means(np.array([1.0, 2.0, 4.0])), [95.0, -3.0])


def test_optional_items_are_asked_only_if_wanted(write):
    toy = load_instrument(write(EXTENDED))
    assert [item.id for item in toy.optional_items] == ["age"]
    assert toy.item_ids == ("first", "second", "third")
    whole = toy.with_optional()
    assert (whole.item_ids, whole.optional_items) == ((*toy.item_ids, "age"), ())
    means = np.array([1.0, 2.0, 4.0, np.nan])
    np.testing.assert_array_equal(whole.score_means(means), toy.score_means(means[:3]))


def test_defaults_of_the_extended_format(write):
    toy = load_instrument(write(TOY))
    assert (toy.constants, toy.validated, toy.neutral, toy.optional_items) == ("chosen", True, 1.5, ())
    np.testing.assert_array_equal(toy.neutral_means, [1.5, 1.5, 1.5])
    np.testing.assert_array_equal(toy.intercepts, [0, 0])


def test_variant_keeps_all_that_it_does_not_score_anew(write):
    toy, turned = load_instrument(write(EXTENDED)), load_instrument(write(VARIANT, "turned.toml"))
    assert (turned.constants, turned.validated, turned.optional_items) == ("fixed", False, toy.optional_items)
    np.testing.assert_array_equal(turned.intercepts, [0, -7])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("intercept = -7", "intercept = inf", "dimensions.2.intercept: Input should be a finite number, got inf"),
        ("intercept = -7", "intercpt = 1", "unknown key 'dimensions.2.intercpt'; did you mean 'intercept'?"),
        ('"fixed"', '"free"', "constants: Input should be 'chosen' or 'fixed', got 'free'"),
        ("validated = false", 'validated = "no"', "validated: Input should be a valid boolean, got 'no'"),
        ("deviation = 3", "deviation = 0", "items.3.deviation: Input should be greater than 0, got 0"),
        ('text = "left", value', 'text = "left", valu', "missing key 'scales.pair.1.value'"),
        ('{ text = "left", value = -1 }', '"left"', "scales.pair: want options that are all texts or all { text"),
        ('{ text = "up", value = 2 }', '"up"', "items.3.options: want options that are all texts or all { text"),
        ("value = 8 }", "value = 8, vale = 1 }", "unknown key 'items.3.options.2.vale'; did you mean 'value'?"),
        ("value = 0.5 }", "value = 1, txt = 1 }", "unknown key 'scales.pair.2.txt'; did you mean 'text'?"),
        ('text = "down"', 'text = "up"', "item third wants options that differ, got one text twice"),
        ("value = 8", "value = 2", "item third wants options with at least two values, got 2 throughout"),
        ('domain = "sea"', 'scale = "ten"', "item third wants a scale or options of its own, got both"),
        ('scale = "pair"\n', "", "item first wants a scale or options of its own, got neither"),
        (
            "third = 1 }",
            "third = 1, age = 1 }",
            "the formula of DEPTH names item 'age', which is optional; want one that is always asked",
        ),
        (
            "validated = false",
            "neutral = 1.5",
            "neutral = 1.5 is not inside the scale of item first, -1 to 0.5; leave it out where scales differ",
        ),
    ],
)
def test_errors_of_the_extended_format_in_one_line(write, old, new, message):
    assert message_of(write(replaced(EXTENDED, old, new))).startswith(f"toy.toml: {message}")


def test_optional_item_is_asked_in_every_wording(write):
    text = EXTENDED.replace('["How far?"]', '["How far?", "Far?"]').replace('["How deep?"]', '["How deep?", "Deep?"]')
    assert message_of(write(text)) == "toy.toml: optional item age wants 2 wordings like the others, got 1"


def test_all_items_optional(write):
    text = TOY.replace("\nwordings", "\noptional = true\nwordings")
    assert message_of(write(text)).startswith("toy.toml: the formula of SIDE names item 'first', which is optional")


def test_file_that_is_not_text(tmp_path):
    path = tmp_path / "toy.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert message_of(path).startswith("toy.toml is not a TOML file: 'utf-8' codec can't decode byte 0xff")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'extends = "toy"',
            'extends = "vsm31"',
            "turned.toml extends 'vsm31': unknown instrument 'vsm31'; did you mean 'vsm13'?",
        ),
        ('id = "SIDE"', 'id = "SIDES"', "turned.toml: toy has no dimension 'SIDES'; did you mean 'SIDE'?"),
        ("second = 2.5", "sec = 2.5", "turned.toml: the formula of SIDE names item 'sec', which is not in"),
        ('title = "Toy, turned"\n', "", "turned.toml: missing key 'title'"),
        # a variant takes language, scales and items from what it extends
        ('source = "made up"', 'source = "made up"\nlanguage = "en"', "turned.toml: unknown key 'language'"),
    ],
)
def test_errors_of_a_variant_in_one_line(write, old, new, message):
    write(TOY)
    assert message_of(write(replaced(VARIANT, old, new), "turned.toml")).startswith(message)


def test_suggested_key_is_one_that_a_variant_may_have(write):
    text = replaced(VARIANT, 'title = "Toy, turned"', 'title = "Toy, turned"\nitem = "x"')
    assert message_of(write(text, "turned.toml")) == "turned.toml: unknown key 'item'; did you mean 'title'?"


def test_variant_with_a_dimension_twice(write):
    write(TOY)
    text = VARIANT + VARIANT[VARIANT.index("[[dimensions]]") :]
    assert message_of(write(text, "turned.toml")) == "turned.toml: duplicate dimension 'SIDE'"


def test_variant_names_the_broken_file_beside_it(write):
    write(replaced(TOY, "format = 1", "format = 9"))
    path = write(VARIANT, "turned.toml")
    assert message_of(path) == "turned.toml extends 'toy': toy.toml: want format 1, got 9"


def test_variant_of_itself_is_no_endless_loop(write):
    path = write(replaced(VARIANT, 'extends = "toy"', 'extends = "turned"'), "turned.toml")
    wanted = "turned.toml: want to extend a whole instrument, got 'turned', which is a variant itself"
    assert message_of(path) == wanted
