import io

import pytest
from rich.console import Console

from hofsteer.alignment.run import Record
from hofsteer.cli import output


def record(generation, best):
    return Record(generation, 20 * generation, best, best, None, None, 0, ())


def test_progress_only_on_a_terminal(capsys):
    with output.search_progress(100) as watchers:
        assert watchers == (None, None)
    assert capsys.readouterr() == ("", "")


def test_progress_on_a_terminal(monkeypatch, capsys):
    screen = Console(file=io.StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(output, "messages", lambda: screen)
    with output.search_progress(60) as (watch, watch_personas):
        watch_personas(7, 64)
        watch(record(1, None))
        watch(record(2, 12.345))
        watch(record(3, 4.2))
    shown = screen.file.getvalue()
    assert "best loss  4.20" in shown
    assert "60/60" in shown
    assert capsys.readouterr() == ("", "")


def test_json_is_strict(capsys):
    output.print_json({"schema": 1, "name": "Österreich"})
    assert capsys.readouterr().out == '{\n  "schema": 1,\n  "name": "Österreich"\n}\n'
    with pytest.raises(ValueError, match="JSON compliant"):
        output.print_json({"loss": float("nan")})


@pytest.mark.parametrize(("mass", "said"), [(0.95, False), (0.9, False), (0.89, True), (0.0, True)])
def test_warning_of_low_mass(mass, said, capsys):
    output.warn_of_low_mass(mass)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == said
    assert err.startswith("warning: valid mass" if said else "")
