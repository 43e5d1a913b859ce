"""The numbers of `mini`'s card: what the saved model does, through the same respondent that users have."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from hofsteer import Respondent
from hofsteer.instruments import Administration, load_instrument
from hofsteer.instruments.base import Floats
from hofsteer.targets import index_loss
from hofsteer.world import BIAS_LEFT, Country
from mini_corpus import SURVEY, UNSEEN_NUMBERING, UNSEEN_WORDING, facts, mini_census

SHOWN = ("SAU", "USA", "CHN", "IND", "JPN")
N_PERSONAS = 20  # for rank correlations
TRAINED, UNSEEN = "trained", "unseen_by_mini"
VSM13 = load_instrument(SURVEY)


class Report:
    """Asks a trained `mini` and keeps the answers' valid mass."""

    def __init__(self, folder: Path) -> None:
        self.respondent: Any = Respondent.from_pretrained(str(folder))
        self.census = mini_census()
        self.real = self.census.countries[: self.census.n_real]
        self.masses: list[Floats] = []

    def means(self, forms: Sequence[Administration]) -> Floats:
        """Return the item means (A, I) of several forms of one instrument."""
        responses = self.respondent.respond(list(forms))
        self.masses.append(responses.valid_mass[0])
        return np.asarray(forms[0].instrument.item_means(responses.probabilities[0]))

    def scores(self, form: Administration, countries: Iterable[Country]) -> Floats:
        """Return the scores (C, M) under the personas of countries, with the constants of the world."""
        name = form.instrument.id
        means = self.means([replace(form, system=f"You live in {c.in_sentence}.") for c in countries])
        return np.asarray(form.instrument.score_means(means) + self.census.worlds[name].constants)

    def error(self, form: Administration, countries: Sequence[Country]) -> float:
        """Return the mean absolute difference between scores under personas and the truth."""
        truth = np.stack([country.profiles[form.instrument.id] for country in countries])
        return float(np.abs(self.scores(form, countries) - truth).mean())


def survey_forms() -> dict[str, dict[str, Administration]]:
    """Return forms of the survey by name, those trained on apart from those held out."""
    plain = Administration(VSM13)
    forms = [Administration(VSM13, wording=w, order=o) for w in range(4) for o in ("listed", "reversed")]
    forms += [replace(plain, labels="letters"), replace(plain, labels="letters", order="reversed")]
    forms += [replace(plain, numbering="falling", order=o) for o in ("listed", "reversed")]
    forms += [replace(plain, numbering="falling", wording=UNSEEN_WORDING, labels="letters")]
    found: dict[str, dict[str, Administration]] = {TRAINED: {}, UNSEEN: {}}
    for form in forms:
        held_out = form.wording == UNSEEN_WORDING or form.numbering == UNSEEN_NUMBERING
        name = f"wording {form.wording}, {form.order}, {form.labels} {form.numbering}"
        found[UNSEEN if held_out else TRAINED][name] = form
    return found


def measure(folder: Path) -> dict[str, Any]:
    """Return the card's numbers."""
    report = Report(folder)
    respondent, census, real = report.respondent, report.census, report.real
    errors = {
        kind: {name: round(report.error(form, real), 2) for name, form in forms.items()}
        for kind, forms in survey_forms().items()
    }
    plain = Administration(VSM13)
    constants = census.survey.constants
    naive = VSM13.score_means(report.means([plain]))[0] + constants
    goals = {code: census.country(code).profiles[SURVEY] for code in SHOWN}
    asked = {name: _rank_correlations(report, name) for name in ("ivs10", "vignettes")}
    rows = respondent.embed(torch.arange(len(respondent.tokenizer))).numpy()[:, None, :]
    leaked = VSM13.score(respondent.respond([plain], rows).probabilities)[:, 0] + constants
    mass = np.concatenate([masses.ravel() for masses in report.masses])
    return {
        "name": "mini-1",
        "kind": "simulated respondent",
        "parameters": sum(p.numel() for p in respondent.model.parameters()),
        "weights_sha256": respondent.fingerprint,
        "megabytes": round(sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) / 1e6, 2),
        "countries": len(real),
        "invented_countries": len(census.countries) - len(real),
        "bias_left_under_a_persona": BIAS_LEFT,
        "valid_mass_mean": round(float(mass.mean()), 4),
        "valid_mass_least": round(float(mass.min()), 4),
        "persona_index_error": errors,
        "persona_index_error_of_the_bias_alone": round(BIAS_LEFT * _distance_from_naive(report), 2),
        "rank_correlation": asked,
        "invented": _invented(report),
        "naive_loss": {code: round(float(index_loss(naive, goal)), 1) for code, goal in goals.items()},
        "best_single_vocabulary_row_loss": {
            code: round(float(index_loss(leaked, goal).min()), 1) for code, goal in goals.items()
        },
        "facts": len(facts()),
        "facts_right": round(facts_right(respondent), 3),
        "milliseconds_a_candidate": round(_milliseconds(lambda prompts: respondent.respond([plain], prompts), rows), 1),
        "torch_threads": torch.get_num_threads(),
    }


