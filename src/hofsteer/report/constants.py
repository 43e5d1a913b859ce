"""What is said of the constants: their values, what they rest on, and what a loss would be under others."""

from collections.abc import Mapping, Sequence

import numpy as np

from hofsteer.evaluation.base import RunEvaluation
from hofsteer.targets import Constants


def constants_note(constants: Constants, dimensions: Sequence[str]) -> str:
    """Return the constants with their source, and slope and R2 where they rest on answers."""
    if constants.tie is None:
        return f"Constants {constants.kind}: {constants.source}."
    values = ", ".join(f"{d} {value:.1f}" for d, value in zip(dimensions, constants.values, strict=True))
    left_out = f" (no usable answers: {', '.join(constants.tie.left_out)})" if constants.tie.left_out else ""
    return (
        f"Constants {constants.kind}: {values}, so that {constants.source}{left_out}. "
        f"Slope and R2 of computed on published scores: {_fits(constants, dimensions)}."
    )


def weak_constants(dimensions: Sequence[str]) -> str:
    """Return the warning for dimensions on which answers hardly go with the countries."""
    return (
        f"under personas the scores hardly follow the published ones on {', '.join(dimensions)}: no constants make "
        "them comparable, whatever the loss"
    )


def losses_note(losses: Mapping[str, float], digits: int = 1) -> str:
    """Return the loss under every policy in one line.

    >>> losses_note({"fitted": 3.04, "midpoint": 4.25})
    'Loss under each policy of constants: fitted 3.0, midpoint 4.2.'
    """
    return f"Loss under each policy of constants: {_losses(losses, digits)}."


def policies_note(evaluation: RunEvaluation) -> str | None:
    """Return the losses of all rows that move with the constants, under every policy; None if there is but one."""
    if len(evaluation.policies) < 2:
        return None
    rows = [row for row in evaluation.rows.values() if row.losses]
    said = "; ".join(f"{row.name} {_losses(row.losses, evaluation.digits)}" for row in rows)
    return f"Loss under each policy of constants: {said}."


def _losses(losses: Mapping[str, float], digits: int) -> str:
    return ", ".join(f"{kind} {loss:.{digits}f}" for kind, loss in losses.items())


def _fits(constants: Constants, dimensions: Sequence[str]) -> str:
    assert constants.tie is not None
    return ", ".join(
        f"{d} {_number(slope)} and {_number(share)}"
        for d, slope, share in zip(dimensions, constants.tie.slopes, constants.tie.r_squared, strict=True)
    )


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"
