"""`hofsteer targets fit`: from respondents to a table of targets."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import numpy as np
import typer
from rich.table import Table

from hofsteer.cli.output import (
    SCORES_MOVE,
    AsJson,
    Encoding,
    InstrumentName,
    messages,
    missing_codes,
    print_json,
    results,
    warn,
)
from hofsteer.errors import TargetError, did_you_mean
from hofsteer.files import hash_bytes, replace_text

if TYPE_CHECKING:
    from hofsteer.instruments import Instrument
    from hofsteer.instruments.microdata import Microdata
    from hofsteer.targets.microdata import GroupEstimate, Sample


def fit(
    data: Annotated[Path, typer.Argument(help="Respondents, one a row: CSV, Parquet, SPSS .sav or Stata .dta.")],
    group: Annotated[str, typer.Option(help="Column of groups, such as country.")],
    instrument: InstrumentName = "vsm13",
    weights: Annotated[str | None, typer.Option(help="Column of design weights.")] = None,
    strata: Annotated[str | None, typer.Option(help="Column of strata, within groups.")] = None,
    cluster: Annotated[str | None, typer.Option(help="Column of clusters, within strata.")] = None,
    estimator: Annotated[str, typer.Option(help="Of standard errors: linearised or bootstrap.")] = "linearised",
    weighting: Annotated[
        str, typer.Option(help="Of the mean over groups: equal-groups, or population (by design weights).")
    ] = "equal-groups",
    constants: Annotated[
        str | None,
        typer.Option(help="Scale constants C: midpoint (C = 50) or none.", show_default="midpoint; none if fixed"),
    ] = None,
    missing: Annotated[str | None, typer.Option(help="Codes that are no answer, with commas: -1,-2,99.")] = None,
    encoding: Encoding = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            help="A new table of targets (.csv), for --target FILE.csv:GROUP, and beside it the item distributions."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score groups of respondents, with standard errors, and write them as targets that `align` takes."""
    from hofsteer.instruments import load_instrument
    from hofsteer.instruments.microdata_files import read_microdata
    from hofsteer.targets import constants_for
    from hofsteer.targets.items import FEWEST_EFFECTIVE, items_path
    from hofsteer.targets.microdata import Estimator, Weighting, estimate_groups, overall_scores

    for name, value, valid in (
        ("--estimator", estimator, get_args(Estimator)),
        ("--weighting", weighting, get_args(Weighting)),
    ):
        if value not in valid:
            raise TargetError(f"want {name} {' or '.join(valid)}, got {value!r}{did_you_mean(value, valid)}")
    if out is not None:
        _check_out(out)
    questions = load_instrument(instrument, unwritten=True)
    policy = constants_for(questions, constants)
    with messages().status(f"reading {data.name}"):
        microdata = read_microdata(data, missing=missing_codes(missing), encoding=encoding)
        sample, notes = _take(microdata, questions, group, (weights, strata, cluster))
    groups = estimate_groups(sample, questions, policy, cast(Any, estimator), seed=seed)
    usable = [one for one in groups if one.usable]
    if len(usable) < 2:
        raise TargetError(
            f"{data.name}: want two groups or more with a score and an effective n of {FEWEST_EFFECTIVE} or more, got "
            f"{len(usable)}: {_refused(groups, questions, microdata)} (instrument {questions.id}; name another with "
            "--instrument)"
        )
    overall = overall_scores(usable, cast(Any, weighting))
    if out is not None:
        _write(out, usable, questions, data.name, policy.kind)
    if as_json:
        print_json(_as_json(groups, questions, overall, policy.kind, estimator, weighting, notes))
    else:
        _print(groups, questions, overall, policy.kind, weighting)
    for note in notes:
        messages().print(note, highlight=False, soft_wrap=True)
    if len(usable) < len(groups):
        warn(f"no targets: {_refused(groups, questions, microdata)}")
    if single := [one.name for one in usable if one.clusters == 1]:
        have = "has" if len(single) == 1 else "have"
        warn(f"{_some(single)} {have} a single cluster: no standard errors")
    if lonely := sum(one.lonely for one in groups):
        warn(f"{lonely} strata have a single cluster, which counts about the mean of its group")
    if out is not None:
        said = f"wrote {out}, and beside it {items_path(out).name} with the item distributions"
        messages().print(said, highlight=False, soft_wrap=True)


def _take(
    data: "Microdata", questions: "Instrument", group: str, design: tuple[str | None, str | None, str | None]
) -> tuple["Sample", list[str]]:
    """Return the respondents that count, and what is to be said of the others."""
    from hofsteer.targets.microdata import Sample, check_weights

    heads = {name.lower() for name in data.columns}
    asked = [item.lower() in heads for item in questions.item_ids]
    if not any(asked):
        raise TargetError(
            f"{data.name}: want columns with items of {questions.id}, {questions.item_ids[0]} to "
            f"{questions.item_ids[-1]}, got none; name another instrument with --instrument"
        )
    answers = np.full((data.n, len(asked)), np.nan)
    for i, item in enumerate(questions.items):
        if not asked[i]:
            continue
        answers[:, i] = data.numbers(item.id)
        values = [option.value for option in item.options]
        wrong = ~np.isnan(answers[:, i]) & ~np.isin(answers[:, i], values)
        if wrong.any():
            raise TargetError(
                f"{data.name} row {int(wrong.argmax()) + data.first_row}, column {item.id}: want one of "
                f"{', '.join(f'{v:g}' for v in values)}, got {answers[wrong, i][0]:g}; name it with --missing if it is "
                f"no answer, or with --instrument another instrument than {questions.id}"
            )
    names, codes = data.groups(group)
    weights, strata, cluster = design
    weight = np.ones(data.n) if weights is None else data.numbers(weights)
    if weights is not None:
        check_weights(weight, weights)
    stratum = np.zeros(data.n, dtype=np.intp) if strata is None else data.groups(strata)[1]
    unit = np.arange(data.n) if cluster is None else data.groups(cluster)[1]
    placed = (np.nan_to_num(weight) > 0) & (codes >= 0) & (stratum >= 0) & (unit >= 0)
    keep = placed & ~np.isnan(answers).all(axis=1)
    notes = [
        f"{count} rows {what} are left out"
        for count, what in (
            (int((~placed).sum()), "without a positive weight, a group, a stratum or a cluster"),
            (int((placed & ~keep).sum()), "without any answer"),
        )
        if count
    ]
    absent = [item for item, there in zip(questions.item_ids, asked, strict=True) if not there]
    silent = np.isnan(answers[keep]).all(axis=0) & asked
    unanswered = [item for item, never in zip(questions.item_ids, silent, strict=True) if never]
    for what, lacking in (("columns for", absent), ("answers to", unanswered)):
        if lacking:
            notes.append(f"no {what} {', '.join(lacking)}: dimensions that need them have no score")
    return Sample(answers[keep], names, codes[keep], weight[keep], stratum[keep], unit[keep]), notes


