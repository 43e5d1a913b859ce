"""The command line: parse, call, print."""

import sys
from typing import Annotated

import typer

from hofsteer import __version__
from hofsteer.cli import (
    align,
    bench,
    compare,
    evaluate,
    instruments,
    knowledge,
    models,
    plan,
    sample,
    score,
    survey,
    targets,
)
from hofsteer.cli.output import messages
from hofsteer.errors import HofsteerError

app = typer.Typer(
    name="hofsteer",
    help="Measure what a language model answers to a cultural survey, and steer the frozen model with a soft prompt.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(survey.survey)
app.command()(score.score)
app.command()(plan.plan)
app.command()(align.align)
app.command()(align.resume)
app.command()(evaluate.evaluate)
app.command()(compare.compare)
app.command()(knowledge.knowledge)
app.add_typer(instruments.app, name="instruments")
app.add_typer(targets.app, name="targets")
app.command()(models.models)
app.command()(bench.bench)
app.command()(sample.sample)


def _version(value: bool) -> None:
    if value:
        print(f"hofsteer {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Measure what a language model answers to a cultural survey, and steer the frozen model with a soft prompt."""


def run() -> None:
    """Entry point: an error of ours is one line and exit code 2."""
    try:
        app(prog_name="hofsteer")
    except HofsteerError as error:
        if "--debug" in sys.argv:
            raise
        messages().print(f"error: {' '.join(str(error).split())}", highlight=False, soft_wrap=True)
        sys.exit(2)
