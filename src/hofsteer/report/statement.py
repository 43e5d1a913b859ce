"""What the tool says of itself: the same words in every report, card and table."""

import math
from collections.abc import Mapping

from hofsteer.evaluation.base import YARDSTICKS, Row, RunEvaluation
from hofsteer.instruments import Instrument
from hofsteer.targets import ASSUMED_N, ItemGoal, Target, item_noise_floors, source_spread, uncertainty_note

NOT_CONCLUDED = (
    "A low survey loss alone proves little: many answer patterns give the same scores, and the forms asked here are "
    "the ones that were fitted."
)
ITEM_HEADS = {"wasserstein": "W1", "jensen-shannon": "JS"}
MINI_STATEMENT = (
    "`mini` is a simulated respondent trained on generated text: results on it say nothing about real models."
)


def wording_note(instrument: Instrument) -> str | None:
    """Return that the wording is unvalidated, where it is."""
    if instrument.validated:
        return None
    return f"The wording of {instrument.id} is unvalidated: nobody has shown on people that it measures what it names."


def outcome(evaluation: RunEvaluation) -> str:
    """Return what the search reached beside what it had to beat, by the loss that it minimised; the index loss last."""
    by_index = _index_outcome(evaluation)
    if (kind := evaluation.minimised) == "index":
        return f"On the fitted forms {by_index}. {_verdict(evaluation)}"
    head, floor = ITEM_HEADS[kind], evaluation.item_noise_floors[kind]
    loss = {key: _number(evaluation.minimised_loss(row), 1) for key, row in evaluation.rows.items()}
    over = "more" if evaluation.minimised_loss(evaluation.rows["aligned"]) > floor else "no more"
    return (
        f"On the fitted forms the steered model's answers lie {head} {loss['aligned']} from the target's (the model "
        f"alone {loss['naive']}, under a persona {loss['persona']}, the mean of the other "
        f"{evaluation.target.nouns} {loss['mean_country']}), {over} than the {floor:.1f} by which two samples like the "
        f"target's own differ. {_verdict(evaluation)} By the index loss, which was not minimised, {by_index}."
    )


def _index_outcome(evaluation: RunEvaluation) -> str:
    loss = {key: f"{row.loss:.{evaluation.digits}f}" for key, row in evaluation.rows.items()}
    missing = [d for d in evaluation.dimensions if d not in evaluation.compared]
    over = f" over {len(evaluation.compared)} of {len(evaluation.dimensions)} dimensions" if missing else ""
    unpublished = f"; {', '.join(missing)}: no published score" if missing else ""
    return (
        f"the steered model's scores lie {loss['aligned']} points from the target{over} "
        f"(the model alone {loss['naive']}, under a persona {loss['persona']}, the mean of the other "
        f"{evaluation.target.nouns} {loss['mean_country']}{unpublished})"
    )


def _verdict(evaluation: RunEvaluation) -> str:
    if evaluation.not_beaten:
        return f"It is no nearer to the target than: {', '.join(evaluation.not_beaten)}."
    unknown = any(math.isnan(evaluation.minimised_loss(evaluation.rows[key])) for key in YARDSTICKS)
    return f"It is nearer to the target than {'those of these that are known' if unknown else 'these three'}."


def _number(value: float, digits: int) -> str:
    return "unknown" if math.isnan(value) else f"{value:.{digits}f}"


def skill_note(evaluation: RunEvaluation) -> str:
    """Return what skill is, and by which loss the nearest row is the nearest."""
    target = evaluation.target
    if evaluation.minimised == "index":
        return f"Skill is 1 - loss / loss of the mean of the other {target.nouns}."
    head = ITEM_HEADS[evaluation.minimised]
    return (
        f"Skill is 1 - {head} / {head} of the mean of the other {target.nouns}, and the nearest {target.noun} is so by "
        f"{head}."
    )


def polish_note(evaluation: RunEvaluation, steps: int, spent: int, polish: int) -> str:
    """Return what a polish changed and cost, apart from the search; evaluations `spent` and of the `polish`."""
    before, after = (_minimised_in_words(evaluation, evaluation.rows[key]) for key in ("unpolished", "aligned"))
    return (
        f"Polished: after {spent} evaluations the black-box search stood at {before} (row steered), and "
        f"{steps} gradient steps, counted as {polish} evaluations more, led to {after} (row polished): that was saved. "
        "Gradients need the weights: compare the search by the row steered."
    )


