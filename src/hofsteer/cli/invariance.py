"""`hofsteer instruments invariance`: whether groups answer by the same factors."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hofsteer.cli.output import AsJson, Encoding, messages, missing_codes, print_json, results, warn

if TYPE_CHECKING:
    from hofsteer.instruments.factor.invariance import Invariance


def invariance(
    data: Annotated[Path, typer.Argument(help="Respondents, one a row: CSV, Parquet, SPSS .sav or Stata .dta.")],
    group: Annotated[str, typer.Option(help="Column of groups, such as country.")],
    factors: Annotated[int, typer.Option(min=1, help="How many factors the items have.")],
    items: Annotated[
        str | None, typer.Option(help="Columns of items, with commas; q* for all that begin with q.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="Column of design weights.")] = None,
    missing: Annotated[str | None, typer.Option(help="Codes that are no answer, with commas: -1,-2,99.")] = None,
    encoding: Encoding = None,
    as_json: AsJson = False,
) -> None:
    """Show congruence of each group's own factors with the common ones, and items that favour a group.

    Where congruence is below 0.85 no group may be called higher than another on that factor.
    """
    from rich.table import Table

    from hofsteer.instruments.factor.invariance import NOTABLE, SAME_FACTOR
    from hofsteer.instruments.factor.invariance import invariance as compare
    from hofsteer.instruments.factor.sample import take_sample
    from hofsteer.instruments.microdata_files import read_microdata

    named = None if items is None else [name.strip() for name in items.split(",") if name.strip()]
    sample = take_sample(read_microdata(data, missing=missing_codes(missing), encoding=encoding), named, weights, group)
    for warning in sample.warnings:
        warn(warning)
    found = compare(sample, factors)
    names = [f"F{m + 1}" for m in range(factors)]
    if as_json:
        print_json(
            {
                "schema": 1,
                "items": list(sample.item_ids),
                "factors": names,
                "loadings": found.loadings.tolist(),
                "congruence": {name: values.tolist() for name, values in found.congruences.items()},
                "too_few": list(found.too_few),
                "fails": list(found.fails),
                "bias": {
                    item: None
                    if bias is None
                    else {
                        "factor": names[bias.factor],
                        "uniform": bias.uniform,
                        "non_uniform": bias.non_uniform,
                        "notable": bias.notable,
                    }
                    for item, bias in zip(sample.item_ids, found.bias, strict=True)
                },
                "warnings": list(sample.warnings),
            }
        )
        return
    for note in sample.notes:
        messages().print(note, highlight=False, soft_wrap=True)
    console = results()
    if not found.congruences:
        console.print(
            f"No group was tested, so neither congruence nor bias is shown: each has fewer than {found.least} "
            "respondents, or an item that all in it answered alike.",
            highlight=False,
        )
        return
    table = Table("group", *names, title=f"Congruence of the groups' own factors; below {SAME_FACTOR} another factor")
    for name, values in found.congruences.items():
        table.add_row(name, *(f"{value:.2f}" for value in values), style="bold" if name in found.fails else None)
    console.print(table)
    table = Table(
        "item", "factor", "uniform", "non-uniform", "", title="Share of variance that the group adds at equal scores"
    )
    for item, bias in zip(sample.item_ids, found.bias, strict=True):
        if bias is not None:
            look = "look at it" if bias.notable else ""
            table.add_row(item, names[bias.factor], f"{bias.uniform:.3f}", f"{bias.non_uniform:.3f}", look)
    console.print(table)
    console.print(
        f"uniform: answers shifted alike; non-uniform: another slope; from {NOTABLE} on worth a look", highlight=False
    )
    console.print(_conclusion(found, sample.item_ids), highlight=False)
    if found.too_few:
        messages().print(
            f"not tested, for fewer than {found.least} respondents or an item that all answered alike: "
            f"{', '.join(found.too_few)}",
            highlight=False,
            soft_wrap=True,
        )


def _conclusion(found: "Invariance", items: tuple[str, ...]) -> str:
    """Return what may be said of the groups that were tested, one or more."""
    tested, untested = list(found.congruences), ", ".join(found.too_few)
    one = len(found.too_few) == 1
    others = f"; {untested} {'was' if one else 'were'} not tested" if untested else ""
    if found.fails:
        failing = ", ".join(found.fails)
        differ = f"{failing} has other factors" if len(found.fails) == 1 else f"{failing} have other factors"
        return f"{differ}: scores there are on another scale, and the groups are not put in an order{others}."
    if len(tested) < 2:
        return f"{tested[0]} alone was tested: there is no group to compare it with{others}."
    marked = [item for item, bias in zip(items, found.bias, strict=True) if bias is not None and bias.notable]
    first = f", once the items marked above ({', '.join(marked)}) have been looked at" if marked else ""
    return f"Factors of {', '.join(tested)} agree{others}. Differences beyond their standard errors may be read{first}."
