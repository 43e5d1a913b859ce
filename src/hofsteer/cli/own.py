"""`hofsteer instruments template | import | compare`: the user's own wording of a survey."""

from pathlib import Path
from typing import Annotated

import typer

from hofsteer.cli.output import AsJson, Model, load_respondent, print_json, results
from hofsteer.files import replace_text


def template(
    instrument: Annotated[str, typer.Argument(help="Id, alias or TOML file.")],
    out: Annotated[Path | None, typer.Option(help="Where to write it; by default standard output.")] = None,
) -> None:
    """Print a table to fill in with the official wording or a translation: one row an item."""
    from hofsteer.errors import InstrumentError
    from hofsteer.instruments import load_instrument
    from hofsteer.instruments.own import template as table

    text = table(load_instrument(instrument))
    if out is None:
        typer.echo(text, nl=False)
        return
    if out.exists():
        raise InstrumentError(f"{out} is there already, and somebody's texts may be in it: name another file")
    replace_text(out, text)
    results().print(f"{out}: fill in the column wording, then: hofsteer instruments import {out}", highlight=False)


def import_own(
    table: Annotated[Path, typer.Argument(help="The filled-in template.")],
    base: Annotated[str, typer.Option(help="The instrument that the template is of.")] = "vsm13",
    language: Annotated[str, typer.Option(help="Language of the texts: en, ar, ...")] = "en",
    name: Annotated[str | None, typer.Option(help="Id of the new instrument.", show_default="the file's name")] = None,
    out: Annotated[Path | None, typer.Option(help="The TOML file.", show_default="beside the table")] = None,
    as_json: AsJson = False,
) -> None:
    """Make an instrument of a filled-in template: your words, the same items, values and formulas.

    Use it by its path (`--instrument mine.toml`); `vsm13` goes on meaning hofsteer's own wording. Results carry the
    instrument's id and hash.
    """
    from hofsteer.errors import InstrumentError
    from hofsteer.instruments import load_instrument
    from hofsteer.instruments.own import own_instrument, read_own

    original = load_instrument(base)
    texts = read_own(table, original)
    path = out if out is not None else table.with_suffix(".toml")
    if path.suffix != ".toml":
        raise InstrumentError(f"--out wants a .toml file, got {path}")
    if path.exists():
        raise InstrumentError(f"{path} is there already: name another with --out")
    own = name or path.stem
    if own.lower() in (original.id.lower(), base.lower()):
        raise InstrumentError(f"want a name of its own, got that of {original.id}: give another with --name")
    title = f"{original.title.split(',')[0]}, wording of {table.name}"
    replace_text(path, own_instrument(original, texts, own, title, language))
    instrument = load_instrument(path)
    if as_json:
        print_json({"schema": 1, "instrument": own, "file": str(path), "sha256": instrument.hash, "items": list(texts)})
        return
    fewest = min(len(item.wordings) for item in instrument.items)
    console = results()
    console.print(
        f"{path}: {own}, {len(texts)} items, {fewest} wording(s), {language}, hash {instrument.hash[:12]}",
        highlight=False,
    )
    console.print(f"use it as: hofsteer survey --instrument {path}", highlight=False, soft_wrap=True)


def compare_wordings(
    one: Annotated[str, typer.Argument(help="Your instrument: a TOML file.")],
    other: Annotated[str, typer.Argument(help="The one it is compared with.")] = "vsm13",
    model: Model = "mini",
    persona: Annotated[
        list[str] | None, typer.Option("--as", help="Ask under the persona of a country; several.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print by how much two wordings of one survey differ in a model's answers, index by index.

    Both are asked in every wording and order; constants cancel in the difference.
    """
    from dataclasses import replace

    import numpy as np

    from hofsteer.alignment.objective import forms
    from hofsteer.baselines import persona_text
    from hofsteer.config import check_model
    from hofsteer.errors import InstrumentError, ModelError
    from hofsteer.instruments import load_instrument, named_scores
    from hofsteer.instruments.own import same_scoring, wording_hash
    from hofsteer.targets import load_target

    surveys = load_instrument(one), load_instrument(other)
    if not same_scoring(*surveys):
        raise InstrumentError(
            f"want two wordings of one survey, but {surveys[0].id} and {surveys[1].id} score other items"
        )
    systems: list[str | None] = [persona_text(load_target(name)) for name in persona or []] or [None]
    respondent = load_respondent(check_model(id=model))
    scores = []
    for survey in surveys:
        wordings = range(min(len(item.wordings) for item in survey.items))
        asked = forms(survey, wordings, ("listed", "reversed"))
        rows = []
        for system in systems:
            responses = respondent.respond([replace(form, system=system) for form in asked])
            if responses.failures[0] is not None:
                raise ModelError(f"no usable answers to {survey.id}: {responses.failures[0]}")
            rows.append(survey.score(responses.probabilities[0]).mean(axis=0))
        scores.append(np.mean(rows, axis=0))
    names = surveys[0].dimension_ids
    difference = scores[0] - scores[1]
    if as_json:
        print_json(
            {
                "schema": 1,
                "model": model,
                "wordings": [
                    {
                        "instrument": s.id,
                        "sha256": s.hash,
                        "wording_sha256": wording_hash(s),
                        "scores": named_scores(found, names),
                    }
                    for s, found in zip(surveys, scores, strict=True)
                ],
                "difference": named_scores(difference, names),
                "mean_absolute_difference": float(np.abs(difference).mean()),
            }
        )
        return
    from rich.table import Table

    table = Table("wording", *names, title="Scores without constants, mean over wordings and orders")
    for survey, found in zip(surveys, scores, strict=True):
        table.add_row(survey.id, *(f"{score:.1f}" for score in found))
    table.add_row("difference", *(f"{score:+.1f}" for score in difference))
    console = results()
    console.print(table)
    console.print(f"mean absolute difference {np.abs(difference).mean():.1f} points", highlight=False)
