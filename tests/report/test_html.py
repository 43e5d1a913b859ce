from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from hofsteer.report import MINI_STATEMENT, NOT_CONCLUDED, adapter_card, convergence_figure, run_report, statement

VOID = {"meta", "br", "img", "link", "input", "hr"}
NASTY = "<script>alert('x')</script>&\"m"


class Page(HTMLParser):
    """Tags, attributes and text of a page; every tag that opens must close."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture
def report(history, evaluate, vsm13):
    def report(model="some/Model-8B", target="JPN"):
        evaluation = evaluate(target)
        return run_report(convergence_figure(history, [1.0] * len(history), evaluation), evaluation, model, vsm13)

    return report


def test_page_holds_table_figure_and_limits(report, evaluate):
    page = Page(report())
    text = " ".join(page.texts)
    assert "some/Model-8B steered towards Japan" in page.texts
    for row in evaluate().rows.values():
        assert row.name in page.texts
        assert f"{row.loss:.1f}" in page.texts
    assert statement("some/Model-8B", evaluate(), "vsm13-own") in page.texts
    assert NOT_CONCLUDED in page.texts
    assert "What may not be concluded" in page.texts
    assert "two samples of 50 from one country differ by 11 points" in text
    assert page.tags.count("svg") == 1
    assert page.tags.count("tr") == 8  # the heading, the target and six rows


def test_page_needs_no_script_and_fetches_nothing(report):
    page = Page(report())
    assert "script" not in page.tags
    assert {"img", "link", "iframe", "object", "embed", "image"}.isdisjoint(page.tags)
    for name, value in page.attributes:
        assert not name.startswith("on"), name
        if name in ("src", "href", "xlink:href", "action"):
            assert value.startswith("#"), value
    assert "@import" not in report()
    assert report().count("url(") == report().count("url(#")


def test_names_are_escaped(report):
    text = report(model=NASTY)
    page = Page(text)
    assert "script" not in page.tags
    assert "<script" not in text
    assert f"{NASTY} steered towards Japan" in "".join(page.texts)
    assert Page(text).tags == Page(report()).tags


def test_note_on_mini_only_for_mini(report, evaluate, vsm13):
    assert MINI_STATEMENT not in Page(report("mini")).texts  # a name proves nothing
    assert MINI_STATEMENT in adapter_card(replace(evaluate(), simulated=True), "copy", vsm13)


def test_estimates_are_named(report):
    assert "PDI, IDV, MAS, UAI estimated" in report(target="SAU")


def test_figure_inside_the_page_is_whole(report):
    text = report()
    ET.fromstring(text[text.index("<svg") : text.index("</svg>") + len("</svg>")])
    assert "<?xml" not in text
    assert text.count("<!doctype") + text.count("<!DOCTYPE") == 1


def test_same_run_same_page(report):
    assert report() == report()


def test_adapter_card(evaluate, vsm13):
    card = adapter_card(evaluate(), "some/Model-8B", vsm13)
    lines = card.splitlines()
    assert lines[:4] == ["---", "library_name: peft", "tags: [prompt-tuning, hofsteer]", "---"]
    assert "# some/Model-8B steered towards Japan" in lines
    table = [line for line in lines if line.startswith("|")]
    assert table[0] == "| row | PDI | IDV | MAS | UAI | LTO | IVR | loss | skill | valid mass |"
    assert {line.count("|") for line in table} == {11}
    assert [line.split("|")[1].strip() for line in table[2:]] == [
        "target",
        *(row.name for row in evaluate().rows.values()),
    ]
    assert table[4] == "| persona | 20.5 | 30.5 | 40.5 | 50.5 | 60.5 | 70.5 | 20.5 | -0.28 | 0.982 |"
    assert statement("some/Model-8B", evaluate(), "vsm13-own") in lines
    assert NOT_CONCLUDED in lines
