"""How an item is put to a respondent: wording, order of the options, their labels, what stands before."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from hofsteer.errors import InstrumentError
from hofsteer.instruments.base import Instrument, Item

Order = Literal["listed", "reversed"]
Labels = Literal["digits", "letters"]

INSTRUCTION = {"digits": "Reply with one number only.", "letters": "Reply with one letter only."}


class Message(NamedTuple):
    """One chat message; role is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class Administration:
    """One fixed form of an instrument. Two equal administrations ask exactly the same."""

    instrument: Instrument
    wording: int = 0  # index into each item's wordings
    order: Order = "listed"  # listed as in the instrument file, or reversed; labels always run upwards
    labels: Labels = "digits"
    system: str | None = None  # system text, such as a persona
    cue: str = ""  # what the assistant's answer begins with, before the label

    def __post_init__(self) -> None:
        for name, valid in (("order", get_args(Order)), ("labels", get_args(Labels))):
            if (value := getattr(self, name)) not in valid:
                raise InstrumentError(f"want {name} {' or '.join(valid)}, got {value!r}")
        fewest = min(len(item.wordings) for item in self.instrument.items)
        if not 0 <= self.wording < fewest:
            raise InstrumentError(
                f"{self.instrument.id} has wordings 0 to {fewest - 1} for every item, wanted wording {self.wording}"
            )

    def presented(self, item: Item) -> tuple[int, ...]:
        """Canonical option indices in the order they are shown."""
        indices = tuple(range(len(item.options)))
        return indices if self.order == "listed" else indices[::-1]

    def option_labels(self, item: Item) -> tuple[str, ...]:
        """The strings a respondent may answer with, in presented order: 1, 2, ... or A, B, ..."""
        count = len(item.options)
        return tuple(str(i + 1) if self.labels == "digits" else chr(ord("A") + i) for i in range(count))

    def messages(self, item: Item) -> list[Message]:
        """The chat that puts `item`, up to where the respondent answers with one of `option_labels`."""
        shown = zip(self.option_labels(item), self.presented(item), strict=True)
        lines = [item.wordings[self.wording], *(f"{label}. {item.options[k].text}" for label, k in shown)]
        user = Message("user", "\n".join([*lines, INSTRUCTION[self.labels]]))
        return [user] if self.system is None else [Message("system", self.system), user]
