"""`hofsteer instruments`: which surveys there are, what is in one, and what raters say of it."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE
from rich.table import Table

from hofsteer.cli.fit import fit
from hofsteer.cli.invariance import invariance
from hofsteer.cli.output import AsJson, InstrumentName, messages, print_json, results
from hofsteer.cli.own import compare_wordings, import_own, template
from hofsteer.errors import InstrumentError
from hofsteer.files import replace_text

if TYPE_CHECKING:
    from hofsteer.instruments import Instrument, Item, Leakage
    from hofsteer.instruments.rater import Agreement

app = typer.Typer(help="List the bundled surveys, show one, or fit one to answers.", invoke_without_command=True)
app.command()(fit)
app.command()(invariance)
app.command()(template)
app.command("import")(import_own)
app.command("compare")(compare_wordings)


@app.callback()
def list_instruments(context: typer.Context, as_json: AsJson = False) -> None:
    """List the bundled surveys, or show one."""
    if context.invoked_subcommand is not None:
        return
    from hofsteer.instruments import bundled_instruments

    entries = bundled_instruments()
    if as_json:
        listed = [{"id": e.id, "aliases": list(e.aliases), "title": e.title} for e in entries]
        print_json({"schema": 1, "instruments": listed})
        return
    table = Table("id", "also", "title")
    for entry in entries:
        table.add_row(entry.id, ", ".join(entry.aliases), entry.title)
    results().print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Id, alias or TOML file.")],
    as_json: AsJson = False,
) -> None:
    """Show items, response scales and formulas of one survey, and what a bias of place does to each score."""
    from hofsteer.instruments import leakage, load_instrument, named_scores

    instrument = load_instrument(name)
    leak = leakage(instrument)
    if as_json:
        print_json(
            {
                "schema": 1,
                "instrument": instrument.id,
                "title": instrument.title,
                "source": instrument.source,
                "licence": instrument.licence,
                "sha256": instrument.hash,
                "constants": instrument.constants,
                "validated": instrument.validated,
                "person_centred": instrument.person_centred,
                "dimensions": {
                    d.id: {"name": d.name, "weights": dict(d.weights), "intercept": d.intercept}
                    for d in instrument.dimensions
                },
                "items": {item.id: _item(item) for item in instrument.items},
                "optional_items": {item.id: _item(item) for item in instrument.optional_items},
                "leakage": {
                    "uniform": named_scores(leak.uniform, instrument.dimension_ids),
                    "blocks": {
                        block: named_scores(row, instrument.dimension_ids)
                        for block, row in zip(leak.blocks, leak.by_block, strict=True)
                    },
                },
            }
        )
        return
    console = results()
    console.print(f"{instrument.id}: {instrument.title}", style="bold", highlight=False)
    console.print(f"{instrument.source}\n{instrument.licence}\n")
    if not instrument.validated:
        console.print("unvalidated: nobody has shown on people that it measures what it names\n")
    if instrument.person_centred:
        console.print(
            "person-centred: answers count less a respondent's mean over all items, as the weights below do\n"
        )
    items = Table("item", "wordings", "options and what they count")
    for item in (*instrument.items, *instrument.optional_items):
        scale = ", ".join(f"{option.value:g} {option.text}" for option in item.options)
        mark = f"{item.id}\noptional" if item in instrument.optional_items else item.id
        items.add_row(mark, "\n".join(item.wordings), scale, end_section=True)
    console.print(items)
    for dimension in instrument.dimensions:
        terms = " ".join(f"{weight:+.4g} {item}" for item, weight in dimension.weights)
        intercept = f" {dimension.intercept:+.4g}" if dimension.intercept else ""
        constant = " + C" if instrument.constants == "chosen" else ""
        console.print(f"{dimension.id} {dimension.name}: {terms}{intercept}{constant}", highlight=False)
    console.print(_leakage_table(instrument, leak))


def _item(item: "Item") -> dict[str, Any]:
    return {
        "construct": item.construct,
        "wordings": list(item.wordings),
        "options": {option.text: option.value for option in item.options},
        "scale": item.scale,
        "domain": item.domain,
    }


def _leakage_table(instrument: "Instrument", leak: "Leakage") -> Table:
    """Return what a bias of place does, by scale; an instrument whose items share no scale has the last line alone."""
    table = Table(title="Leakage: points that scores move if answers move one step (a quarter of the list) down")
    table.add_column("answers to")
    for dimension in instrument.dimension_ids:
        table.add_column(dimension, justify="right")
    if len(leak.blocks) < len(instrument.items):
        for block, row in zip(leak.blocks, leak.by_block, strict=True):
            table.add_row(block, *(f"{value:+.{instrument.digits}f}" if value else "0" for value in row))
    table.add_row(
        "every item", *(f"{value:+.{instrument.digits}f}" if abs(value) > 1e-9 else "0" for value in leak.uniform)
    )
    return table


@app.command()
def rater_sheet(
    name: Annotated[str, typer.Argument(help="Id, alias or TOML file of a survey of forced choices.")],
    out: Annotated[Path | None, typer.Option(help="A new file; by default standard output.")] = None,
) -> None:
    """Write an empty sheet (CSV) on which raters say, without the key, what each choice measures."""
    from hofsteer.instruments import load_instrument
    from hofsteer.instruments.rater import rater_sheet as make_sheet

    sheet = make_sheet(load_instrument(name))
    if out is None:
        sys.stdout.write(sheet)
        return
    if out.exists():  # it may be filled in
        raise InstrumentError(f"want a new file for the rater sheet, got {out}, which exists")
    try:
        replace_text(out, sheet)
    except OSError as error:
        raise InstrumentError(f"cannot write a rater sheet to {out}: {error.strerror}") from None


@app.command()
def agreement(
    files: Annotated[list[Path], typer.Argument(help="Filled-in rater sheets, one a rater.", show_default=False)],
    instrument: InstrumentName = "vignettes",
    as_json: AsJson = False,
) -> None:
    """Compare filled-in rater sheets with the key and with each other: kappa by dimension and for the pole."""
    from hofsteer.instruments import load_instrument
    from hofsteer.instruments.rater import agreement as agree

    survey = load_instrument(instrument)
    found = agree(files, survey)
    if as_json:
        print_json(_agreement_json(found))
        return
    console = results()
    console.print(f"{survey.id}: kappa with the key and among raters, n items; 0 = as by chance", highlight=False)
    table = Table("raters", "n", "all", *survey.dimension_ids, "poles", "pole", box=SIMPLE, padding=(0, 1, 0, 0))
    for comparison in (*found.with_key, *found.between):
        table.add_row(
            f"{comparison.first}, {comparison.second}",
            str(comparison.items),
            _kappa(comparison.kappa),
            *(_kappa(dimension.kappa) for dimension in comparison.dimensions.values()),
            f"{comparison.same_pole}/{comparison.poles}",
            _kappa(comparison.pole_kappa),
        )
    if found.group:
        by_dimension = (_kappa(kappa) for kappa in found.group.dimensions.values())
        table.add_row("all (Fleiss)", str(found.group.items), _kappa(found.group.kappa), *by_dimension, "", "")
    console.print(table)
    console.print("poles: same / given, where both name one dimension; pole: kappa of these", highlight=False)
    for sheet in found.sheets:
        if sheet.missing or sheet.without_pole:
            lacking = {"no dimension": sheet.missing, "no pole": sheet.without_pole}
            said = "; ".join(f"{what} for {', '.join(items)}" for what, items in lacking.items() if items)
            messages().print(f"{sheet.rater}: {said}", highlight=False, soft_wrap=True)


def _kappa(kappa: float) -> str:
    return "-" if kappa != kappa else f"{kappa:.2f}"  # NaN: undefined


def _agreement_json(found: "Agreement") -> dict[str, Any]:
    sheets = {
        sheet.rater: {"rated": len(sheet.ratings), "missing": sheet.missing, "without_pole": sheet.without_pole}
        for sheet in found.sheets
    }
    compared = asdict(found)
    del compared["sheets"]
    return {"schema": 1, "raters": sheets, **_nan_to_none(compared)}


def _nan_to_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _nan_to_none(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [_nan_to_none(inner) for inner in value]
    return None if value != value else value
