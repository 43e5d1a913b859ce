"""How `hofsteer instruments fit` shows what it found: tables for people, JSON for machines."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.table import Table

from hofsteer.cli.output import results

if TYPE_CHECKING:
    from hofsteer.instruments.factor.analysis import Analysis
    from hofsteer.instruments.factor.output import GroupRow

SALIENT = 0.3  # smaller loadings are shown in brackets


def print_fit(analysis: "Analysis") -> None:
    """Print a factor analysis as tables."""
    from hofsteer.instruments.factor.output import factor_ids

    console, names, found = results(), factor_ids(analysis), analysis.correlations
    what = "groups" if analysis.level == "between" else "respondents"
    how = f", missing answers {found.missing}" if found.missing else ""
    console.print(
        f"{analysis.n} {what} (effective {analysis.n_effective:.0f}), level {analysis.level}, {found.kind} "
        f"correlations{how}, {analysis.extraction}, {analysis.rotation}",
        highlight=False,
    )
    if analysis.other is not None:
        gap = abs(analysis.other.matrix - found.matrix).max()
        console.print(f"{analysis.other.kind} correlations differ by at most {gap:.2f}", highlight=False)
    number = analysis.number
    console.print(
        f"number of factors: parallel analysis {number.parallel}, MAP {number.map}, taken {len(names)}", highlight=False
    )
    shown = min(len(number.eigenvalues), max(number.parallel, number.map, len(names)) + 2)
    eigenvalues = Table("", *(str(k + 1) for k in range(shown)), box=SIMPLE, padding=(0, 1, 0, 0))
    eigenvalues.add_row("eigenvalue", *(f"{v:.2f}" for v in number.eigenvalues[:shown]))
    eigenvalues.add_row("95 % of chance", *(f"{v:.2f}" for v in number.reference[:shown]))
    console.print(eigenvalues)
    table = Table("item", *names, "h2", "KMO", box=SIMPLE, padding=(0, 1, 0, 0))
    if analysis.intraclass:
        table.add_column("ICC(1)")
        table.add_column("ICC(2)")
    for i, item in enumerate(analysis.sample.item_ids):
        loadings = (f"{v:.2f}" if abs(v) >= SALIENT else f"({round(v, 2) + 0.0:.2f})" for v in analysis.loadings[i])
        cells = [*loadings, f"{analysis.communalities[i]:.2f}", f"{analysis.item_adequacy[i]:.2f}"]
        if analysis.intraclass:
            cells += [f"{values[i]:.2f}" if values[i] >= 0 else "-" for values in analysis.intraclass]
        table.add_row(item, *cells)
    console.print(table)
    factors = Table("factor", "items", "alpha", "omega", "determinacy", box=SIMPLE, padding=(0, 1, 0, 0))
    for level in analysis.congruence:
        factors.add_column(f"congruence {level}")
    for m, (name, scale) in enumerate(zip(names, analysis.scales, strict=True)):
        mine = (
            ("-" if turned else "") + analysis.sample.item_ids[i]
            for i, turned in zip(scale.items, scale.reversed, strict=True)
        )
        numbers = (scale.alpha, scale.omega, analysis.determinacy[m], *(v[m] for v in analysis.congruence.values()))
        factors.add_row(name, " ".join(mine), *("-" if v != v else f"{v:.2f}" for v in numbers))
    console.print(factors)
    between = [
        f"{names[a]}-{names[b]} {analysis.rotated.correlations[a, b]:+.2f}"
        for a in range(len(names))
        for b in range(a + 1, len(names))
    ]
    if analysis.rotation == "oblimin" and between:
        console.print(f"factor correlations: {', '.join(between)}", highlight=False)
    indices, test = analysis.indices, analysis.sphericity
    fitted = f", RMSEA {indices.rmsea:.3f}, TLI {indices.tli:.3f}" if indices.rmsea == indices.rmsea else ""
    console.print(
        f"KMO {analysis.adequacy:.2f}, Bartlett chi2({test.degrees_of_freedom}) = {test.chi_square:.0f}, "
        f"p {f'= {test.p:.2g}' if test.p else '< 1e-300'}; residuals {indices.rmsr:.3f} (root mean square){fitted}",
        highlight=False,
    )


def fit_json(analysis: "Analysis", rows: Sequence["GroupRow"], file: str, written: Sequence[Path]) -> dict[str, Any]:
    """Return a factor analysis of a file as JSON values; NaN is None."""
    from hofsteer.instruments.factor.output import factor_ids

    names, ids, number = factor_ids(analysis), analysis.sample.item_ids, analysis.number
    found, other, indices = analysis.correlations, analysis.other, analysis.indices
    result: dict[str, Any] = {
        "schema": 1,
        "file": file,
        "level": analysis.level,
        "n": analysis.n,
        "n_effective": analysis.n_effective,
        "items": list(ids),
        "factors": list(names),
        "extraction": analysis.extraction,
        "rotation": analysis.rotation,
        "loadings": analysis.loadings.tolist(),
        "factor_correlations": analysis.rotated.correlations.tolist(),
        "communalities": analysis.communalities.tolist(),
        "rotation_starts": {"tried": analysis.rotated.starts, "best": analysis.rotated.best_starts},
        "correlations": {
            "kind": found.kind,
            "missing": found.missing,
            "smoothed": found.smoothed,
            "matrix": found.matrix.tolist(),
        },
        "other_correlations": None if other is None else {"kind": other.kind, "matrix": other.matrix.tolist()},
        "number_of_factors": {
            "parallel": number.parallel,
            "map": number.map,
            "eigenvalues": number.eigenvalues.tolist(),
            "reference": number.reference.tolist(),
            "average_partials": number.partials.tolist(),
            "draws": number.draws,
        },
        "fit": {
            "rmsr": indices.rmsr,
            "degrees_of_freedom": indices.degrees_of_freedom,
            "chi_square": indices.chi_square,
            "rmsea": indices.rmsea,
            "tli": indices.tli,
            "kmo": analysis.adequacy,
            "kmo_items": analysis.item_adequacy.tolist(),
            "bartlett_chi_square": analysis.sphericity.chi_square,
            "bartlett_p": analysis.sphericity.p,
        },
        "scales": {
            name: {
                "items": [ids[i] for i in scale.items],
                "reversed": list(scale.reversed),
                "alpha": scale.alpha,
                "omega": scale.omega,
                "determinacy": float(analysis.determinacy[m]),
            }
            for m, (name, scale) in enumerate(zip(names, analysis.scales, strict=True))
        },
        "icc1": analysis.intraclass[0].tolist() if analysis.intraclass else None,
        "icc2": analysis.intraclass[1].tolist() if analysis.intraclass else None,
        "congruence": {level: values.tolist() for level, values in analysis.congruence.items()},
        "groups": {
            row.name: {
                "n": row.n,
                "n_effective": row.n_effective,
                "scores": dict(zip(names, row.scores.tolist(), strict=True)),
                "standard_errors": dict(zip(names, row.errors.tolist(), strict=True)),
            }
            for row in rows
        },
        "notes": list(analysis.sample.notes),
        "warnings": [*analysis.sample.warnings, *analysis.warnings],
        "written": [str(path) for path in written],
    }
    return dict(_without_nan(result))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and value != value else value
