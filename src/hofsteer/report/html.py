"""The run's report and the adapter's card: the table, the figure and what may not be concluded."""

from html import escape

from hofsteer.evaluation.base import RunEvaluation
from hofsteer.instruments import Instrument
from hofsteer.report.constants import constants_note, policies_note, weak_constants
from hofsteer.report.statement import (
    MINI_STATEMENT,
    NOT_CONCLUDED,
    item_losses_note,
    noise_floor_note,
    read_out_floor_note,
    skill_note,
    statement,
    target_notes,
)
from hofsteer.report.table import ESTIMATE_NOTE, result_heads, result_rows

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #1d2733; }
table { border-collapse: collapse; width: 100%; } th, td { padding: .3rem .5rem; text-align: right; }
th:first-child, td:first-child { text-align: left; } tr { border-bottom: 1px solid #d5dbe1; }
tr.aligned { background: #e6f3ee; } .limits { border-left: 4px solid #b4531f; padding-left: 1rem; }
svg { max-width: 100%; height: auto; }
"""


def run_report(figure: str, evaluation: RunEvaluation, model: str, instrument: Instrument) -> str:
    """Return a self-contained HTML page around an SVG figure: no script, nothing fetched, every text escaped."""
    svg = figure[figure.index("<svg") :]
    paragraphs = "".join(f"<p>{escape(text)}</p>" for text in _limits(evaluation, model, instrument))
    title = escape(f"{model} steered towards {evaluation.target.name}")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"</head><body><h1>{title}</h1><p>Instrument: {escape(instrument.title)} ({escape(instrument.id)}). "
        f"{escape(_unit(instrument, evaluation))}</p>{_html_table(evaluation)}"
        f'<div class="limits"><h2>What may not be concluded</h2>{paragraphs}</div>{svg}</body></html>\n'
    )


def adapter_card(evaluation: RunEvaluation, model: str, instrument: Instrument) -> str:
    """Return the README of an adapter folder, in Markdown."""
    heads = result_heads(evaluation)
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    lines += ["| " + " | ".join(cells) + " |" for _, cells in result_rows(evaluation)]
    limits = "\n\n".join(_limits(evaluation, model, instrument))
    return (
        f"---\nlibrary_name: peft\ntags: [prompt-tuning, hofsteer]\n---\n\n"
        f"# {model} steered towards {evaluation.target.name}\n\nA PEFT `PROMPT_TUNING` adapter. {instrument.title}. "
        f"{_unit(instrument, evaluation)}\n\n" + "\n".join(lines) + f"\n\n## What may not be concluded\n\n{limits}\n"
    )


def _unit(instrument: Instrument, evaluation: RunEvaluation) -> str:
    if instrument.constants == "fixed" or not evaluation.policies:
        return "Scores are in units of the instrument, which has its own zero."
    return f"Scores are index points. {constants_note(evaluation.policies[0], evaluation.dimensions)}"


def _limits(evaluation: RunEvaluation, model: str, instrument: Instrument) -> list[str]:
    target = evaluation.target
    said = [
        statement(model, evaluation, instrument.id),
        NOT_CONCLUDED,
        noise_floor_note(
            evaluation.noise_floor, evaluation.digits, evaluation.variation, evaluation.noise_floor_n, target.noun
        ),
        *target_notes(target, evaluation.source_losses, evaluation.greedy_floor, evaluation.digits),
        *([] if evaluation.item_goal is None else [item_losses_note(evaluation.item_goal)]),
        skill_note(evaluation),
        *evaluation.notes,
    ]
    if evaluation.policies and (weak := evaluation.policies[0].weak(evaluation.dimensions)):
        said.append(f"Warning: {weak_constants(weak)}.")
    if (losses := policies_note(evaluation)) is not None:
        said.append(losses)
    if (floor := read_out_floor_note(evaluation.read_out_floor, evaluation.digits)) is not None:
        said.append(floor)
    if target.estimated or evaluation.rows["nearest"].estimated:
        said.append(f"{ESTIMATE_NOTE}.")
    return [*said, MINI_STATEMENT] if evaluation.simulated else said


def _html_table(evaluation: RunEvaluation) -> str:
    heads = "".join(f"<th>{escape(head)}</th>" for head in result_heads(evaluation))
    body = "".join(
        f'<tr class="{key}">' + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
        for key, cells in result_rows(evaluation)
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
