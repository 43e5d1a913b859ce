"""`hofsteer instruments invariance`: whether groups answer by the same factors."""

from pathlib import Path
from typing import Annotated

import typer

from hofsteer.cli.output import AsJson, messages, missing_codes, print_json, results


def invariance(
    data: Annotated[Path, typer.Argument(help="Respondents, one a row: CSV, Parquet, SPSS .sav or Stata .dta.")],
    group: Annotated[str, typer.Option(help="Column of groups, such as country.")],
    factors: Annotated[int, typer.Option(min=1, help="How many factors the items have.")],
    items: Annotated[
        str | None, typer.Option(help="Columns of items, with commas; q* for all that begin with q.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="Column of design weights.")] = None,
    missing: Annotated[str | None, typer.Option(help="Codes that are no answer, with commas: -1,-2,99.")] = None,
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
    sample = take_sample(read_microdata(data, missing=missing_codes(missing)), named, weights, group)
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
            }
        )
        return
    console = results()
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
    if found.fails:
        console.print(
            f"The groups {', '.join(found.fails)} have other factors: their scores are on another scale, and the "
            "groups are not put in an order.",
            highlight=False,
        )
    elif found.congruences:
        console.print(
            "The factors agree: a group may be called higher than another within its standard error.", highlight=False
        )
    for note in sample.notes:
        messages().print(note, highlight=False, soft_wrap=True)
    if found.too_few:
        messages().print(
            f"too few respondents for factors of their own: {', '.join(found.too_few)}", highlight=False, soft_wrap=True
        )
