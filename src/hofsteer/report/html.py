"""The run's report and the adapter's card: the table, the figure and what may not be concluded."""

from html import escape

from hofsteer.evaluation.base import NOISE_FLOOR_N, RunEvaluation
from hofsteer.instruments import Instrument
from hofsteer.report.statement import MINI_STATEMENT, NOT_CONCLUDED, statement
from hofsteer.report.table import points

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
        f"Scores are index points with C = 50 for neutral answers.</p>{_html_table(evaluation)}"
        f'<div class="limits"><h2>What may not be concluded</h2>{paragraphs}</div>{svg}</body></html>\n'
    )


def adapter_card(evaluation: RunEvaluation, model: str, instrument: Instrument) -> str:
    """Return the README of an adapter folder, in Markdown."""
    heads = ["row", *evaluation.dimensions, "loss"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    lines += ["| " + " | ".join(cells) + " |" for _, cells in _rows(evaluation)]
    limits = "\n\n".join(_limits(evaluation, model, instrument))
    return (
        f"---\nlibrary_name: peft\ntags: [prompt-tuning, hofsteer]\n---\n\n"
        f"# {model} steered towards {evaluation.target.name}\n\nA PEFT `PROMPT_TUNING` adapter. {instrument.title}.\n\n"
        + "\n".join(lines)
        + f"\n\n## What may not be concluded\n\n{limits}\n"
    )


def _limits(evaluation: RunEvaluation, model: str, instrument: Instrument) -> list[str]:
    floor = (
        f"Noise floor: two human samples of {NOISE_FLOOR_N} from one country differ by {evaluation.noise_floor:.0f} "
        "points on average; a distance below that is not a better match."
    )
    said = [statement(model, evaluation.target, instrument.id), NOT_CONCLUDED, floor]
    return [*said, MINI_STATEMENT] if model == "mini" else said


def _html_table(evaluation: RunEvaluation) -> str:
    heads = "".join(f"<th>{escape(h)}</th>" for h in ("row", *evaluation.dimensions, "loss"))
    body = "".join(
        f'<tr class="{key}">' + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
        for key, cells in _rows(evaluation)
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _rows(evaluation: RunEvaluation) -> list[tuple[str, list[str]]]:
    goal = evaluation.target.vector(evaluation.dimensions)
    rows = [("target", ["target", *map(points, goal), ""])]
    for key, row in evaluation.rows.items():
        rows.append((key, [row.name, *map(points, row.scores), points(row.loss)]))
    return rows
