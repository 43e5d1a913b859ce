"""The verdict on runs, as tables and sentences: gates, claims with their evidence, and what was out of order."""

from html import escape

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from hofsteer.evaluation.abilities import Generalising
from hofsteer.evaluation.caricature import Caricature
from hofsteer.evaluation.claims import TITLES, Claim, Part, Verdict
from hofsteer.evaluation.conversation import Conversations
from hofsteer.evaluation.evidence import Evidence, Styles, Texts
from hofsteer.evaluation.reference_rows import ReferenceRows
from hofsteer.evaluation.runs import RunsEvaluation
from hofsteer.evaluation.statistics import mean_over_seeds
from hofsteer.evaluation.transfer import Transfer
from hofsteer.evaluation.zones import ZoneFinding
from hofsteer.instruments.base import Floats
from hofsteer.report.html import STYLE
from hofsteer.report.knowledge import steered_note
from hofsteer.report.reference_rows import (
    REFERENCE_HEADS,
    reference_caption,
    reference_notes,
    reference_rows,
    reference_table,
    reference_title,
)
from hofsteer.report.statement import ITEM_HEADS, MINI_STATEMENT
from hofsteer.report.transfer import (
    TITLE,
    transfer_figure,
    transfer_heads,
    transfer_notes,
    transfer_rows,
    transfer_table,
)
from hofsteer.targets import Target

GATE_HEADS = ("gate", "measured", "wanted", "")
CLAIM_HEADS = ("claim and its parts", "measured", "95 % bounds", "wanted", "")


def gate_rows(evaluation: RunsEvaluation) -> list[tuple[str, ...]]:
    """Return a row a gate."""
    return [
        (gate.name, f"{gate.value:.3g}", gate.wanted, "open" if gate.open else "CLOSED")
        for gate in evaluation.verdict.gates
    ]


def claim_rows(evaluation: RunsEvaluation) -> list[tuple[bool, tuple[str, ...]]]:
    """Return a row a claim (True) and a row for each of its parts (False)."""
    rows: list[tuple[bool, tuple[str, ...]]] = []
    for number, claim in enumerate(evaluation.verdict.claims, start=1):
        rows.append((True, (f"{number}. {TITLES[claim.name]}", "", "", "", _word(evaluation, claim))))
        rows += [(False, (f"   {part.name}", *_numbers(part), part.wanted, _part_word(part))) for part in claim.parts]
        if claim.name == "no-damage":
            rows += [(False, (f"   {name}", "", "", "", "not counted")) for name in evaluation.evidence.absent]
    return rows


def sentences(evaluation: RunsEvaluation) -> list[str]:
    """Return what has to be said with the tables."""
    verdict, evidence = evaluation.verdict, evaluation.evidence
    code, seeds = evaluation.target.code, verdict.n_seeds
    said = []
    if not verdict.given:
        said.append(
            f"No verdict: {seeds} search seed{'s' * (seeds != 1)}, and {verdict.least_seeds} are wanted. The words in "
            "brackets are what the numbers would say."
        )
    if evaluation.exploratory:
        said.append(f"Exploratory: {'; '.join(evaluation.exploratory)}.")
    naive, steered = float(evidence.naive_losses.mean()), next(iter(evidence.losses.values()))[0]
    said.append(
        f"On {steered.shape[1]} held-out forms: steered {steered.mean():.1f} points from {evaluation.target.name}, the "
        f"model alone {naive:.1f}, under a persona {evidence.persona_loss:.1f}; noise floor {evidence.noise_floor:.1f}."
    )
    said += reference_notes(evaluation.reference)
    for kind, losses in evidence.item_losses.items():
        said.append(
            f"Item loss {ITEM_HEADS[kind]} on these forms, 0 to 100: steered {losses.steered.mean():.1f}, the model "
            f"alone {losses.naive.mean():.1f}, under a persona {losses.persona:.1f}; noise floor "
            f"{losses.noise_floor:.1f}."
        )
    gains = "; ".join(
        f"{name}: steered {gain.mean():.2f}, persona {evidence.persona_gains[name]:.2f}"
        for name, gain in evidence.gains.items()
    )
    if gains:
        said.append(f"G, the share of the way on other instruments (1 is there, 0 has not moved): {gains}.")
    if evaluation.untested:
        said.append(f"Not testable: nothing is published of {code} on {', '.join(evaluation.untested)}.")
    if verdict.zone is not None and (zone := zone_note(verdict, verdict.zone)):
        said.append(zone if verdict.given else f"({zone})")
    if evidence.item_spread is not None:
        said.append(spread_note(evidence, evidence.item_spread))
    said.append(style_note(evidence.styles))
    if evidence.texts is not None:
        said.append(texts_note(evidence.texts))
    if evidence.absent:
        listed = "; ".join(f"{name} ({why})" for name, why in evidence.absent.items())
        said.append(f"Not counted as damage, as it is hardly there in the model alone: {listed}.")
    said.append(caricature_note(evaluation.caricature, verdict.given))
    if evaluation.generalising is not None:
        said.append(_on_generalising(evaluation.generalising, evaluation.target))
    if evaluation.transfer is not None:
        said += transfer_notes(evaluation.transfer)
    if (asked := evaluation.conversations) is not None:
        said.append(_in_conversation(asked, evaluation.target.name))
    said += [steered_note(one, evaluation.target) for one in evaluation.knowledge]
    for claim in verdict.claims:
        if claim.alone == "undecided" and claim.seeds_needed is not None:
            said.append(
                f"{TITLES[claim.name]}: about {claim.seeds_needed} seeds would decide, if nothing else changes."
            )
    if evaluation.simulated:
        said.append(MINI_STATEMENT)
    return said


