"""`hofsteer survey`: what does a model answer?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.table import Table

from hofsteer.cli.output import (
    SCORES_MOVE,
    AsJson,
    ConstantsKind,
    InstrumentName,
    Model,
    load_respondent,
    messages,
    print_json,
    results,
    warn,
    warn_of_low_mass,
)
from hofsteer.errors import ConfigError, TargetError

if TYPE_CHECKING:
    from hofsteer.evaluation.survey import Survey
    from hofsteer.instruments import Instrument
    from hofsteer.targets import Target


def survey(
    model: Model = "mini",
    as_country: Annotated[str | None, typer.Option("--as", help="Ask under the persona of this country.")] = None,
    system: Annotated[str | None, typer.Option(help="Ask under this system text.")] = None,
    prompt: Annotated[Path | None, typer.Option(help="Ask with this soft prompt: a run or a PEFT adapter.")] = None,
    target: Annotated[
        str | None, typer.Option(help="Print the distance to this country's scores; by default that of --as.")
    ] = None,
    instrument: InstrumentName = "vsm13",
    constants: ConstantsKind = None,
    wording: Annotated[int, typer.Option(help="Which wording of every item, from 0.")] = 0,
    order: Annotated[str, typer.Option(help="Options as listed, or reversed.")] = "listed",
    labels: Annotated[str, typer.Option(help="Options labelled with digits or letters.")] = "digits",
    numbering: Annotated[str, typer.Option(help="Labels down the list: rising, or falling.")] = "rising",
    layout: Annotated[str, typer.Option(help="Per item stem-first, or scale-first.")] = "stem-first",
    cue: Annotated[str, typer.Option(help="What the answer begins with, before the label, such as 'Answer: '.")] = "",
    template: Annotated[
        list[str] | None, typer.Option(help="An argument of the chat template, such as enable_thinking=false.")
    ] = None,
    read_out: Annotated[
        str, typer.Option(help="How answers are read: expected, tempered, greedy, sampled or generated.")
    ] = "expected",
    temperature: Annotated[float | None, typer.Option(help="Of the read-out; 1 unless given.")] = None,
    top_p: Annotated[float | None, typer.Option("--top-p", help="Of the read-out; 1 unless given.")] = None,
    draws: Annotated[int | None, typer.Option(help="Of sampled and generated answers; 5 unless given.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the draws; 0 unless given.")] = None,
    revision: Annotated[str | None, typer.Option(help="Hub branch, tag or commit.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")] = None,
    device: Annotated[str | None, typer.Option(help="A torch device, such as cpu or cuda:0.")] = None,
    as_json: AsJson = False,
) -> None:
    """Administer a survey to a model and print its scores."""
    from hofsteer.alignment.objective import Objective
    from hofsteer.baselines import persona_text
    from hofsteer.config import check_model, check_read_out, template_arguments
    from hofsteer.evaluation.base import NOISE_FLOOR_N
    from hofsteer.evaluation.survey import survey as administer
    from hofsteer.instruments import Administration, load_instrument
    from hofsteer.report import ESTIMATE_NOTE, MINI_STATEMENT, noise_floor_note, points
    from hofsteer.respondent import SoftPrompt
    from hofsteer.targets import constants_for, load_target, target_for

    if system is not None and not system.strip():
        raise ConfigError("--system wants a text, got a blank one")
    if as_country is not None and system is not None:
        raise ConfigError("--as and --system both say what the system text is; keep one")
    country = load_target(as_country) if as_country is not None else None
    questions = load_instrument(instrument)
    goal = target_for(target, questions) if target is not None else _own_row(as_country, questions)
    policy = constants_for(questions, constants)
    reading = check_read_out(kind=read_out, temperature=temperature, top_p=top_p, draws=draws, seed=seed)
    form = Administration(questions, wording, order, labels, numbering, layout, cue=cue)  # type: ignore[arg-type]  # it checks them
    adapter = SoftPrompt.load(prompt) if prompt is not None else None
    if adapter is not None and adapter.base_model not in (None, model, Path(model).name):
        warn(f"the soft prompt in {prompt} was found for {adapter.base_model}, not for {model}")
    respondent = load_respondent(
        check_model(
            id=model, revision=revision, dtype=dtype, device=device, template=template_arguments(template or [])
        )
    )
    objective = Objective(respondent, (form,), policy, goal, reading)
    if country is not None:
        system = persona_text(country)
    result = administer(objective if system is None else objective.with_system(system), adapter)
    warn_of_low_mass(result.valid_mass)
    if as_json:
        print_json(result.to_json())
        return
    console = results()
    console.print(_asked(result, model, prompt), markup=False, highlight=False, soft_wrap=True)
    table = Table(title=f"{questions.id} (constants: {policy.kind})")
    table.add_column("dimension")
    table.add_column("score", justify="right")
    if goal is not None:
        table.add_column(goal.name, justify="right")
    digits = questions.digits
    for d, name in enumerate(questions.dimensions):
        cells = [f"{name.id} {name.name}", points(result.evaluation.scores[0, d], digits)]
        if goal is not None:
            cells.append(points(goal.scores.get(name.id), digits) + ("*" if name.id in goal.estimated else ""))
        table.add_row(*cells)
    console.print(table)
    if goal is not None and goal.estimated:
        console.print(ESTIMATE_NOTE)
    if goal is not None and result.loss is not None:
        compared = [d for d in questions.dimension_ids if d in goal.scores]
        console.print(f"loss {points(result.loss, digits)} points, mean over {', '.join(compared)}", highlight=False)
        floor = questions.noise_floor(NOISE_FLOOR_N, compared=np.isin(questions.dimension_ids, compared))
        console.print(noise_floor_note(floor, digits, questions.variation), highlight=False)
        if result.read_out_floor:
            console.print(
                f"read-out floor {points(result.read_out_floor, digits)} points: the loss of {goal.name}'s own scores, "
                "read this way",
                highlight=False,
            )
    elif goal is not None:
        console.print("no loss: without constants the scores are not on the target's scale")
    whole = {"expected": "the model's probability", "generated": "the texts"}.get(
        reading.kind, "what the read-out leaves"
    )
    console.print(f"valid mass {result.valid_mass:.3f}: the share of {whole} that went to the options")
    if reading.kind in ("sampled", "generated"):
        refused, unparsable = result.evaluation.refused.mean(), result.evaluation.unparsable.mean()
        console.print(f"of the draws, {refused:.1%} are refusals and {unparsable:.1%} cannot be used", highlight=False)
    if questions.constants == "chosen":
        console.print(SCORES_MOVE)
    if respondent.simulated:
        console.print(MINI_STATEMENT)


def _own_row(country: str | None, instrument: "Instrument") -> "Target | None":
    """Return the published row of the persona's country; none if the instrument cannot test it."""
    from hofsteer.targets import target_for

    try:
        return None if country is None else target_for(country, instrument)
    except TargetError as error:
        messages().print(f"no distance to a target: {error}", highlight=False, soft_wrap=True)
        return None


def _asked(result: "Survey", model: str, prompt: Path | None) -> str:
    """Return in one line what was asked, so that a saved output can be read."""
    form = result.objective.administrations[0]
    system = "no system text" if form.system is None else f"system text {form.system!r}"
    before = "" if prompt is None else f", soft prompt {prompt}"
    shown = f"options {form.order}, {form.labels} {form.numbering}, {form.layout}"
    reading = result.objective.read_out
    read = "" if reading.kind == "expected" else f", {reading.in_words()}"
    return f"{model}, {system}, wording {form.wording}, {shown}{before}{read}"
