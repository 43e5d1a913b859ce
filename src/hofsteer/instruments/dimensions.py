"""From the tables of an instrument file that say how dimensions are scored to the dimensions themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hofsteer.errors import InstrumentError, did_you_mean
from hofsteer.instruments.base import Dimension, Floats, Item
from hofsteer.instruments.format import DimensionFile, FactorsFile
from hofsteer.instruments.scoring import Line, check_one_scale, keyed_line, person_centred, score_weights, share_line


def build_dimensions(
    tables: Sequence[DimensionFile],
    items: Sequence[Item],
    optional: Sequence[Item],
    path: Path,
    factors: FactorsFile | None = None,
    centred: bool = False,
) -> tuple[Dimension, ...]:
    """Return the dimensions that a file declares, each as a weighted sum of item means.

    Raises:
        InstrumentError: a declaration is incomplete, or not of this instrument's items; the file is named.
    """
    by_id = {item.id: item for item in items}
    _refuse_unknown_factors(factors, tables, path)
    by_factor = {} if factors is None else _factor_lines(factors, by_id, optional, path)
    dimensions = []
    for d in tables:
        given = [way for way in ("weights", "sum", "mean", "share") if getattr(d, way) is not None]
        given += ["[factors]"] if d.id in by_factor else []
        if len(given) != 1:
            raise InstrumentError(
                f"{path.name}: dimension {d.id} wants one of weights, sum, mean, share or a place in [factors], "
                f"got {' and '.join(given) or 'none'}"
            )
        try:
            weights, intercept = by_factor[d.id] if d.id in by_factor else _line(d, by_id)
        except KeyError as error:
            raise _unknown_item(d.id, str(error.args[0]), by_id, optional, path) from None
        except InstrumentError as error:
            raise InstrumentError(f"{path.name}: dimension {d.id}: {error}") from None
        dimensions.append(Dimension(d.id, d.name, tuple(weights.items()), intercept + float(d.intercept)))
    return _centre(dimensions, items, path) if centred else tuple(dimensions)


def _line(table: DimensionFile, items: Mapping[str, Item]) -> Line:
    """Return the weights and the intercept of a dimension; KeyError for an unknown item."""
    if table.sum is not None:
        return keyed_line(table.sum, items)
    if table.mean is not None:
        return keyed_line(table.mean, items, len(table.mean))
    if table.share is not None:
        return share_line(table.share, items)
    assert table.weights is not None
    return {items[name].id: float(weight) for name, weight in table.weights.items()}, 0.0


def _unknown_item(
    dimension: str, name: str, items: Mapping[str, Item], optional: Sequence[Item], path: Path
) -> InstrumentError:
    place = f"{path.name}: the formula of {dimension} names item {name!r}, which is"
    if name in [item.id for item in optional]:
        return InstrumentError(f"{place} optional; want one that is always asked")
    return InstrumentError(f"{place} not in the instrument{did_you_mean(name, items)}")


def _refuse_unknown_factors(factors: FactorsFile | None, tables: Sequence[DimensionFile], path: Path) -> None:
    ids = [table.id for table in tables]
    for name in factors.dimensions if factors else []:
        if name not in ids:
            raise InstrumentError(
                f"{path.name}: [factors] names dimension {name!r}, which is not there{did_you_mean(name, ids)}"
            )


def _factor_lines(
    factors: FactorsFile, items: Mapping[str, Item], optional: Sequence[Item], path: Path
) -> dict[str, Line]:
    """Return dimension id -> weights and intercept, on raw answers, of the dimensions that `[factors]` scores."""
    count, names = len(factors.dimensions), list(factors.items)
    for name, item in factors.items.items():
        if name not in items:
            raise _unknown_item("[factors]", name, items, optional, path)
        if len(item.loadings) != count:
            raise InstrumentError(
                f"{path.name}: [factors] item {name} wants {count} loadings, one a dimension, got {len(item.loadings)}"
            )
        if item.uniqueness is None and factors.method != "components":
            raise InstrumentError(f"{path.name}: [factors] item {name} wants a uniqueness for {factors.method} scores")
    for key, values in (("slopes", factors.slopes), ("offsets", factors.offsets)):
        if values is not None and len(values) != count:
            raise InstrumentError(f"{path.name}: [factors] wants {count} {key}, got {len(values)}")
    fitted = factors.items.values()
    try:
        weights = score_weights(
            factors.method,
            np.array([item.loadings for item in fitted], dtype=np.float64),
            np.array([item.uniqueness or 0.0 for item in fitted], dtype=np.float64),
            np.eye(count) if factors.correlations is None else _matrix(factors.correlations, "correlations"),
            None if factors.item_correlations is None else _matrix(factors.item_correlations, "item_correlations"),
        )
    except InstrumentError as error:
        raise InstrumentError(f"{path.name}: [factors]: {error}") from None
    weights *= np.array(factors.slopes or [1.0] * count) / np.array([[item.deviation] for item in fitted])
    intercepts = np.array(factors.offsets or [0.0] * count) - np.array([item.mean for item in fitted]) @ weights
    return {
        dimension: (dict(zip(names, weights[:, m].tolist(), strict=True)), float(intercepts[m]))
        for m, dimension in enumerate(factors.dimensions)
    }


def _matrix(rows: list[list[float]], name: str) -> Floats:
    if any(len(row) != len(rows) for row in rows):
        raise InstrumentError(f"want {name} as a square matrix, got rows of {sorted({len(row) for row in rows})}")
    return np.array(rows, dtype=np.float64)


def _centre(dimensions: Sequence[Dimension], items: Sequence[Item], path: Path) -> tuple[Dimension, ...]:
    try:
        check_one_scale(items)
    except InstrumentError as error:
        raise InstrumentError(f"{path.name}: {error}") from None
    lines = (person_centred((dict(d.weights), d.intercept), items) for d in dimensions)
    return tuple(
        replace(d, weights=tuple(weights.items()), intercept=intercept)
        for d, (weights, intercept) in zip(dimensions, lines, strict=True)
    )
