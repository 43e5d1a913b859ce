"""`hofsteer sample`: a sample file to start from."""

import sys
from typing import Annotated

import typer

from hofsteer.cli.output import AsJson, print_json


def sample(
    name: Annotated[str, typer.Argument(help="A bundled sample, or a TOML file to check.")] = "grid-24",
    as_json: AsJson = False,
) -> None:
    """Print a sample file: `hofsteer sample > mine.toml`, set the weights, `hofsteer survey --sample mine.toml`."""
    from hofsteer.instruments.sample import load_sample, sample_file

    found = load_sample(name)
    if as_json:
        cells = [{**dict(cell.levels), "weight": cell.weight, "text": cell.text} for cell in found.cells]
        print_json({"schema": 1, "id": found.id, "title": found.title, "cells": cells})
        return
    sys.stdout.write(sample_file(name).read_text(encoding="utf-8"))
