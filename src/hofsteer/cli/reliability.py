"""What `hofsteer survey --reliability` prints."""

from typing import TYPE_CHECKING

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from hofsteer.cli.output import results

if TYPE_CHECKING:
    from hofsteer.evaluation.reliability import Reliability


def show_reliability(found: "Reliability", model: str, digits: int = 1) -> None:
    """Print the components and what follows from them, one line a dimension."""
    from hofsteer.evaluation.reliability import COMPONENTS
    from hofsteer.report import points

    wordings, orders = found.forms
    single, average = found.icc2
    one, both = found.generalizability(), found.generalizability(wordings, orders)
    console = results()
    console.print(
        f"{model}: {len(found.countries)} countries ({', '.join(found.countries)}) x {wordings} wordings x "
        f"{orders} orders",
        markup=False,
        highlight=False,
    )
    table = Table(title="Standard deviations in points", box=SIMPLE_HEAD, padding=0)
    for column, head in enumerate(("", *COMPONENTS)):
        table.add_column(head, justify="right" if column else "left")
    deviations = np.sqrt(found.components)
    for d, dimension in enumerate(found.dimensions):
        table.add_row(dimension, *(points(value, digits) for value in deviations[:, d]))
    console.print(table)
    table = Table(title=f"One form, and the mean of all {wordings * orders}", box=SIMPLE_HEAD, padding=0)
    heads = ("", "generalizability", "ICC(2,1)", "ICC(2,k)", "standard error", "of differences")
    for column, head in enumerate(heads):
        table.add_column(head, justify="right" if column else "left")
    kinds = ((1, 1, False), (wordings, orders, False), (1, 1, True), (wordings, orders, True))
    errors = [np.sqrt(found.error(w, o, relative)) for w, o, relative in kinds]
    for d, dimension in enumerate(found.dimensions):
        error, mean_error, relative, mean_relative = (points(values[d], digits) for values in errors)
        table.add_row(
            dimension,
            f"{points(one[d], 2)} / {points(both[d], 2)}",
            points(single[d], 2),
            points(average[d], 2),
            f"{error} / {mean_error}",
            f"{relative} / {mean_relative}",
        )
    console.print(table)
    console.print(
        "Standard error: of a country's score over wordings and orders, in points; of differences: of its place among "
        "countries that are asked alike. Generalizability is the share of countries in what tells countries apart."
    )
