"""`hofsteer instruments`: which surveys there are, and what is in one."""

from typing import Annotated

import typer
from rich.table import Table

from hofsteer.cli.output import AsJson, print_json, results

app = typer.Typer(help="List the bundled surveys, or show one.", invoke_without_command=True)


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
    """Show items, response scales and formulas of one survey."""
    from hofsteer.instruments import load_instrument

    instrument = load_instrument(name)
    if as_json:
        print_json(
            {
                "schema": 1,
                "instrument": instrument.id,
                "title": instrument.title,
                "source": instrument.source,
                "licence": instrument.licence,
                "sha256": instrument.hash,
                "dimensions": {d.id: {"name": d.name, "weights": dict(d.weights)} for d in instrument.dimensions},
                "items": {
                    item.id: {
                        "construct": item.construct,
                        "wordings": list(item.wordings),
                        "options": {option.text: option.value for option in item.options},
                    }
                    for item in instrument.items
                },
            }
        )
        return
    console = results()
    console.print(f"{instrument.id}: {instrument.title}", style="bold", highlight=False)
    console.print(f"{instrument.source}\n{instrument.licence}\n")
    items = Table("item", "wordings", "scale, lowest value first")
    for item in instrument.items:
        scale = ", ".join(f"{option.value:g} {option.text}" for option in item.options)
        items.add_row(item.id, "\n".join(item.wordings), scale, end_section=True)
    console.print(items)
    for dimension in instrument.dimensions:
        terms = " ".join(f"{weight:+g} {item}" for item, weight in dimension.weights)
        console.print(f"{dimension.id} {dimension.name}: {terms} + C", highlight=False)