def zone_note(verdict: Verdict, zone: ZoneFinding) -> str:
    """Return what is said of the target's cultural zone; nothing where the claims do not ask for it."""
    carries, specific = (next(c for c in verdict.claims if c.name == name) for name in ("carries-over", "specific"))
    if carries.word != "supported" or specific.alone == "supported":
        return ""
    if zone.passes is None:
        return (
            f"Whether the soft prompts are specific to the zone ({zone.zone}) is not said: {zone.elsewhere} controls "
            f"are countries of other zones, and {zone.wanted} are wanted."
        )
    word = {
        "zone": f"Specific to the zone ({zone.zone}), not to the country",
        "zone or country": f"Specific to the zone ({zone.zone}); whether to the country is undecided",
    }.get(verdict.specific_to or "", f"Not shown to be specific to the zone ({zone.zone}) either")
    return (
        f"{word}: {zone.inside_near} of the {zone.inside} controls in it come as near as the target's own, and "
        f"{zone.outside_near} of the {zone.outside} outside it (p = {zone.p:.3f}, at most {zone.level:g} wanted)."
    )


def spread_note(evidence: Evidence, item_spread: float) -> str:
    """Return how far seeds differ item by item, beside how far their losses do."""
    return (
        f"Item means differ by {item_spread:.2f} steps between seeds (deviation, mean over items), whose fitted "
        f"losses are {_range(evidence.fitted_losses)} and held-out losses {_range(evidence.held_out_losses)} points: "
        "runs that reach one score need not have found the same answers."
    )


def style_note(styles: Styles) -> str:
    """Return the answer style before and behind the soft prompts, mean over seeds."""
    before = styles.naive

    def moved(index: str, scale: float = 1.0) -> str:
        after = np.mean([getattr(one, index) for one in styles.steered])
        return f"{scale * getattr(before, index):+.2f} and {scale * after:+.2f}"

    return (
        f"Answer style on content-free items, the model alone and steered: leaning to high values "
        f"{moved('directional', 2)} steps of a five-point scale; to end options {moved('extreme')}, to the middle one "
        f"{moved('midpoint')}, to what is shown last {moved('position')} (0 is even answers, 1 nothing else). For "
        "reading; the gate is on how far each answer moves."
    )


def texts_note(texts: Texts) -> str:
    """Return what written answers say beside first tokens, each loss beside its read-out floor, mean over seeds."""
    scored = np.isfinite(texts.losses)
    silent = f" ({(~scored).sum()} of {len(scored)} seeds left an item without an answer)" if not scored.all() else ""
    loss = f"{texts.losses[scored].mean():.1f} points from the target" if scored.any() else "no loss"
    bounds = f"; had those been answers, {texts.best.mean():.1f} at best and {texts.worst.mean():.1f} at worst"
    return (
        f"Written answers (first fitted form, five draws): {texts.refused.mean():.1%} refuse, "
        f"{texts.unparsable.mean():.1%} cannot be parsed; {loss}{silent}"
        f"{bounds if texts.unusable.any() else ''}; read-out floor {texts.floor:.1f}. "
        f"First tokens at the same temperature and top-p {texts.first_tokens.mean():.1f}; read-out floor "
        f"{texts.first_tokens_floor:.1f}."
    )


def caricature_note(caricature: Caricature, given: bool) -> str:
    """Return what the caricature index says; its word in brackets where no verdict is given."""
    title = "Caricature index, 1 is as far from the mean of other countries or groups as the target, above 1 beyond it"
    by = "; ".join(f"{name} {index.steered.mean():.2f}" for name, index in caricature.by_instrument.items())
    if (together := caricature.together) is None:
        return f"{title}: not told, as no other instrument puts the target clear of that mean{by and f' ({by})'}."
    mean, word = mean_over_seeds(together.steered), caricature.word
    bounds = "" if mean.standard_error is None else f" ({mean.lower():.2f} to {mean.upper():.2f})"
    return (
        f"{title}: {mean.value:.2f}{bounds} on other instruments, the model alone {together.naive:.2f}, under a "
        f"persona {together.persona:.2f}; {by}. Above {1 + caricature.margin:g} is a caricature: "
        f"{word if given else f'({word})'}."
    )


