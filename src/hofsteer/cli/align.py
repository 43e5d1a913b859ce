"""`hofsteer align` and `hofsteer resume`: search a soft prompt."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hofsteer.cli.output import (
    AsJson,
    ConstantsKind,
    load_respondent,
    messages,
    print_json,
    results,
    search_progress,
    warn_of_low_mass,
)
from hofsteer.config import GaussNewtonSettings, ObjectiveSettings, RunConfig, SpaceSettings

if TYPE_CHECKING:
    from hofsteer.pipeline import Run

RUN, SEARCH, SPACE = RunConfig.model_fields, GaussNewtonSettings.model_fields, SpaceSettings.model_fields


def align(
    target: Annotated[
        str | None, typer.Option(help="Whose scores to match: code or name of a country or region, or FILE.csv:GROUP.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A hub id, a local model folder, or the bundled `mini`.", show_default="mini")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Start from a bundled preset, such as masoud2025.")] = None,
    search: Annotated[
        str | None,
        typer.Option(
            help="gauss-newton, de, shade, lshade, sep-cma, cma, pso or random; adam descends the gradient, to compare "
            "with.",
            show_default=SEARCH["name"].default,
        ),
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(
            help="Evaluations of the whole survey; a step of adam counts as 3.",
            show_default=str(SEARCH["budget"].default),
        ),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            help="What is minimised: index (of scores), or wasserstein or jensen-shannon (of answer distributions, for "
            "a group of a table made by `hofsteer targets fit`).",
            show_default=ObjectiveSettings().loss,
        ),
    ] = None,
    polish: Annotated[
        int | None,
        typer.Option(help="Gradient steps after a black-box search, on top of its budget.", show_default="0"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the search.", show_default=str(SEARCH["seed"].default))
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(help="Virtual tokens of the soft prompt.", show_default=str(SPACE["tokens"].default))
    ] = None,
    subspace: Annotated[
        int | None, typer.Option(help="Search this many coordinates of each token.", show_default="all its numbers")
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option(
            "--start",
            help="noise, vocabulary, text:SENTENCE, or run:FOLDER (a run or an adapter).",
            show_default=SPACE["start"].default,
        ),
    ] = None,
    instrument: Annotated[
        str | None,
        typer.Option(help="A bundled instrument or a TOML file.", show_default=str(RUN["instrument"].default)),
    ] = None,
    constants: ConstantsKind = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; by default a new one under runs/.")] = None,
    plan: Annotated[
        Path | None, typer.Option(help="A plan: everything but target, seed and machine comes from it.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings.")] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="Any setting: search.crossover_rate=0.9")] = None,
    revision: Annotated[str | None, typer.Option(help="Hub branch, tag or commit.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")] = None,
    device: Annotated[str | None, typer.Option(help="A torch device, such as cpu or cuda:0.")] = None,
    as_json: AsJson = False,
) -> None:
    """Search a soft prompt with which the model's scores match a country's.

    Settings: defaults < --preset < --config < named options < --set.
    """
    from hofsteer.alignment.run import refuse_used
    from hofsteer.config import resolve
    from hofsteer.parts import check_settings, planned_evaluations
    from hofsteer.pipeline import default_folder, start

    flags = {
        "target": target,
        "instrument": instrument,
        "constants": constants,
        "model.id": model,
        "model.revision": revision,
        "model.dtype": dtype,
        "model.device": device,
        "objective.loss": loss,
        "search.name": search,
        "search.budget": budget,
        "search.seed": seed,
        "polish.steps": polish,
        "space.tokens": tokens,
        "space.coordinates": subspace,
        "space.start": start_from,
    }
    settings = _planned(plan, preset, config, flags, sets) if plan else resolve(preset, config, flags, sets or [])
    check_settings(settings)
    out = out if out is not None else default_folder(settings)
    refuse_used(out)
    respondent = load_respondent(settings.model)
    try:
        with search_progress(planned_evaluations(settings)) as watchers:
            run = start(settings, respondent, out, *watchers)
    except KeyboardInterrupt:
        if out.exists():
            messages().print(f"interrupted; go on with: hofsteer resume {out}", highlight=False, soft_wrap=True)
        raise
    _show(run, as_json)


def _planned(
    path: Path, preset: str | None, config: Path | None, flags: dict[str, Any], sets: list[str] | None
) -> RunConfig:
    """Return the settings that a plan has for the target and seed given; nothing else may be said beside it."""
    from hofsteer.errors import ConfigError
    from hofsteer.evaluation.plan import read_plan

    plan = read_plan(path)
    own = ("target", "search.seed", "model.device", "model.dtype", "model.revision")
    given = {"preset": preset, "config": config, "set": sets, **{k: v for k, v in flags.items() if k not in own}}
    if others := [name for name, value in given.items() if value]:
        raise ConfigError(f"--plan says all but target, seed and machine: leave {others[0]} out, or change the plan")
    if flags["target"] is None and len(plan.targets) > 1:
        raise ConfigError(f"the plan has several targets ({', '.join(plan.targets)}): say which with --target")
    seed = flags["search.seed"] if flags["search.seed"] is not None else plan.seeds[0]
    planned = plan.run_config(flags["target"] or plan.targets[0], seed)
    machine = {key.partition(".")[2]: flags[key] for key in own[2:] if flags[key] is not None}
    return planned.model_copy(update={"model": planned.model.model_copy(update=machine)})


def resume(
    folder: Annotated[Path, typer.Argument(help="The run folder.")],
    as_json: AsJson = False,
) -> None:
    """Go on with an interrupted run; a finished one is evaluated again."""
    from hofsteer.alignment.run import RunFolder
    from hofsteer.parts import planned_evaluations
    from hofsteer.pipeline import resume as go_on

    settings = RunFolder.open(folder).config()
    respondent = load_respondent(settings.model)
    with search_progress(planned_evaluations(settings)) as (watch, _):
        run = go_on(folder, respondent, watch)
    _show(run, as_json)


def _show(run: "Run", as_json: bool) -> None:
    warn_of_low_mass(run.evaluation.rows["aligned"].valid_mass or 0.0)
    if as_json:
        print_json(run.to_json())
        return
    from hofsteer.alignment.stop import in_words
    from hofsteer.report import (
        ESTIMATE_NOTE,
        MINI_STATEMENT,
        NOT_CONCLUDED,
        constants_note,
        item_losses_note,
        noise_floor_note,
        outcome,
        policies_note,
        read_out_floor_note,
        results_table,
        skill_note,
        target_notes,
    )

    console = results()
    evaluation = run.evaluation
    console.print(results_table(evaluation))
    if evaluation.target.estimated or evaluation.rows["nearest"].estimated:
        console.print(ESTIMATE_NOTE)
    digits, target = evaluation.digits, evaluation.target
    floor = noise_floor_note(
        evaluation.noise_floor, digits, evaluation.variation, evaluation.noise_floor_n, target.noun
    )
    known = target_notes(target, evaluation.source_losses, evaluation.greedy_floor, digits)
    if evaluation.item_goal is not None:
        known.append(item_losses_note(evaluation.item_goal))
    if evaluation.minimised != "index":
        known.append(skill_note(evaluation))
    for text in (outcome(evaluation), floor, *known, NOT_CONCLUDED, *evaluation.notes):
        console.print(text, highlight=False)
    if (rough := read_out_floor_note(evaluation.read_out_floor, evaluation.digits)) is not None:
        console.print(rough, highlight=False)
    if (drift := evaluation.rows["aligned"].drift) is not None:
        console.print(
            f"Drift on the neutral text that the search was told of: {drift:.3f} nats a token from the model alone. "
            "`hofsteer evaluate` measures it on other text.",
            highlight=False,
        )
    if run.evaluation.policies[0].kind != "none":
        console.print(constants_note(evaluation.policies[0], evaluation.dimensions), highlight=False)
    if (losses := policies_note(evaluation)) is not None:
        console.print(losses, highlight=False)
    if evaluation.simulated:
        console.print(MINI_STATEMENT)
    console.print(
        f"{run.evaluations} evaluations in {run.seconds:.0f} s, then {in_words(run.stopped_by, run.config.stop)}; "
        f"run folder {run.path}, its soft_prompt/ a PEFT adapter",
        highlight=False,
        soft_wrap=True,
    )
