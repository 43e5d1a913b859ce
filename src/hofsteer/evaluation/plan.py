"""What is fixed before a search: the held-out forms, margins, seeds, controls and constants, with a hash and a time.

A plan that is written first cannot be bent to the result. `hofsteer plan` writes it; `align`, `evaluate` and `compare`
take it. What was done out of order is not forbidden, and is called exploratory: a run older than its plan, held-out
data that were opened before the search ended, a plan that was changed.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hofsteer.files import hash_bytes

FORMAT = 1
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Margins(_Table):
    """The lines that decide; defaults of the design, to be argued with before a search and never after."""

    seeds_for_a_verdict: Annotated[int, Field(ge=3)] = 10
    # gates
    valid_mass: Share = 0.90  # mean over items
    item_valid_mass: Share = 0.75  # of each item
    refused: Share = 0.10  # of generated answers, unparsable ones among them
    text_gap: Positive = 10.0  # points between scores of first tokens and of texts, beyond the read-out floor
    order: Share = 0.7  # correlation of item means, straight and reversed
    style_drift: Positive = 0.3  # steps of a five-point scale, on content-free items
    room: Positive = 10.0  # points, of the naive loss; the noise floor where that is larger
    # claims
    loss: Positive = 10.0  # points, upper bound on held-out forms
    of_naive: Share = 0.5  # of the naive loss, at most
    nearest: Annotated[int, Field(ge=1)] = 3  # the target is among so many nearest countries
    gain: Share = 0.10  # G, lower bound on every other instrument
    controls: Annotated[int, Field(ge=19)] = 39  # K
    exceeded: Annotated[float, Field(gt=0, lt=1)] = 0.05  # share of controls that come as near
    choice_share: Share = 0.5  # of the way that a persona moves choices
    lost: Share = 0.02  # of facts, refusals of harmful requests, even-handedness
    kl: Positive = 0.05  # nats a token on neutral prompts, median
    variance: Share = 0.5  # of the naive answers' variance, at least


class HeldOut(_Table):
    """The factorial of forms that no search sees: every wording in every order, numbering and label style."""

    wordings: Annotated[tuple[int, ...], Field(min_length=1)] = (2, 3)
    orders: Annotated[tuple[Literal["listed", "reversed"], ...], Field(min_length=1)] = ("listed", "reversed")
    numberings: Annotated[tuple[Literal["rising", "falling"], ...], Field(min_length=1)] = ("rising",)
    labels: Annotated[tuple[Literal["digits", "letters"], ...], Field(min_length=1)] = ("digits",)
    systems: Annotated[tuple[str, ...], Field(min_length=1)] = ("",)  # system texts; "" is none


class Plan(_Table):
    """A whole plan."""

    format: int = FORMAT
    written: str  # UTC, ISO 8601
    model: str
    targets: Annotated[tuple[str, ...], Field(min_length=1)]
    instrument: str = "vsm13"
    constants: str | None = None
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = tuple(range(10))
    settings: dict[str, Any] = {}  # of every search, by dotted key
    held_out: HeldOut = HeldOut()
    instruments: tuple[str, ...] = ("ivs10",)  # the other instruments, those with human country data
    choices: str | None = "vignettes"
    margins: Margins = Margins()

    @property
    def hash(self) -> str:
        """SHA-256 of all but the time: what was decided, not when."""
        table = self.model_dump(mode="json", exclude={"written"})
        return hash_bytes(json.dumps(table, sort_keys=True, separators=(",", ":")).encode())
