"""`hofsteer survey`: what does a model answer?"""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from hofsteer.cli.output import (
    AsJson,
    ConstantsKind,
    InstrumentName,
    Model,
    load_respondent,
    print_json,
    results,
    warn,
    warn_of_low_mass,
)
from hofsteer.errors import ConfigError


def survey(
    model: Model = "mini",
    as_country: Annotated[str | None, typer.Option("--as", help="Ask under the persona of this country.")] = None,
    system: Annotated[str | None, typer.Option(help="Ask under this system text.")] = None,
    prompt: Annotated[Path | None, typer.Option(help="Ask with this soft prompt: a run or a PEFT adapter.")] = None,
    target: Annotated[
        str | None, typer.Option(help="Print the distance to this country's scores; by default that of --as.")
    ] = None,
    instrument: InstrumentName = "vsm13",
    constants: ConstantsKind = "midpoint",
    wording: Annotated[int, typer.Option(help="Which wording of every item, from 0.")] = 0,
    order: Annotated[str, typer.Option(help="Options as listed, or reversed.")] = "listed",
    revision: Annotated[str | None, typer.Option(help="Hub branch, tag or commit.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")] = None,
    device: Annotated[str | None, typer.Option(help="A torch device, such as cpu or cuda:0.")] = None,
    as_json: AsJson = False,
) -> None:
    """Administer a survey to a model and print its scores."""
    from hofsteer.alignment.objective import Objective, forms
    from hofsteer.baselines import persona_text
    from hofsteer.config import check_model
    from hofsteer.evaluation.survey import survey as administer
    from hofsteer.instruments import load_instrument
    from hofsteer.report import points
    from hofsteer.respondent import SoftPrompt
    from hofsteer.targets import load_constants, load_target

    if as_country is not None and system is not None:
        raise ConfigError("--as and --system both say what the system text is; keep one")
    country = load_target(as_country) if as_country is not None else None
    goal = load_target(target) if target is not None else country
    questions = load_instrument(instrument)
    policy = load_constants(constants, questions.dimension_ids)
    administrations = forms(questions, [wording], [order])
    adapter = SoftPrompt.load(prompt) if prompt is not None else None
    if adapter is not None and adapter.base_model not in (None, model, Path(model).name):
        warn(f"the soft prompt in {prompt} was found for {adapter.base_model}, not for {model}")
    respondent = load_respondent(check_model(id=model, revision=revision, dtype=dtype, device=device))
    objective = Objective(respondent, administrations, policy, goal)
    if country is not None:
        system = persona_text(country)
    result = administer(objective if system is None else objective.with_system(system), adapter)
    warn_of_low_mass(result.valid_mass)
    if as_json:
        print_json(result.to_json())
        return
    console = results()
    table = Table(title=f"{model}: {questions.title} (constants: {constants})")
    table.add_column("dimension")
    table.add_column("score", justify="right")
    if goal is not None:
        table.add_column(goal.name, justify="right")
    for d, name in enumerate(questions.dimensions):
        cells = [f"{name.id} {name.name}", points(result.evaluation.scores[0, d])]
        table.add_row(*cells, *([points(goal.scores.get(name.id))] if goal is not None else []))
    console.print(table)
    if result.loss is not None:
        floor = questions.noise_floor(50)
        console.print(f"loss {result.loss:.1f} points (noise floor: two human samples of 50 differ by {floor:.0f})")
    elif goal is not None:
        console.print("no loss: without constants the scores are not on the target's scale")
    console.print(f"valid mass {result.valid_mass:.3f}: the share of the model's probability that went to the options")
    console.print("Only differences between samples asked alike have meaning; a single score moves with the constants.")
