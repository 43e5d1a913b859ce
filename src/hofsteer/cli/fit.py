"""`hofsteer instruments fit`: factors of respondents' answers, as an instrument and targets."""

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from hofsteer.cli.fit_output import fit_json, print_fit
from hofsteer.cli.output import AsJson, Encoding, messages, missing_codes, print_json, warn
from hofsteer.errors import InstrumentError, did_you_mean
from hofsteer.files import hash_bytes, replace_text

if TYPE_CHECKING:
    from hofsteer.instruments.factor.analysis import Analysis, FitSettings
    from hofsteer.instruments.factor.output import GroupRow

LEVELS = ("pooled", "within", "between")


def fit(
    data: Annotated[Path, typer.Argument(help="Respondents, one a row: CSV, Parquet, SPSS .sav or Stata .dta.")],
    items: Annotated[
        str | None,
        typer.Option(
            help="Columns of items, with commas; q* for all that begin with q.",
            show_default="all of at most ten values",
        ),
    ] = None,
    group: Annotated[str | None, typer.Option(help="Column of groups, such as country.")] = None,
    level: Annotated[
        str | None,
        typer.Option(help="pooled, within or between; to be named with --group.", show_default="pooled without groups"),
    ] = None,
    weights: Annotated[str | None, typer.Option(help="Column of design weights.")] = None,
    factors: Annotated[
        int | None, typer.Option(min=1, help="How many.", show_default="what the rules agree on")
    ] = None,
    rotation: Annotated[str | None, typer.Option(help="oblimin or varimax.", show_default="oblimin")] = None,
    extraction: Annotated[str | None, typer.Option(help="minres or components.", show_default="minres")] = None,
    correlations: Annotated[
        str | None,
        typer.Option(
            help="pearson or polychoric.",
            show_default="polychoric for at most 7 categories and 200 respondents or more, pooled",
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="iw, as the Inglehart-Welzel map: Pearson, pairwise, components, varimax.")
    ] = None,
    missing: Annotated[str | None, typer.Option(help="Codes that are no answer, with commas: -1,-2,99.")] = None,
    encoding: Encoding = None,
    texts: Annotated[
        str | None, typer.Option(help="An instrument whose items of the same ids have the wordings and options.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the parallel analysis and the rotation's starts.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="A new instrument file (.toml); with groups also NAME-targets.csv and its items."),
    ] = None,
    figures: Annotated[Path | None, typer.Option(help="Folder for scree, loadings and groups as SVG.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find the factors of a survey in respondents' answers; write an instrument and the groups' scores on it."""
    from hofsteer.instruments import load_instrument
    from hofsteer.instruments.factor.analysis import analyse
    from hofsteer.instruments.factor.output import group_rows
    from hofsteer.instruments.factor.sample import take_sample
    from hofsteer.instruments.microdata_files import read_microdata

    settings = _settings(level, factors, rotation, extraction, correlations, preset, seed)
    borrowed = None if texts is None else load_instrument(texts)
    if out is not None:
        _check_out(out)
    named = None if items is None else [name.strip() for name in items.split(",") if name.strip()]
    with messages().status(f"reading {data.name}"):
        microdata = read_microdata(data, missing=missing_codes(missing), encoding=encoding)
        sample = take_sample(microdata, named, weights, group)
    for note in sample.notes:
        messages().print(note, highlight=False, soft_wrap=True)
    for warning in sample.warnings:
        warn(warning)
    with messages().status("looking for factors"):
        analysis = analyse(sample, settings)
    rows = group_rows(analysis) if sample.groups else ()
    written = [*_write(analysis, rows, out, data, borrowed), *_draw(analysis, rows, figures)]
    if as_json:
        print_json(fit_json(analysis, rows, data.name, written))
    else:
        print_fit(analysis)
    for warning in analysis.warnings:
        warn(warning)
    for path in written:
        messages().print(f"wrote {path}", highlight=False, soft_wrap=True)


def _settings(
    level: str | None,
    factors: int | None,
    rotation: str | None,
    extraction: str | None,
    correlations: str | None,
    preset: str | None,
    seed: int,
) -> "FitSettings":
    from hofsteer.instruments.factor.analysis import FitSettings, inglehart_welzel
    from hofsteer.instruments.factor.correlation import Kind
    from hofsteer.instruments.factor.extraction import Extraction
    from hofsteer.instruments.factor.rotation import Rotation

    for name, value, valid in (
        ("--level", level, LEVELS),
        ("--rotation", rotation, get_args(Rotation)),
        ("--extraction", extraction, get_args(Extraction)),
        ("--correlations", correlations, get_args(Kind)),
        ("--preset", preset, ("iw",)),
    ):
        if value is not None and value not in valid:
            raise InstrumentError(f"want {name} {' or '.join(valid)}, got {value!r}{did_you_mean(value, valid)}")
    settings = FitSettings(
        level=cast(Any, level),
        factors=factors,
        rotation=cast(Any, rotation or "oblimin"),
        extraction=cast(Any, extraction or "minres"),
        kind=cast(Any, correlations),
        seed=seed,
    )
    if preset is None:
        return settings
    given = [n for n, v in (("rotation", rotation), ("extraction", extraction), ("correlations", correlations)) if v]
    if given:
        raise InstrumentError(f"the preset iw sets --{given[0]} itself; give one or the other")
    return inglehart_welzel(settings)


def _targets_path(out: Path) -> Path:
    return out.with_name(f"{out.stem}-targets.csv")


def _check_out(out: Path) -> None:
    from hofsteer.targets.items import items_path

    if out.suffix != ".toml":
        raise InstrumentError(f"want an instrument file that ends with .toml, got {out}")
    if not out.parent.is_dir():
        raise InstrumentError(f"want --out in a folder that exists, got {out}: there is no {out.parent}")
    for path in (out, _targets_path(out), items_path(_targets_path(out))):
        if path.exists():  # its texts may have been filled in
            raise InstrumentError(f"want a new file for the instrument, got {path}, which exists")


def _write(analysis: "Analysis", rows: tuple["GroupRow", ...], out: Path | None, data: Path, texts: Any) -> list[Path]:
    from hofsteer.instruments.factor.output import FEWEST_EFFECTIVE, instrument_text

    if out is None:
        return []
    kind, method = analysis.correlations.kind, analysis.extraction
    source = (
        f"Fitted with hofsteer to {data.name}: {len(analysis.sample.answers)} respondents, level {analysis.level}, "
        f"{kind} correlations, {method}, {analysis.rotation}."
    )
    text, unfilled = instrument_text(analysis, out.stem, f"Factors of {data.name}", source, texts)
    usable = [row for row in rows if row.usable]
    try:
        replace_text(out, text)
        written = [out]
        if len(usable) > 1:
            written += _write_targets(analysis, usable, out, data, text)
    except OSError as error:
        raise InstrumentError(f"cannot write an instrument to {out}: {error.strerror}") from None
    if unfilled:
        warn(
            f"{data.name} has no texts of {_some(unfilled)}: write them into {out} where it says FILL IN before it can "
            "be asked, or take them from an instrument with --texts"
        )
    if small := tuple(f"{row.name} ({row.n_effective:.0f})" for row in rows if not row.usable):
        warn(f"no target for groups with an effective n below {FEWEST_EFFECTIVE}: {_some(small)}")
    if rows and len(usable) < 2:
        warn(f"no table of targets is written: it wants two groups or more, got {len(usable)}")
    return written


def _write_targets(analysis: "Analysis", rows: list["GroupRow"], out: Path, data: Path, instrument: str) -> list[Path]:
    """Write the table of targets and, before it, the item distributions that it names."""
    from hofsteer.instruments.factor.output import factor_ids, target_table
    from hofsteer.targets.items import distributions_text, item_shares, items_path

    sample, table = analysis.sample, _targets_path(out)
    options = {item["id"]: [o["value"] for o in item["options"]] for item in tomllib.loads(instrument)["items"]}
    groups = {}
    for row in rows:
        mine = sample.codes == sample.groups.index(row.name)
        answers, weights = sample.answers[mine], sample.weights[mine]
        groups[row.name] = [
            item_shares(column, weights, values) for column, values in zip(answers.T, options.values(), strict=True)
        ]
    text, kept = distributions_text(out.stem, data.name, options, groups), items_path(table)
    replace_text(kept, text)
    replace_text(table, target_table(rows, factor_ids(analysis), (kept.name, hash_bytes(text.encode()))))
    return [table, kept]


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) <= 8 else f"{', '.join(names[:8])} and {len(names) - 8} more"


def _draw(analysis: "Analysis", rows: tuple["GroupRow", ...], folder: Path | None) -> list[Path]:
    from hofsteer.report.factor_figures import groups_figure, loadings_figure, scree_figure

    if folder is None:
        return []
    drawn = {"scree": scree_figure(analysis), "loadings": loadings_figure(analysis)}
    if rows and analysis.loadings.shape[1] > 1:
        drawn["groups"] = groups_figure(rows)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, svg in drawn.items():
            replace_text(folder / f"{name}.svg", svg)
    except OSError as error:
        raise InstrumentError(f"cannot write figures to {folder}: {error.strerror}") from None
    return [folder / f"{name}.svg" for name in drawn]