def verdict_tables(evaluation: RunsEvaluation) -> tuple[Table, ...]:
    """Return gates, claims, the reference rows and, if it was asked, what is along the search, for a terminal."""
    gates = Table(title="Gates: what must be in order before anything is claimed", box=SIMPLE_HEAD, padding=0)
    claims = Table(title=f"Claims about {evaluation.target.name}", box=SIMPLE_HEAD, padding=0)
    for table, heads in ((gates, GATE_HEADS), (claims, CLAIM_HEADS)):
        for column, head in enumerate(heads):
            table.add_column(head, justify="left" if column in (0, len(heads) - 1) else "right")
    for row in gate_rows(evaluation):
        gates.add_row(*row, style=None if row[-1] == "open" else "bold")
    for is_claim, row in claim_rows(evaluation):
        claims.add_row(*row, style="bold" if is_claim else None)
    along = () if evaluation.transfer is None else (transfer_table(evaluation.transfer),)
    return gates, claims, reference_table(*_reference(evaluation)), *along


def verdict_report(evaluation: RunsEvaluation) -> str:
    """Return a self-contained HTML page: no script, nothing fetched, every text escaped."""
    title = escape(f"{evaluation.model} steered towards {evaluation.target.name}: what was shown")
    gates = _html(GATE_HEADS, [(row[-1] != "open", row) for row in gate_rows(evaluation)])
    claims = _html(CLAIM_HEADS, claim_rows(evaluation))
    along = "" if evaluation.transfer is None else _along(evaluation.transfer)
    paragraphs = "".join(f"<p>{escape(text)}</p>" for text in sentences(evaluation))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"</head><body><h1>{title}</h1>{paragraphs}<h2>Gates</h2>{gates}<h2>Claims</h2>{claims}{_beside(evaluation)}{along}"
        "</body></html>\n"
    )


def _reference(evaluation: RunsEvaluation) -> tuple[ReferenceRows, Target, int, str]:
    """Return the reference rows and what they are shown with: target, decimals and policy of constants."""
    question = evaluation.question
    return evaluation.reference, evaluation.target, question.instrument.digits, next(iter(question.constants))


def _beside(evaluation: RunsEvaluation) -> str:
    found, target, digits, constants = _reference(evaluation)
    table = _html(REFERENCE_HEADS, reference_rows(found, target, digits))
    caption = reference_caption(found, target, digits, constants)
    return f"<h2>{escape(reference_title(target))}</h2>{table}<p>{escape(caption)}</p>"


def _along(transfer: Transfer) -> str:
    table = _html(transfer_heads(transfer), [(False, row) for row in transfer_rows(transfer)])
    figure = transfer_figure(transfer)
    return f"<h2>{TITLE}</h2>{table}{figure[figure.index('<svg') :]}"


def _on_generalising(found: Generalising, target: Target) -> str:
    low, high = found.change.bounds()
    bounds = f" ({low:+.2f} to {high:+.2f} over seeds)" if np.isfinite(low) else ""
    return (
        f"Of two answers to {found.pairs} lines about people in {target.in_sentence}, the one that generalises has a "
        f"probability of {found.steered.mean():.2f}, of the model alone {found.naive:.2f}: {found.change.value:+.2f}"
        f"{bounds}. A small probe of our own wording: it shows no stereotype of this country in particular, and no "
        "change in it proves that there are none."
    )


def _in_conversation(asked: Conversations | str, target: str) -> str:
    if isinstance(asked, str):
        return f"In one conversation the survey was not answered: {asked}."
    orders = ", ".join(f"{loss:.1f}" for loss in asked.steered.mean(axis=0))
    return (
        f"In one conversation, the likeliest answers left in the chat (first fitted form): steered "
        f"{asked.steered.mean():.1f} points from {target} (items in order and shuffled: {orders}), one by one "
        f"{asked.one_by_one.mean():.1f}; the model alone {asked.naive.mean():.1f}, under a persona "
        f"{asked.persona.mean():.1f}. Another administration; no claim rests on it."
    )


def _html(heads: tuple[str, ...], rows: list[tuple[bool, tuple[str, ...]]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = ""
    for strong, cells in rows:
        texts = (f"<strong>{escape(cell)}</strong>" if strong else escape(cell) for cell in cells)
        body += "<tr>" + "".join(f"<td>{text}</td>" for text in texts) + "</tr>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _word(evaluation: RunsEvaluation, claim: Claim) -> str:
    word = claim.word.upper() if evaluation.verdict.given else f"({claim.word})"
    alone = "" if claim.alone == claim.word else f"; by itself {claim.alone}"
    return f"{word}: {claim.because}{alone}" if claim.because else word


def _range(losses: Floats) -> str:
    return f"{losses.min():.1f} to {losses.max():.1f}"


def _numbers(part: Part) -> tuple[str, str]:
    value = "not measured" if part.value is None else f"{part.value:.3g}"
    bounds = "" if part.bounds is None else f"{part.bounds[0]:.3g} to {part.bounds[1]:.3g}"
    return value, bounds


def _part_word(part: Part) -> str:
    return part.word if part.seeds_needed is None else f"{part.word} ({part.seeds_needed} seeds?)"
