"""What a factor analysis leaves behind: an instrument file, and a table of group scores with their standard errors."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hofsteer.errors import InstrumentError
from hofsteer.instruments.base import Floats, Instrument, Item
from hofsteer.instruments.factor.analysis import Analysis
from hofsteer.instruments.factor.sample import group_means, level_answers
from hofsteer.instruments.format import FILL_IN
from hofsteer.instruments.microdata import Column
from hofsteer.instruments.scoring import Method, score_weights

SLOPE, OFFSET = 10.0, 50.0  # T scores: a mean of 50 and a deviation of 10 over the rows of the level
FEWEST_EFFECTIVE = 50  # respondents of a group that becomes a target
MOST_OPTIONS = 10


@dataclass(frozen=True, eq=False)
class GroupRow:
    """The scores of one group, in the points of the fitted instrument."""

    name: str
    n: int
    n_effective: float  # Kish
    scores: Floats  # (M,)
    errors: Floats  # (M,), standard errors

    @property
    def usable(self) -> bool:
        """Whether the group may be a target."""
        return self.n_effective >= FEWEST_EFFECTIVE


def factor_ids(analysis: Analysis) -> tuple[str, ...]:
    """Return F1, F2, ...: names are for the user to give."""
    return tuple(f"F{m + 1}" for m in range(analysis.loadings.shape[1]))


def instrument_text(
    analysis: Analysis, instrument_id: str, title: str, source: str, texts: Instrument | None = None
) -> tuple[str, tuple[str, ...]]:
    """Return an instrument file (TOML), and the items whose texts the user has to fill in first.

    Texts are those of `texts` for its items of the same ids, else the labels of variables and values.

    Raises:
        InstrumentError: an item has more than ten values, or other ones than the item of `texts`.
    """
    import tomli_w

    items = [_item_table(column, texts) for column in analysis.sample.items]
    middle, spread = _standards(analysis)
    deviations = np.nanstd(analysis.sample.answers, axis=0)
    for table, deviation in zip(items, deviations, strict=True):
        table["deviation"] = float(deviation)
    fitted = {
        name: {
            "mean": float(middle[i]),
            "deviation": float(spread[i]),
            "loadings": analysis.loadings[i].tolist(),
            "uniqueness": float(max(analysis.extracted.uniquenesses[i], 0.0)),
        }
        for i, name in enumerate(analysis.sample.item_ids)
    }
    count = analysis.loadings.shape[1]
    table = {
        "format": 1,
        "id": instrument_id,
        "title": title,
        "source": source,
        "licence": "that of the data and of the questionnaire",
        "language": "und",  # undetermined, BCP 47
        "constants": "fixed",
        "dimensions": [{"id": name, "name": f"Factor {m + 1}"} for m, name in enumerate(factor_ids(analysis))],
        "factors": {
            "method": _method(analysis),
            "dimensions": list(factor_ids(analysis)),
            "slopes": [SLOPE] * count,
            "offsets": [OFFSET] * count,
            "correlations": _symmetric(analysis.rotated.correlations).tolist(),
            "items": fitted,
        },
        "items": items,
    }
    unfilled = [item["id"] for item in items if FILL_IN in str(item)]
    return tomli_w.dumps(table), tuple(unfilled)


def group_rows(analysis: Analysis) -> tuple[GroupRow, ...]:
    """Return the scores of each group's weighted item means, with standard errors by linearisation.

    Respondents count as drawn independently within their group, with their weights; a stratified or clustered sample
    has other standard errors.
    """
    weights, intercepts = _line(analysis)
    sample = analysis.sample
    means = group_means(sample)
    there = ~np.isnan(sample.answers)
    totals = np.zeros(means.shape)
    np.add.at(totals, sample.codes, there * sample.weights[:, None])
    # what a respondent adds to the group's mean of each item, and by it to the scores
    deviation = np.where(there, sample.answers - means[sample.codes], 0.0)
    effects = (deviation * sample.weights[:, None] / totals[sample.codes]) @ weights
    rows = []
    for g, name in enumerate(sample.groups):
        mine = sample.codes == g
        n, w = int(mine.sum()), sample.weights[mine]
        variance = (effects[mine] ** 2).sum(axis=0) * n / max(n - 1, 1)
        rows.append(
            GroupRow(name, n, float(w.sum() ** 2 / (w**2).sum()), means[g] @ weights + intercepts, np.sqrt(variance))
        )
    return tuple(rows)


def target_table(rows: Sequence[GroupRow], dimensions: Sequence[str], items: tuple[str, str]) -> str:
    """Return the table of targets (CSV) of the groups that may be one.

    Columns: group, n, n_effective, the name and the SHA-256 of the file of their item distributions, and for each
    dimension its score and `_se`, its standard error.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    about = ("group", "n", "n_effective", "items", "items_sha256")
    writer.writerow([*about, *(f"{d}{end}" for d in dimensions for end in ("", "_se"))])
    for row in rows:
        if row.usable:
            numbers = np.stack([row.scores, row.errors], axis=1).ravel()
            writer.writerow(
                [row.name, row.n, f"{row.n_effective:.1f}", *items, *(f"{number:.6f}" for number in numbers)]
            )
    return text.getvalue()