def _refused(groups: "tuple[GroupEstimate, ...]", questions: "Instrument", data: "Microdata") -> str:
    """Return the groups that are no targets, each with its n and the reason."""
    from hofsteer.targets.items import FEWEST_EFFECTIVE

    heads = {name.lower() for name in data.columns}
    said = []
    for one in groups:
        if one.usable:
            continue
        reasons = []
        if np.isnan(one.scores).all():
            lacking = [item for item, mean in zip(questions.item_ids, one.item_means, strict=True) if np.isnan(mean)]
            absent = [item for item in lacking if item.lower() not in heads]
            silent = [item for item in lacking if item.lower() in heads]
            reasons.append("no score")
            reasons += [f"no column for {_some(absent, 2)}"] if absent else []
            reasons += [f"no answer to {_some(silent, 2)}"] if silent else []
        if one.n_effective < FEWEST_EFFECTIVE:
            reasons.append(f"effective n {one.n_effective:.0f} below {FEWEST_EFFECTIVE}")
        said.append(f"{one.name} {one.n}: {', '.join(reasons)}")
    return "; ".join([*said[:8], *([f"{len(said) - 8} more"] if len(said) > 8 else [])]) or "no group"


def _some(names: list[str], shown: int = 8) -> str:
    return ", ".join(names[:shown]) + (", ..." if len(names) > shown else "")


def _check_out(out: Path) -> None:
    from hofsteer.targets.items import items_path

    if out.suffix != ".csv":
        raise TargetError(f"want --out as a file that ends with .csv, got {out}")
    if not out.parent.is_dir():
        raise TargetError(f"want --out in a folder that exists, got {out}: there is no {out.parent}")
    for path in (out, items_path(out)):
        if path.exists():
            raise TargetError(f"want --out as a new file, got {out}: {path.name} is there already")


def _write(out: Path, groups: "list[GroupEstimate]", questions: "Instrument", source: str, constants: str) -> None:
    """Write the table and, before it, the item distributions that it names."""
    from hofsteer.targets.items import items_path, items_text
    from hofsteer.targets.microdata import table_text

    text, kept = items_text(groups, questions, source), items_path(out)
    items = kept.name, hash_bytes(text.encode())
    replace_text(kept, text)
    replace_text(out, table_text(groups, questions.dimension_ids, source, constants, items))


def _as_json(
    groups: "tuple[GroupEstimate, ...]",
    questions: "Instrument",
    overall: Any,
    constants: str,
    estimator: str,
    weighting: str,
    notes: list[str],
) -> dict[str, Any]:
    from hofsteer.instruments import named_scores

    ids = questions.dimension_ids
    return {
        "schema": 1,
        "instrument": questions.id,
        "constants": constants,
        "estimator": estimator,
        "weighting": weighting,
        "overall": named_scores(overall, ids),
        "groups": [
            {
                "group": one.name,
                "n": one.n,
                "n_effective": one.n_effective,
                "target": one.usable,
                "scores": named_scores(one.scores, ids),
                "standard_errors": named_scores(one.errors, ids),
                "items": {item: asdict(shares) for item, shares in zip(questions.item_ids, one.items, strict=True)},
            }
            for one in groups
        ],
        "notes": notes,
    }


def _print(
    groups: "tuple[GroupEstimate, ...]", questions: "Instrument", overall: Any, constants: str, weighting: str
) -> None:
    from hofsteer.report import points
    from hofsteer.targets.microdata import shrunken

    digits = questions.digits
    table = Table("group", "n", "effective", *questions.dimension_ids, title=f"{questions.id} (constants: {constants})")
    usable = [one for one in groups if one.usable]
    for one, drawn in zip(usable, shrunken(usable), strict=True):
        cells = [
            f"{points(score, digits)} ± {points(error, digits)} ({points(shown, digits)})"
            for score, error, shown in zip(one.scores, one.errors, drawn, strict=True)
        ]
        table.add_row(one.name, str(one.n), f"{one.n_effective:.0f}", *cells)
    table.add_row("mean", "", "", *(points(score, digits) for score in overall))
    console = results()
    console.print(table)
    console.print(f"mean over the groups: {weighting}", highlight=False)
    console.print(
        "score ± standard error (shrunken towards the mean of the groups: to look at, never a target)", highlight=False
    )
    if questions.constants == "chosen":
        console.print(SCORES_MOVE)
