"""`hofsteer survey`: what does a model answer?"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hofsteer.cli.output import (
    AsJson,
    ConstantsKind,
    InstrumentName,
    Model,
    load_adapter,
    load_respondent,
    messages,
    persona_progress,
    print_json,
    warn,
    warn_of_low_mass,
    warn_of_other_weights,
)
from hofsteer.cli.reliability import show_reliability
from hofsteer.cli.survey_output import show_surveys, surveys_json
from hofsteer.errors import ConfigError, TargetError

if TYPE_CHECKING:
    from hofsteer.instruments import Instrument
    from hofsteer.targets import Target


def survey(
    model: Model = "mini",
    as_country: Annotated[
        list[str] | None,
        typer.Option("--as", help="Ask under the persona of this country; of several, their differences too."),
    ] = None,
    system: Annotated[str | None, typer.Option(help="Ask under this system text.")] = None,
    sample: Annotated[
        str | None,
        typer.Option(help="Ask as every cell of a sample: grid-24, or a TOML file (see `hofsteer sample`)."),
    ] = None,
    reliability: Annotated[
        bool,
        typer.Option(
            "--reliability",
            help="Ask ten or more countries (--as, or a selection) every wording in both orders: variance components.",
        ),
    ] = False,
    prompt: Annotated[Path | None, typer.Option(help="Ask with this soft prompt: a run or a PEFT adapter.")] = None,
    target: Annotated[
        str | None, typer.Option(help="Print the distance to this country's scores; by default that of --as.")
    ] = None,
    instrument: InstrumentName = "vsm13",
    constants: ConstantsKind = None,
    wording: Annotated[int, typer.Option(help="Which wording of every item, from 0.")] = 0,
    order: Annotated[str, typer.Option(help="Options as listed, or reversed.")] = "listed",
    labels: Annotated[str, typer.Option(help="Options go by digits, letters, or their own words.")] = "digits",
    numbering: Annotated[str, typer.Option(help="Labels down the list: rising, or falling.")] = "rising",
    layout: Annotated[str, typer.Option(help="Per item stem-first, or scale-first.")] = "stem-first",
    conversation: Annotated[
        bool,
        typer.Option(
            "--conversation",
            help="Ask all items in one chat, each after those before it and the model's likeliest answers.",
        ),
    ] = False,
    shuffle: Annotated[
        int | None,
        typer.Option(help="Seed of the items' order in a conversation.", show_default="the instrument's order"),
    ] = None,
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
    from hofsteer.evaluation.constants import constants_of, constants_of_run, every_policy
    from hofsteer.evaluation.reliability import check_conditions, measure_reliability, usual_countries
    from hofsteer.evaluation.sample import survey_sample
    from hofsteer.evaluation.survey import survey as administer
    from hofsteer.instruments import Administration, load_instrument
    from hofsteer.instruments.sample import load_sample
    from hofsteer.report import weak_constants
    from hofsteer.targets import constants_for, load_target, policy_for, target_for

    if system is not None and not system.strip():
        raise ConfigError("--system wants a text, got a blank one")
    if as_country and system is not None:
        raise ConfigError("--as and --system both say what the system text is; keep one")
    if target is not None and len(as_country or ()) > 1:
        raise ConfigError("under several --as each is compared with its own row; leave out --target")
    if reliability and (target, system, sample, constants, wording, order) != (None, None, None, None, 0, "listed"):
        raise ConfigError(
            "--reliability asks every wording and order under personas, without constants or a target: leave out "
            "--target, --system, --sample, --constants, --wording and --order"
        )
    questions = load_instrument(instrument)
    cells = load_sample(sample) if sample is not None else None
    texts: list[str | None] = [system]
    goals = [target_for(target, questions) if target is not None else None]
    countries = [load_target(name) for name in as_country or ()]
    if reliability:
        countries = countries or list(usual_countries())
        check_conditions(countries, questions)
    elif as_country:
        texts = [persona_text(country) for country in countries]
        goals = [target_for(target, questions)] if target is not None else [_own_row(n, questions) for n in as_country]
    wanted = next((goal.constants for goal in goals if goal is not None and goal.constants is not None), None)
    policy = policy_for(questions, constants or wanted)
    if wanted is not None and policy != wanted:
        raise ConfigError(f"{target} was scored with constants {wanted}: want the same, got {policy}")
    reading = check_read_out(kind=read_out, temperature=temperature, top_p=top_p, draws=draws, seed=seed)
    if conversation and reading.kind == "generated":
        raise ConfigError("--conversation reads answers from probabilities: want another --read-out than generated")
    form = Administration(
        questions,
        wording,
        order,  # type: ignore[arg-type]  # it checks them
        labels,  # type: ignore[arg-type]
        numbering,  # type: ignore[arg-type]
        layout,  # type: ignore[arg-type]
        cue=cue,
        conversation=conversation,
        shuffle=shuffle,
    )
    adapter, run = load_adapter(prompt, model)
    recorded = constants_of_run(run.path, questions) if run is not None and constants is None else ()
    respondent = load_respondent(
        check_model(
            id=model, revision=revision, dtype=dtype, device=device, template=template_arguments(template or [])
        )
    )
    warn_of_other_weights(run, respondent)
    if reliability:
        with persona_progress() as watch:
            held = measure_reliability(respondent, form, countries, reading, adapter, watch)
        if as_json:
            print_json({**held.to_json(), "model": model, "instrument": questions.id})
        else:
            show_reliability(held, model, questions.digits)
        return
    objective = Objective(respondent, (form,), constants_for(questions), None, reading)
    administer(objective, adapter)  # a model that cannot answer is found out before sixty personas are asked
    with persona_progress() as watch:
        own = recorded[0] if recorded else constants_of(policy, respondent, objective.administrations, reading, watch)
        objective = replace(objective, constants=own)
        policies = recorded or (every_policy(objective, watch) if own.tie is not None else (own,))
    conditions = [
        replace(objective if text is None else objective.with_system(text), target=goal)
        for text, goal in zip(texts, goals, strict=True)
    ]
    samples = [] if cells is None else [survey_sample(one, cells, adapter, policies) for one in conditions]
    found = [one.survey for one in samples] or [administer(one, adapter, policies) for one in conditions]
    if weak := own.weak(questions.dimension_ids):
        warn(weak_constants(weak))
    warn_of_low_mass(min(result.valid_mass for result in found))
    if as_json:
        tables = [one.to_json() for one in samples or found]
        print_json(tables[0] if len(tables) == 1 else surveys_json(found, tables))
    else:
        show_surveys(found, model, prompt, samples)


def _own_row(country: str, instrument: "Instrument") -> "Target | None":
    """Return the published row of the persona's country; none if the instrument cannot test it."""
    from hofsteer.targets import target_for

    try:
        return target_for(country, instrument)
    except TargetError as error:
        messages().print(f"no distance to a target: {error}", highlight=False, soft_wrap=True)
        return None