def _minimised_in_words(evaluation: RunEvaluation, row: Row) -> str:
    if evaluation.minimised == "index":
        return f"{row.loss:.{evaluation.digits}f} points"
    return item_losses_in_words({evaluation.minimised: evaluation.minimised_loss(row)})


def noise_floor_note(
    points: float,
    digits: int = 1,
    variation: str = "by one scale step",
    n: int | None = ASSUMED_N,
    noun: str = "country",
) -> str:
    """Return what a noise floor is, with its assumptions; one decimal less than the scores have."""
    if n is None:
        return (
            f"Noise floor: by the target's own standard errors, two samples like its own differ by "
            f"{points:.{digits - 1}f} points on average; smaller differences cannot be told from sampling."
        )
    return (
        f"Noise floor: if people's answers vary {variation}, two samples of {n} from one {noun} "
        f"differ by {points:.{digits - 1}f} points on average; smaller differences cannot be told from sampling."
    )


def target_notes(
    target: Target, source_losses: Mapping[str, float], greedy_floor: float | None, digits: int = 1
) -> list[str]:
    """Return how well the target is known and what answers could reach at best, a sentence each."""
    notes = [f"Target {target.code}: {uncertainty_note(target, digits)}."]
    if len(source_losses) > 1:
        losses = ", ".join(f"{code} {loss:.{digits}f}" for code, loss in source_losses.items())
        spread = source_spread(target)
        apart = "" if spread is None else f"; these rows lie up to {spread:.{digits}f} points apart"
        notes.append(f"Loss to every published row, each over its own dimensions: {losses}{apart}.")
    if greedy_floor is not None:
        notes.append(
            f"Answers of one option an item, as greedy decoding gives them, lie {greedy_floor:.{digits}f} points away "
            "or more, in one wording or many."
        )
    return notes


def item_losses_note(goal: ItemGoal) -> str:
    """Return what the item losses are, with their noise floors."""
    known, items = int(goal.known.sum()), len(goal.known)
    over = "the items" if known == items else f"{known} of {items} items, those with answers enough"
    return (
        f"Item losses, means over {over}: W1 is how far answers lie from the target's on the item's scale, in "
        "hundredths of it (Wasserstein-1); JS is their Jensen-Shannon divergence, in hundredths of a bit. 0 is the "
        "same answers, 100 as different as can be. Two samples like the target's own differ by "
        f"{item_losses_in_words(item_noise_floors(goal))} on average; smaller differences cannot be told from sampling."
    )


def item_losses_in_words(losses: Mapping[str, float]) -> str:
    """Return item losses by their short names.

    >>> item_losses_in_words({"wasserstein": 3.04, "jensen-shannon": 1.25})
    'W1 3.0, JS 1.2'
    """
    return ", ".join(f"{ITEM_HEADS[kind]} {loss:.1f}" for kind, loss in losses.items())


def read_out_floor_note(points: float, digits: int = 1) -> str | None:
    """Return what a read-out floor is; None where answers are read exactly and there is none to speak of."""
    if round(points, digits) == 0:
        return None
    return f"Read-out floor: {points:.{digits}f} points, the loss of the target's own scores read this way."


def statement(model: str, evaluation: RunEvaluation, instrument: str) -> str:
    """Return the paragraph that says what an adapter is, what it is not, and what was not shown."""
    target = evaluation.target
    sources = ", ".join(dict.fromkeys(target.sources.values()))
    estimated = ", ".join(d for d in target.scores if d in target.estimated)
    estimates = f", {estimated} estimated" if estimated else ""
    n = "not recorded" if target.n is None else f"{target.n}"
    average = "the average" if target.kind == "group" else "the published average"
    whose = "from there nor that country's" if target.persona is None else "of that group nor its"
    matched = ("scores", average) if evaluation.minimised == "index" else ("answers", "those")
    return (
        f"This adapter was searched so that the {matched[0]} of {model} on {instrument} items match {matched[1]} of "
        f"{target.in_sentence} [{sources}{estimates}; n {n}]. {outcome(evaluation)} It is not a person "
        f"{whose} culture; most variation in cultural values lies within countries. It is not for "
        "predicting, profiling or judging people, does not replace respondents and is nobody's voice. Tested: the "
        "fitted forms of one survey. Not shown: other wordings, other instruments, behaviour, that the effect is "
        "specific to this target, and that no ability was damaged."
    )
