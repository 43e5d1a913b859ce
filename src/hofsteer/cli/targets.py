"""`hofsteer targets`: whose scores can be aimed at, and where they are from."""

from typing import Annotated

import typer
from rich.table import Table

from hofsteer.cli.output import AsJson, print_json, results

app = typer.Typer(help="List the countries and regions, or show one.", invoke_without_command=True)


@app.callback()
def list_targets(context: typer.Context, as_json: AsJson = False) -> None:
    """List the countries and regions, or show one."""
    if context.invoked_subcommand is not None:
        return
    from hofsteer.report import points
    from hofsteer.targets import DIMENSIONS, all_targets

    targets = all_targets()
    if as_json:
        listed = [
            {"code": t.code, "name": t.name, "kind": t.kind, "scores": {d: t.scores.get(d) for d in DIMENSIONS}}
            for t in targets
        ]
        print_json({"schema": 1, "targets": listed})
        return
    table = Table("code", "name", *DIMENSIONS, title="Published scores (* estimate of its source)")
    for target in targets:
        marks = ["*" if d in target.estimated else "" for d in DIMENSIONS]
        cells = [f"{points(target.scores.get(d))}{mark}" for d, mark in zip(DIMENSIONS, marks, strict=True)]
        table.add_row(target.code, target.name, *cells)
    results().print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Code, name or region, any case; CODE@SOURCE for one source.")],
    as_json: AsJson = False,
) -> None:
    """Show one target: every score with its source, other published rows, what is missing."""
    from hofsteer.report import points
    from hofsteer.targets import DIMENSIONS, alternatives, index_loss, load_target, nearest

    target = load_target(name)
    neighbour, distance = nearest(target, DIMENSIONS)
    others = [other for other in alternatives(name) if other.sources != target.sources]  # not the same row again
    if as_json:
        print_json(
            {
                "schema": 1,
                "code": target.code,
                "name": target.name,
                "kind": target.kind,
                "scores": {
                    d: None
                    if d in target.missing
                    else {"score": target.scores[d], "source": target.sources[d], "estimate": d in target.estimated}
                    for d in DIMENSIONS
                },
                "missing": list(target.missing),
                "n": None,
                "nearest": {"code": neighbour.code, "name": neighbour.name, "distance": distance},
                "alternatives": {other.code: dict(other.scores) for other in others},
            }
        )
        return
    console = results()
    table = Table("dimension", "score", "source", "estimate", title=f"{target.name} ({target.code})")
    for d in DIMENSIONS:
        estimate = "yes" if d in target.estimated else ""
        table.add_row(d, points(target.scores.get(d)), target.sources.get(d, "missing"), estimate)
    console.print(table)
    if target.missing:
        console.print(f"missing: {', '.join(target.missing)}; a loss is taken over the other dimensions")
    for other in others:
        if all(target.scores.get(d) == score for d, score in other.scores.items()):
            continue  # a source of this very row
        shown = "/".join(points(other.scores.get(d)) for d in DIMENSIONS)
        shared = [d for d in DIMENSIONS if d in other.scores and d in target.scores]
        apart = float(index_loss(target.vector(shared), other.vector(shared))) if shared else float("nan")
        over = "" if len(shared) == len(DIMENSIONS) else f" over {', '.join(shared)}"
        console.print(f"also published: {other.code} {shown}, {points(apart)} points apart{over}", highlight=False)
    console.print(f"nearest other country: {neighbour.name}, {distance:.1f} points", highlight=False)
    console.print("number of respondents and standard errors: unknown")
