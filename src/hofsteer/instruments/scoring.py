"""Scoring models that an instrument file can declare; each becomes points per unit of the item means, and an intercept.

Sums and means with reverse keys, shares of a pole, component and factor scores, and person-centring are all linear in a
respondent's answers, and so in the item means of a group. What is declared is therefore turned into weights once, when
the file is loaded; nothing else has to know of it.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from hofsteer.errors import InstrumentError
from hofsteer.instruments.base import Floats, Item

Method = Literal["components", "regression", "bartlett"]
Line = tuple[dict[str, float], float]  # item id -> points per unit of its option values; intercept in points

LEAST_EIGENVALUE = 1e-8  # of a matrix that is inverted


def keyed_line(keys: Sequence[str], items: Mapping[str, Item], divisor: float = 1.0) -> Line:
    """Return the sum of keyed answers over `divisor`, the number of items for their mean.

    A key is the id of an item, with a minus in front if the item is reverse-keyed: its answer then counts
    lowest + highest - answer.

    Raises:
        InstrumentError: an unknown item, or one twice.

    >>> from hofsteer.instruments.base import Option
    >>> item = Item("q", "", ("?",), tuple(Option(str(v), v) for v in (1.0, 2.0, 3.0, 4.0, 5.0)))
    >>> keyed_line(["a", "-b"], {"a": item, "b": item}, divisor=2)
    ({'a': 0.5, 'b': -0.5}, 3.0)
    """
    weights: dict[str, float] = {}
    intercept = 0.0
    for key in keys:
        reverse = key.startswith("-") and key not in items
        name = key[1:] if reverse else key
        item = _scored(name, items, weights)
        weights[name] = -1.0 / divisor if reverse else 1.0 / divisor
        if reverse:
            values = [option.value for option in item.options]
            intercept += (min(values) + max(values)) / divisor
    return weights, intercept


def share_line(keys: Sequence[str], items: Mapping[str, Item]) -> Line:
    """Return the share, in percent, of answers at the pole that counts more; with a minus at the one that counts less.

    Raises:
        InstrumentError: an unknown item, one twice, or one whose options count more than two different values.
    """
    weights: dict[str, float] = {}
    intercept = 0.0
    for key in keys:
        reverse = key.startswith("-") and key not in items
        name = key[1:] if reverse else key
        values = sorted({option.value for option in _scored(name, items, weights).options})
        if len(values) != 2:
            raise InstrumentError(
                f"a share wants items whose options count one of two values, such as 0 and 1; "
                f"those of {name} count {', '.join(f'{value:g}' for value in values)}"
            )
        step = 100.0 / (len(keys) * (values[1] - values[0]))
        weights[name] = -step if reverse else step
        intercept += step * values[1] if reverse else -step * values[0]
    return weights, intercept


def _scored(name: str, items: Mapping[str, Item], taken: Mapping[str, float]) -> Item:
    if name not in items:
        raise KeyError(name)
    if name in taken:
        raise InstrumentError(f"want each item once, got {name} twice")
    return items[name]


def score_weights(
    method: Method,
    loadings: Floats,
    uniquenesses: Floats,
    factor_correlations: Floats,
    item_correlations: Floats | None = None,
) -> Floats:
    """Return the weights (I, M) on standardised answers that give factor or component scores.

    With pattern loadings L (I, M), factor correlations P (M, M), uniquenesses U (I,) on the diagonal and item
    correlations R, by default those that the model implies, L P L' + U:

        components    L (L' L)^-1                 of principal components, rotated orthogonally or not at all
        regression    R^-1 L P                    Thurstone (1935): least error, but smaller than the factor
        bartlett      U^-1 L (L' U^-1 L)^-1       Bartlett (1937): unbiased given the factor, with more error

    Raises:
        InstrumentError: shapes do not fit, a uniqueness is not above 0 where the method divides by it, or a matrix that
            is to be inverted is not positive definite.

    >>> score_weights("components", np.array([[0.8], [0.8]]), np.full(2, 0.36), np.eye(1)).ravel().round(4)
    array([0.625, 0.625])
    """
    items, factors = loadings.shape
    if uniquenesses.shape != (items,) or factor_correlations.shape != (factors, factors):
        raise InstrumentError(
            f"want {items} uniquenesses and factor correlations {factors} x {factors}, got {uniquenesses.shape} and "
            f"{factor_correlations.shape}"
        )
    if method == "components":
        return np.asarray(np.linalg.solve(_definite(loadings.T @ loadings, "L'L of the components"), loadings.T).T)
    _check_correlations(factor_correlations, "factor correlations")
    if method == "bartlett":
        if (uniquenesses <= 0).any():
            raise InstrumentError(
                f"Bartlett's scores want uniquenesses above 0, got {uniquenesses.min():.4g} (a Heywood case); "
                "use regression scores or fewer factors"
            )
        scaled = loadings / uniquenesses[:, None]
        return np.asarray(np.linalg.solve(_definite(loadings.T @ scaled, "L'U^-1 L of the factors"), scaled.T).T)
    if item_correlations is None:
        item_correlations = loadings @ factor_correlations @ loadings.T + np.diag(uniquenesses)
        name = "the item correlations that the factors imply"
    else:
        _check_correlations(item_correlations, name := "item correlations")
    if item_correlations.shape != (items, items):
        raise InstrumentError(f"want item correlations {items} x {items}, got {item_correlations.shape}")
    return np.asarray(np.linalg.solve(_definite(item_correlations, name), loadings @ factor_correlations))


def person_centred(line: Line, items: Sequence[Item]) -> Line:
    """Return the line that gives, on raw answers, what `line` gives on answers less their mean over `items`.

    Centring takes out that a respondent agrees with everything more than others do (as is customary for the portrait
    values questionnaire, Schwartz 1992).
    """
    weights, intercept = line
    shift = sum(weights.values()) / len(items)
    return {item.id: weights.get(item.id, 0.0) - shift for item in items}, intercept


def check_one_scale(items: Sequence[Item]) -> None:
    """Raise if answers cannot be averaged over items because their options count from and to different values."""
    ends = {item.id: (min(o.value for o in item.options), max(o.value for o in item.options)) for item in items}
    first = items[0].id
    for name, (lowest, highest) in ends.items():
        if (lowest, highest) != ends[first]:
            raise InstrumentError(
                f"person-centring wants all items on one scale: {first} counts {ends[first][0]:g} to "
                f"{ends[first][1]:g}, {name} {lowest:g} to {highest:g}"
            )


def _check_correlations(matrix: Floats, name: str) -> None:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InstrumentError(f"want {name} as a square matrix, got {matrix.shape}")
    if not np.allclose(matrix, matrix.T, rtol=0, atol=1e-9) or not np.allclose(np.diag(matrix), 1, rtol=0, atol=1e-9):
        raise InstrumentError(f"want {name} that are symmetric with 1 on the diagonal")
    _definite(matrix, name)


def _definite(matrix: Floats, name: str) -> Floats:
    least = float(np.linalg.eigvalsh(matrix)[0])
    if least < LEAST_EIGENVALUE:
        raise InstrumentError(f"want a positive definite matrix, got a smallest eigenvalue of {least:.3g} for {name}")
    return matrix
