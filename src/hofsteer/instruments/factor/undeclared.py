"""Codes that look as if they meant no answer, in files without labels that nobody named as missing."""

from collections.abc import Sequence

import numpy as np

from hofsteer.instruments.base import Floats

CODES = frozenset(
    {float(digit * ones) for digit in (6, 7, 8, 9) for ones in (1, 11, 111, 1111)}
    | {float(full - k) for full in (99, 999, 9999) for k in (1, 2, 3)}
) - {6.0}  # what surveys write for refused, not known, not asked; 6 is too often an answer
MANY_ROWS = 100  # of a sample in which a value in one or two rows is odd
FEW_ROWS = 2
NAMED = 8  # values and items that the warning names


def undeclared_codes(names: Sequence[str], answers: Floats) -> tuple[str, ...]:
    """Return a warning in one line if answers (n, I) hold values that may be codes, else nothing.

    Odd are whole negative values beside positive ones, unless the scale is symmetric; 7, 8, 9, 77, 99 and the like at
    the top with a larger step below them than elsewhere; and values in one or two of a hundred rows or more that no
    item has more often.

    >>> undeclared_codes(["q1", "q2"], np.array([[1.0, 2], [2, 99], [3, 1], [4, 2], [-1, 3]]))
    ('q1, q2 count -1 (1 row) and 99 (1 row) as answers: name them with --missing -1,99 if they are codes',)
    """
    found = [np.unique(column[~np.isnan(column)], return_counts=True) for column in answers.T]
    often = {v for values, counts in found for v in values[counts > FEW_ROWS].tolist()}
    odd = []
    for values, counts in found:
        few = {v for v in values[counts <= FEW_ROWS].tolist() if v not in often}
        seldom = few if len(answers) >= MANY_ROWS and 2 * len(few) < len(values) else set()
        odd.append(sorted(_negative(values.tolist()) | _above_a_gap(values.tolist()) | seldom))
    items = [name for name, mine in zip(names, odd, strict=True) if mine]
    if not items:
        return ()
    codes = sorted({v for mine in odd for v in mine})
    there = [np.any([answers[:, i] == v for i, mine in enumerate(odd) if v in mine], axis=0).sum() for v in codes]
    counted = [f"{v:g} ({n} row{'s' if n > 1 else ''})" for v, n in zip(codes, there, strict=True)]
    if len(codes) > NAMED:
        counted = [*counted[:NAMED], f"{len(codes) - NAMED} more"]
    said = " and ".join(filter(None, (", ".join(counted[:-1]), counted[-1])))
    whole = len(items) == len(names) > 2
    others = [f"{len(items) - NAMED} more items"] if len(items) > NAMED else []
    listed = f"{names[0]} .. {names[-1]}" if whole else ", ".join([*items[:NAMED], *others])
    count = "counts" if len(items) == 1 else "count"
    answer, them, they = (
        ("as an answer", "it", "it is a code") if len(codes) == 1 else ("as answers", "them", "they are codes")
    )
    named = ",".join(f"{v:g}" for v in codes[:NAMED])
    return (f"{listed} {count} {said} {answer}: name {them} with --missing {named} if {they}",)


def _negative(values: list[float]) -> set[float]:
    below, above = {v for v in values if v < 0}, {v for v in values if v > 0}
    whole = all(v.is_integer() for v in below)
    return below if above and whole and {-v for v in below} != above else set()


def _above_a_gap(values: list[float]) -> set[float]:
    """Return the code-like values above all others; ascending, each against the largest step between those kept."""
    kept: list[float] = []
    odd: set[float] = set()
    for v in (v for v in values if v >= 0):
        if v in CODES and kept and v - kept[-1] > max(np.diff(kept), default=1.0):
            odd.add(v)
        else:
            kept.append(v)
    return {v for v in odd if v > kept[-1]}
