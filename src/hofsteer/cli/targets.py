"""`hofsteer targets`: whose scores can be aimed at, and where they are from."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from hofsteer.cli.output import AsJson, print_json, results
from hofsteer.cli.targets_fit import fit
from hofsteer.cli.targets_group import group_json, show_group
from hofsteer.errors import TargetError

if TYPE_CHECKING:
    from hofsteer.targets import Target

COORDINATE_HEADS = ("survival to self-expression", "traditional to secular-rational")

app = typer.Typer(help="List the countries and regions, or show one.", invoke_without_command=True)


app.command()(fit)


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
    name: Annotated[
        str, typer.Argument(help="Code, name or region, any case; CODE@SOURCE for one source; FILE.csv:GROUP.")
    ],
    instrument: Annotated[
        str | None,
        typer.Option(
            help="Whose scores a table FILE.csv has: a bundled instrument or a TOML file.", show_default="vsm13"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show one target: every score with its source, other published rows, what is missing, what can be tested."""
    from hofsteer.instruments import load_instrument
    from hofsteer.report import noise_floor_note
    from hofsteer.targets import (
        DIMENSIONS,
        Target,
        nearest,
        noise_floor,
        published_rows,
        source_spread,
        target_for,
        uncertainty_note,
    )
    from hofsteer.targets.table import is_table

    if is_table(name):
        questions = load_instrument(instrument or "vsm13", unwritten=True)
        group = target_for(name, questions)
        if as_json:
            print_json(group_json(group, questions))
        else:
            show_group(group, questions)
        return
    if instrument is not None:
        raise TargetError(f"--instrument is for a table FILE.csv:GROUP: published scores have their own, got {name!r}")
    target: Target | None = None
    coordinates: tuple[Target, ...] = ()
    try:
        target, coordinates = published_rows(name)
        row = target or coordinates[0]
    except TargetError:
        if (part := _society(name)) is None:
            raise
        row = part  # a society that is in no other table, such as a part of a country
    near = None if target is None else nearest(target, DIMENSIONS)
    floor = None if target is None else noise_floor(load_instrument("vsm13"), target)
    others = _others(name, target)
    testable = _testable(row.code.partition("@")[0])
    society = _society(row.code.partition("@")[0])
    if as_json:
        print_json(
            {
                "schema": 1,
                "code": row.code,
                "name": row.name,
                "kind": row.kind,
                "scores": {d: _score(target, d) for d in DIMENSIONS},
                "missing": list(DIMENSIONS if target is None else target.missing),
                "n": row.n,
                "standard_errors": {d: row.errors.get(d) for d in row.scores},
                "source_spread": None if target is None else source_spread(target),
                "noise_floor": None if floor is None else floor.to_json(),
                "nearest": near and {"code": near[0].code, "name": near[0].name, "distance": near[1]},
                "alternatives": {other.code: dict(other.scores) for other in others},
                "coordinates": {other.code: dict(other.scores) for other in coordinates},
                "globe": None if society is None else dict(society.scores),
                "testable": {instrument: list(dimensions) for instrument, dimensions in testable.items()},
            }
        )
        return
    console = results()
    if target is not None and near is not None and floor is not None:
        _print_scores(console, target, others)
        console.print(f"nearest other country: {near[0].name}, {near[1]:.1f} points", highlight=False)
        console.print(uncertainty_note(target), highlight=False)
        spread = source_spread(target)
        apart = "unknown, there is but one" if spread is None else f"up to {spread:.1f} points"
        console.print(f"spread between sources: {apart}", highlight=False)
        console.print(noise_floor_note(floor.points, n=floor.n), highlight=False)
    if coordinates:
        table = Table("source", *COORDINATE_HEADS, title=f"{row.name}: Inglehart-Welzel map")
        for other in coordinates:
            cells = [f"{other.scores[d]:.2f}" for d in other.dimensions]
            table.add_row(other.code.partition("@")[2], *cells)
        console.print(table)
        console.print("the sources are different rotations: their coordinates may not be compared or mixed")
    if society is not None:
        said = ", ".join(f"{scale} {score:.2f}" for scale, score in society.scores.items())
        console.print(f"GLOBE value scales, 1 to 7, sample {society.name}: {said}", highlight=False)
    for instrument, dimensions in testable.items():
        console.print(f"{instrument}: {', '.join(dimensions) or 'not testable'}", highlight=False)


@app.command()
def coverage(as_json: AsJson = False) -> None:
    """Show which target can be tested on which instrument."""
    from hofsteer.targets import coverage

    lines = coverage()
    instruments = list(lines[0].dimensions)
    if as_json:
        table_of = {
            line.code: {
                "name": line.name,
                "testable": {i: list(dimensions) for i, dimensions in line.dimensions.items()},
            }
            for line in lines
        }
        print_json({"schema": 1, "instruments": instruments, "targets": table_of})
        return
    table = Table("code", "name", *instruments, title="Dimensions with a published score, by instrument")
    for line in lines:
        table.add_row(line.code, line.name, *(str(len(line.dimensions[i]) or "not testable") for i in instruments))
    results().print(table)


def _others(name: str, target: "Target | None") -> tuple["Target", ...]:
    from hofsteer.targets import alternatives

    if target is None:
        return ()
    return tuple(other for other in alternatives(name) if other.sources != target.sources)  # not the same row again


def _society(code: str) -> "Target | None":
    from hofsteer.targets import load_society

    try:
        return load_society(code)
    except TargetError:
        return None


def _testable(code: str) -> Mapping[str, tuple[str, ...]]:
    from hofsteer.targets import coverage

    return next(line.dimensions for line in coverage() if line.code == code)


def _score(target: "Target | None", dimension: str) -> dict[str, Any] | None:
    if target is None or dimension in target.missing:
        return None
    return {
        "score": target.scores[dimension],
        "source": target.sources[dimension],
        "estimate": dimension in target.estimated,
    }


def _print_scores(console: Console, target: "Target", others: Iterable["Target"]) -> None:
    from hofsteer.report import points
    from hofsteer.targets import DIMENSIONS, index_loss

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
