import pytest

from hofsteer.errors import InstrumentError
from hofsteer.instruments import Administration, Item, Message, Option, load_instrument

VSM13 = load_instrument("vsm13")
ITEM = VSM13.item("Q20")
TEN = Item("ten", "how much", ("How much?",), tuple(Option(f"about {i}", float(i)) for i in range(1, 11)))


def test_listed_form_with_digits():
    administration = Administration(VSM13)
    assert administration.presented(ITEM) == (0, 1, 2, 3, 4)
    assert administration.option_labels(ITEM) == ("1", "2", "3", "4", "5")
    assert administration.messages(ITEM) == [
        Message(
            "user",
            f"{ITEM.wordings[0]}\n1. never\n2. rarely\n3. now and then\n4. often\n5. all the time\n"
            "Reply with one number only.",
        )
    ]


def test_reversed_form_with_letters():
    administration = Administration(VSM13, wording=1, order="reversed", labels="letters")
    assert administration.presented(ITEM) == (4, 3, 2, 1, 0)
    assert administration.option_labels(ITEM) == ("A", "B", "C", "D", "E")  # labels run upwards all the same
    assert administration.messages(ITEM) == [
        Message(
            "user",
            f"{ITEM.wordings[1]}\nA. all the time\nB. often\nC. now and then\nD. rarely\nE. never\n"
            "Reply with one letter only.",
        )
    ]


def test_options_by_their_own_words():
    administration = Administration(VSM13, order="reversed", labels="words", numbering="falling")
    shown = ("all the time", "often", "now and then", "rarely", "never")
    assert administration.option_labels(ITEM) == shown  # nothing is numbered, so nothing falls
    assert administration.messages(ITEM)[0].content.split("\n") == [
        ITEM.wordings[0],
        *shown,
        "Reply with one of these answers only.",
    ]


def test_falling_labels_stand_beside_the_same_options_in_the_same_order():
    administration = Administration(VSM13, numbering="falling")
    (message,) = administration.messages(ITEM)
    assert message.content.split("\n")[1:-1] == [
        "5. never",
        "4. rarely",
        "3. now and then",
        "2. often",
        "1. all the time",
    ]
    assert administration.presented(ITEM) == Administration(VSM13).presented(ITEM)


def test_scale_first_lets_items_of_one_scale_begin_alike():
    first, second = (Administration(VSM13, layout="scale-first").messages(item)[0].content for item in VSM13.items[:2])
    assert first.split("\n")[:6] == second.split("\n")[:6]
    assert first.split("\n")[6:] == [VSM13.items[0].wordings[0], "Reply with one number only."]


@pytest.mark.parametrize("order", ["listed", "reversed"])
@pytest.mark.parametrize("labels", ["digits", "letters"])
@pytest.mark.parametrize("numbering", ["rising", "falling"])
def test_every_item_shows_each_option_once(order, labels, numbering):
    administration = Administration(VSM13, order=order, labels=labels, numbering=numbering)
    for item in VSM13.items:
        (message,) = administration.messages(item)
        stem, *lines, _ = message.content.split("\n")
        assert stem == item.wordings[0]
        shown = [line.split(". ", maxsplit=1) for line in lines]
        assert tuple(label for label, _ in shown) == administration.option_labels(item)
        assert [text for _, text in shown] == [item.options[k].text for k in administration.presented(item)]


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [("digits", ("1", "2", "3", "4", "5", "6", "7", "8", "9", "10")), ("letters", tuple("ABCDEFGHIJ"))],
)
def test_labels_of_ten_options(labels, wanted):
    assert Administration(VSM13, labels=labels).option_labels(TEN) == wanted
    assert Administration(VSM13, order="reversed").presented(TEN) == tuple(range(9, -1, -1))


def test_system_text_stands_first():
    messages = Administration(VSM13, system="You live in Japan.").messages(ITEM)
    assert messages[0] == Message("system", "You live in Japan.")
    assert messages[1:] == Administration(VSM13).messages(ITEM)


def test_cue_is_not_part_of_the_messages():
    assert Administration(VSM13, cue="Answer:").messages(ITEM) == Administration(VSM13).messages(ITEM)


def test_equal_forms_are_equal():
    assert Administration(VSM13, wording=1) == Administration(VSM13, wording=1)
    assert Administration(VSM13, wording=1) != Administration(VSM13, wording=0)
    assert len({Administration(VSM13), Administration(VSM13), Administration(VSM13, order="reversed")}) == 2


@pytest.mark.parametrize("wording", [-1, 8])
def test_wording_that_is_not_there(wording):
    with pytest.raises(
        InstrumentError, match=rf"^vsm13-own has wordings 0 to 7 for every item, wanted wording {wording}$"
    ):
        Administration(VSM13, wording=wording)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"order": "reverse"}, "^want order listed or reversed, got 'reverse'$"),
        ({"labels": "letter"}, "^want labels digits or letters or words, got 'letter'$"),
        ({"numbering": "down"}, "^want numbering rising or falling, got 'down'$"),
        ({"layout": "scale"}, "^want layout stem-first or scale-first, got 'scale'$"),
    ],
)
def test_mistyped_setting_is_no_silent_form(settings, message):
    with pytest.raises(InstrumentError, match=message):
        Administration(VSM13, **settings)
