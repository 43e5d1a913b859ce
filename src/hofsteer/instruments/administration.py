"""How an item is put to a respondent: wording, order of the options, their labels, what stands before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np

from hofsteer.errors import InstrumentError
from hofsteer.instruments.base import Instrument, Item

Order = Literal["listed", "reversed"]
Labels = Literal["digits", "letters", "words"]
Numbering = Literal["rising", "falling"]
Layout = Literal["stem-first", "scale-first"]

SHUFFLE = 43  # random stream
SCALE_FIRST = "Answer what comes below on this scale:"
INSTRUCTION = {
    "digits": "Reply with one number only.",
    "letters": "Reply with one letter only.",
    "words": "Reply with one of these answers only.",
}


class Message(NamedTuple):
    """One chat message; role is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class Administration:
    """One fixed form of an instrument. Two equal administrations ask exactly the same."""

    instrument: Instrument
    wording: int = 0  # index into each item's wordings
    order: Order = "listed"  # listed as in the instrument file, or reversed
    labels: Labels = "digits"  # words: the options' own texts, with no label before them
    numbering: Numbering = "rising"  # labels run upwards down the list, or downwards: 5, 4, 3, 2, 1
    layout: Layout = "stem-first"  # scale-first: items that share a scale begin alike, which is faster to answer
    system: str | None = None  # system text, such as a persona
    cue: str = ""  # what the assistant's answer begins with, before the label
    # Questions that are put first, with their answers: (item id, canonical option index). Those that share a dimension
    # with the item that is asked are left out, so that no example says anything of its score.
    examples: tuple[tuple[str, int], ...] = ()
    # All items in one chat: each is asked after those before it and the answers that were likeliest there. By default
    # every item has a chat of its own.
    conversation: bool = False
    shuffle: int | None = None  # seed of the order of the items in a conversation; None: that of the instrument

    def __post_init__(self) -> None:
        for name, literal in (("order", Order), ("labels", Labels), ("numbering", Numbering), ("layout", Layout)):
            valid = get_args(literal)
            if (value := getattr(self, name)) not in valid:
                raise InstrumentError(f"want {name} {' or '.join(valid)}, got {value!r}")
        if self.conversation and self.examples:
            raise InstrumentError("a conversation has its own answers before an item: want it without examples")
        if self.shuffle is not None and (not self.conversation or self.shuffle < 0):
            raise InstrumentError(
                "items are shuffled in a conversation, by a seed of 0 or more; "
                f"got {self.shuffle}{'' if self.conversation else ' without one'}"
            )
        fewest = min(len(item.wordings) for item in self.instrument.items)
        if not 0 <= self.wording < fewest:
            raise InstrumentError(
                f"{self.instrument.id} has wordings 0 to {fewest - 1} for every item, wanted wording {self.wording}"
            )
        for item_id, option in self.examples:
            if item_id not in self.instrument.item_ids:
                raise InstrumentError(f"{self.instrument.id} has no item {item_id!r} to give as an example")
            if not 0 <= option < (options := len(self.instrument.item(item_id).options)):
                raise InstrumentError(f"want option 0 to {options - 1} of {item_id} as an example, got {option}")

    @property
    def sequence(self) -> tuple[int, ...]:
        """Item indices in the order in which a conversation asks them."""
        n = len(self.instrument.items)
        if self.shuffle is None:
            return tuple(range(n))
        return tuple(np.random.default_rng([self.shuffle, SHUFFLE]).permutation(n).tolist())

    def presented(self, item: Item) -> tuple[int, ...]:
        """Canonical option indices in the order they are shown."""
        indices = tuple(range(len(item.options)))
        return indices if self.order == "listed" else indices[::-1]

    def option_labels(self, item: Item) -> tuple[str, ...]:
        """The strings a respondent may answer with, in presented order: 1, 2, ... or B, A, or alike."""
        if self.labels == "words":
            return tuple(item.options[k].text for k in self.presented(item))
        places = range(len(item.options))
        rising = tuple(str(i + 1) if self.labels == "digits" else chr(ord("A") + i) for i in places)
        return rising if self.numbering == "rising" else rising[::-1]

    def messages(self, item: Item, history: Sequence[tuple[str, int]] = ()) -> list[Message]:
        """The chat that puts `item`, up to where the respondent answers with one of `option_labels`.

        Args:
            item: what is asked.
            history: what was asked before in a conversation, as `examples` are given.
        """
        chat = [] if self.system is None else [Message("system", self.system)]
        for item_id, option in self.examples:
            if not self._linked(item_id, item.id):
                chat += self._answered(item_id, option)
        for item_id, option in history:
            chat += self._answered(item_id, option)
        return [*chat, self._question(item)]

    def _answered(self, item_id: str, option: int) -> list[Message]:
        item = self.instrument.item(item_id)
        label = self.option_labels(item)[self.presented(item).index(option)]
        return [self._question(item), Message("assistant", f"{self.cue}{label}")]

    def _question(self, item: Item) -> Message:
        stem, scale = item.wordings[self.wording], list(self.option_labels(item))
        if self.labels != "words":
            shown = zip(scale, self.presented(item), strict=True)
            scale = [f"{label}. {item.options[k].text}" for label, k in shown]
        lines = [stem, *scale] if self.layout == "stem-first" else [SCALE_FIRST, *scale, stem]
        return Message("user", "\n".join([*lines, INSTRUCTION[self.labels]]))

    def _linked(self, one: str, other: str) -> bool:
        """Whether two items are one, or enter one dimension."""
        weights = [dict(dimension.weights) for dimension in self.instrument.dimensions]
        return one == other or any(one in entering and other in entering for entering in weights)