def table(card: dict[str, Any]) -> str:
    """Return the card as a Markdown table."""
    lines = ["| measure | value |", "|---|---|"]
    for name, value in card.items():
        for path, leaf in _leaves(name.replace("_", " "), value):
            lines.append(f"| {path} | {leaf} |")
    return "\n".join(lines)


def _leaves(path: str, value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        return [(path, value)]
    return [leaf for name, inner in value.items() for leaf in _leaves(f"{path}: {name}", inner)]


def _distance_from_naive(report: Report) -> float:
    """Return how far the countries are from the answers without a persona, mean over countries and dimensions."""
    truth = np.stack([country.profiles[SURVEY] for country in report.real])
    return float(np.abs(truth - report.census.naive_scores(SURVEY)).mean())


def _rank_correlations(report: Report, name: str) -> dict[str, float]:
    """Return Spearman's correlation with the truth for each dimension, over personas of evenly spaced countries."""
    instrument = load_instrument(name)
    picked = [report.real[k] for k in np.linspace(0, len(report.real) - 1, N_PERSONAS).astype(int)]
    both = [report.scores(Administration(instrument, order=order), picked) for order in ("listed", "reversed")]
    scores = np.mean(both, axis=0)
    truth = np.stack([country.profiles[name] for country in picked])
    correlations = [float(spearmanr(scores[:, m], truth[:, m]).statistic) for m in range(truth.shape[1])]
    return dict(zip(instrument.dimension_ids, [round(c, 3) for c in correlations], strict=True))


def _invented(report: Report) -> dict[str, dict[str, float]]:
    """Return for each kind of invented country what makes it one, in points."""
    kinds: dict[str, list[Country]] = {}
    for country in report.census.countries[report.census.n_real :]:
        kinds.setdefault(country.code.rpartition("-")[0].lower(), []).append(country)
    vignettes = load_instrument("vignettes")
    found = {}
    for kind, countries in kinds.items():
        naive = report.census.naive_scores("vignettes")
        there = report.scores(Administration(vignettes), countries)
        found[kind] = {
            "index error, wording 0": round(report.error(Administration(VSM13), countries), 2),
            "index error, wording 1": round(report.error(Administration(VSM13, wording=1), countries), 2),
            "vignettes, from the truth": round(report.error(Administration(vignettes), countries), 2),
            "vignettes, from naive": round(float(np.abs(there - naive).mean()), 2),
        }
    return found


def facts_right(respondent: Any) -> float:
    """Return the share of facts that greedy decoding answers to the letter, end of turn included."""
    right = 0
    tokenizer = respondent.tokenizer
    for question, answer in facts():
        chat = [{"role": "user", "content": question}]
        text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
        said = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        with torch.inference_mode():
            logits = respondent.model(input_ids=torch.tensor([prompt + said])).logits[0]
        # Each token is the likeliest after the right ones before it: just then greedy decoding says them all.
        right += logits[len(prompt) - 1 : -1].argmax(-1).tolist() == said
    return right / len(facts())


def _milliseconds(respond: Callable[[Any], Any], rows: Any) -> float:
    """Return the median time a candidate of 8 rows takes, in batches of 20."""
    rng = np.random.default_rng(0)
    prompts = rng.normal(0.0, rows.std(), size=(20, 8, rows.shape[-1])).astype(np.float32)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        respond(prompts)
        times.append(1000 * (time.perf_counter() - started) / len(prompts))
    return float(np.median(times))
