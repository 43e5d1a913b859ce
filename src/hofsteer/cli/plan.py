"""`hofsteer plan`: fix what decides before anything is searched."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hofsteer.cli.output import AsJson, ConstantsKind, InstrumentName, Model, print_json, results


def plan(
    targets: Annotated[str, typer.Option(help="Countries or regions, with commas: SAU,CHN.")],
    model: Model = "mini",
    out: Annotated[Path, typer.Option(help="Where to write the plan; there must be nothing yet.")] = Path("plan.toml"),
    instrument: InstrumentName = "vsm13",
    constants: ConstantsKind = None,
    seeds: Annotated[int, typer.Option(help="Search seeds a target, 0 and up; 10 for a verdict.", min=1)] = 10,
    held_out: Annotated[
        str | None, typer.Option(help="Held-out wordings: 2,3.", show_default="all that are not fitted")
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any setting of the searches (search.budget=800) or a margin (margins.loss=8)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a plan: held-out forms, margins, seeds, settings and constants, with a hash and the time.

    `align --plan` and `compare --plan` take everything from it, and `evaluate --plan` judges by it. What was done in
    another order is called exploratory.
    """
    from hofsteer.errors import ConfigError
    from hofsteer.evaluation.plan import make_plan, write_plan
    from hofsteer.tables import parse_set

    tables: dict[str, dict[str, Any]] = {"margins": {}, "held_out": {}, "settings": {}}
    for text in sets or []:
        key, value = parse_set(text)
        room, dot, name = key.partition(".")
        if dot and room in ("margins", "held_out"):
            tables[room][name] = value
        else:
            tables["settings"][key] = value
    if held_out is not None:
        try:
            tables["held_out"]["wordings"] = [int(number) for number in held_out.split(",")]
        except ValueError:
            raise ConfigError(
                f"--held-out wants numbers of wordings with commas, such as 2,3; got {held_out!r}"
            ) from None
    planned = make_plan(
        model=model,
        targets=[name.strip() for name in targets.split(",")],
        instrument=instrument,
        constants=constants,
        seeds=tuple(range(seeds)),
        **tables,
    )
    write_plan(planned, out)
    if as_json:
        print_json({"schema": 1, "plan": str(out), "hash": planned.hash, **planned.model_dump(mode="json")})
        return
    console = results()
    searches = len(planned.targets) * len(planned.seeds)
    console.print(
        f"{out}: {', '.join(planned.targets)} on {planned.model}, {searches} searches, hash {planned.hash[:12]}"
    )
    if seeds < planned.margins.seeds_for_a_verdict:
        console.print(f"{seeds} seeds give no verdict; {planned.margins.seeds_for_a_verdict} do.", highlight=False)
    for code in planned.targets:
        console.print(f"next: hofsteer align --plan {out} --target {code} --seed N", highlight=False, soft_wrap=True)
