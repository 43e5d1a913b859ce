"""The tables of an instrument file, and what is wrong with one in one line."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from hofsteer.errors import did_you_mean
from hofsteer.instruments.base import Zero
from hofsteer.instruments.scoring import Method

FILL_IN = "FILL IN"  # begins a text that its author has still to write

Text = Annotated[str, Field(min_length=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Table(BaseModel):
    """One table of a file, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class OptionFile(Table):
    """One option: what is shown, and what it counts."""

    text: Text
    value: Finite


def _count(options: Any) -> Any:
    """Write a list of texts as the list of options that it stands for, which count 1, 2, ... in the order given."""
    if not isinstance(options, list) or not any(isinstance(option, str) for option in options):
        return options
    if not all(isinstance(option, str) for option in options):
        raise ValueError("want options that are all texts or all { text = ..., value = ... }")
    return [{"text": text, "value": i} for i, text in enumerate(options, start=1)]


Options = Annotated[list[OptionFile], Field(min_length=2, max_length=10), BeforeValidator(_count)]


class ItemFile(Table):
    """One `[[items]]` table. Its options are those of a scale, or its own."""

    id: Text
    about: Text = Field(alias="construct")
    scale: Text | None = None
    options: Options | None = None
    wordings: Annotated[list[Text], Field(min_length=1)]
    optional: bool = False
    domain: Text | None = None
    deviation: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0


Keys = Annotated[list[Text], Field(min_length=1)]  # item ids, with a minus in front where reverse-keyed


class DimensionFile(Table):
    """One `[[dimensions]]` table. It says how it is scored in one of four ways, or `[factors]` does."""

    id: Text
    name: Text
    weights: Annotated[dict[str, Finite], Field(min_length=1)] | None = None  # points per unit of the option values
    sum: Keys | None = None
    mean: Keys | None = None
    share: Keys | None = None  # percent of answers at one of two poles
    intercept: Finite = 0.0


class FactorItemFile(Table):
    """One `[factors.items.ID]` table: how the people in the fit answered the item, and how it loads."""

    mean: Finite
    deviation: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    loadings: Annotated[list[Finite], Field(min_length=1)]  # one a dimension
    uniqueness: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None  # not needed for components


class FactorsFile(Table):
    """The `[factors]` table: dimensions that are components or factors of standardised answers."""

    method: Method
    dimensions: Annotated[list[Text], Field(min_length=1)]
    slopes: list[Finite] | None = None  # points per standard deviation of the score
    offsets: list[Finite] | None = None  # points at a score of 0
    correlations: list[list[Finite]] | None = None  # of the factors; by default none
    item_correlations: list[list[Finite]] | None = None  # in the order of the items; by default what is implied
    items: Annotated[dict[str, FactorItemFile], Field(min_length=1)]


class InstrumentFile(Table):
    """A whole instrument file. A scale is a list of texts, which count 1, 2, ... in the order given, or of options."""

    format: int
    id: Text
    aliases: list[Text] = []
    title: Text
    source: Text
    licence: Text
    language: Text
    neutral: Finite | None = None
    constants: Zero = "chosen"
    validated: bool = True
    person_centred: bool = False  # every answer counts less the mean over all items
    factors: FactorsFile | None = None
    scales: dict[str, Options] = {}
    dimensions: Annotated[list[DimensionFile], Field(min_length=1)]
    items: Annotated[list[ItemFile], Field(min_length=1)]


class VariantFile(Table):
    """A file that takes another one and scores some of its dimensions differently."""

    format: int
    extends: Text
    id: Text
    title: Text
    source: Text
    dimensions: Annotated[list[DimensionFile], Field(min_length=1)]


def first_problem(error: ValidationError, model: type[Table]) -> str:
    """Say the first of pydantic's complaints in one line, with the nearest valid key where one is unknown."""
    problem = error.errors(include_url=False)[0]
    place = ".".join(str(part + 1) if isinstance(part, int) else part for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        keys = [field.alias or name for name, field in _table_at(problem["loc"], model).model_fields.items()]
        return f"unknown key {place!r}{did_you_mean(str(problem['loc'][-1]), keys)}"
    if problem["type"] == "missing":
        return f"missing key {place!r}"
    return f"{place}: {problem['msg'].removeprefix('Value error, ')}, got {problem['input']!r}"


def _table_at(place: tuple[int | str, ...], model: type[Table]) -> type[Table]:
    """Return the kind of table that the key at `place` stands in."""
    if place[0] == "scales" or "options" in place[1:-1]:
        return OptionFile
    if place[:2] == ("factors", "items") and len(place) > 3:
        return FactorItemFile
    tables: dict[int | str, type[Table]] = {"items": ItemFile, "dimensions": DimensionFile, "factors": FactorsFile}
    return tables[place[0]] if len(place) > 1 else model