def _method(analysis: Analysis) -> Method:
    return "components" if analysis.extraction == "components" else "regression"


def _standards(analysis: Analysis) -> tuple[Floats, Floats]:
    """Return mean and deviation (I,) of the rows that the correlations were made of; within groups, about the mean."""
    answers, weights = level_answers(analysis.sample, analysis.level)
    middle, spread = _moments(answers, weights)
    if analysis.level == "within":
        middle, _ = _moments(analysis.sample.answers, analysis.sample.weights)
    return middle, spread


def _moments(answers: Floats, weights: Floats) -> tuple[Floats, Floats]:
    total = (~np.isnan(answers) * weights[:, None]).sum(axis=0)
    middle = np.nansum(answers * weights[:, None], axis=0) / total
    return middle, np.sqrt(np.nansum((answers - middle) ** 2 * weights[:, None], axis=0) / total)


def _line(analysis: Analysis) -> tuple[Floats, Floats]:
    """Return weights (I, M) on item means and intercepts (M,), as the instrument file comes to them."""
    middle, spread = _standards(analysis)
    uniquenesses = np.maximum(analysis.extracted.uniquenesses, 0.0)
    correlations = _symmetric(analysis.rotated.correlations)
    weights = score_weights(_method(analysis), analysis.loadings, uniquenesses, correlations) * SLOPE / spread[:, None]
    return weights, OFFSET - middle @ weights


def _symmetric(matrix: Floats) -> Floats:
    both = (matrix + matrix.T) / 2
    np.fill_diagonal(both, 1.0)
    return np.asarray(both)


def _item_table(column: Column, texts: Instrument | None) -> dict[str, Any]:
    assert column.numbers is not None
    seen = set(np.unique(column.numbers[~np.isnan(column.numbers)]).tolist())
    known = {} if texts is None else {item.id.lower(): item for item in (*texts.items, *texts.optional_items)}
    if (item := known.get(column.name.lower())) is not None:
        return _borrowed(column.name, item, seen)
    values = sorted(seen | set(column.value_labels))
    if len(values) > MOST_OPTIONS:
        raise InstrumentError(
            f"item {column.name} has {len(values)} different values, an instrument takes at most {MOST_OPTIONS} options"
        )
    return {
        "id": column.name,
        "construct": column.label or column.name,
        "wordings": [column.label or f"{FILL_IN}: the question of {column.name}"],
        "options": [
            {"text": column.value_labels.get(value) or f"{FILL_IN}: what {value:g} means", "value": float(value)}
            for value in values
        ],
    }


def _borrowed(name: str, item: Item, seen: set[float]) -> dict[str, Any]:
    values = {option.value for option in item.options}
    if not seen <= values:
        raise InstrumentError(
            f"item {name} has the answer {min(seen - values):g}, which the texts' item {item.id} lacks "
            f"({', '.join(f'{value:g}' for value in sorted(values))})"
        )
    return {
        "id": name,
        "construct": item.construct,
        "wordings": list(item.wordings),
        "options": [{"text": option.text, "value": option.value} for option in item.options],
    }
