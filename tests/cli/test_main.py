import pytest

import hofsteer as package
from hofsteer.cli.main import run
from hofsteer.errors import TargetError

COMMANDS = ("survey", "score", "align", "resume", "instruments", "targets", "models")


def test_version(hofsteer):
    assert hofsteer("--version") == (0, f"hofsteer {package.__version__}\n", "")


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_every_command(flag, hofsteer):
    result = hofsteer(flag)
    assert result.code == 0
    assert all(command in result.out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, hofsteer):
    result = hofsteer(command, "--help")
    assert result.code == 0
    assert f"Usage: hofsteer {command}" in result.out
    assert "--json" in result.out


def test_without_a_command_there_is_help(hofsteer):
    result = hofsteer()
    assert result.code == 2
    assert "Usage: hofsteer" in result.out + result.err


@pytest.mark.parametrize(
    "arguments", [("sruvey",), ("survey", "--modle", "mini"), ("score",), ("align", "--budget", "x")]
)
def test_usage_errors(arguments, hofsteer):
    result = hofsteer(*arguments)
    assert (result.code, result.out) == (2, "")
    assert "Traceback" not in result.err


def test_an_error_of_ours_is_one_line(refused):
    assert refused("targets", "show", "Jpan") == (
        "want the code or name of a country or region, got 'Jpan'; did you mean 'Japan'?"
    )


def test_an_error_with_line_breaks_is_still_one_line(refused):
    assert refused("instruments", "show", "no\nsuch.toml") == "no instrument file at no such.toml"


def test_names_that_look_like_markup_are_printed_as_they_are(refused):
    assert "'[/b]:cat:'" in refused("targets", "show", "[/b]:cat:")


def test_debug_raises(monkeypatch):
    monkeypatch.setattr("sys.argv", ["hofsteer", "--debug", "targets", "show", "Jpan"])
    with pytest.raises(TargetError):
        run()


def test_in_a_process_of_its_own(process):
    result = process("targets", "show", "Jpan")
    assert (result.code, result.out) == (2, "")
    assert result.err == "error: want the code or name of a country or region, got 'Jpan'; did you mean 'Japan'?\n"


def test_debug_shows_the_traceback(process):
    result = process("--debug", "targets", "show", "Jpan")
    assert result.code != 0
    assert result.err.startswith("Traceback (most recent call last):")
    assert "in load_target" in result.err
    assert result.err.rstrip().endswith("got 'Jpan'; did you mean 'Japan'?")


def test_a_reader_that_stops_early_is_no_error(process):
    # `hofsteer targets | head -1`
    code = (
        "import subprocess, sys\n"
        "entry = [sys.executable, '-c', 'from hofsteer.cli.main import run; run()', 'targets', '--json']\n"
        "child = subprocess.Popen(entry, stdout=subprocess.PIPE, stderr=subprocess.PIPE)\n"
        "child.stdout.close()\n"
        "print(child.stderr.read().decode())\n"
    )
    assert "Traceback" not in process(code=code).out
