"""From an administration to token ids, and where in them the answer options are read.

Prompt, cue and option are tokenised jointly, because a tokenizer may join or split them: the tokens of the options are
what follows the longest common prefix of the joint strings. Rendering happens once; what was rendered is stored with a
run, since some chat templates print today's date.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from hofsteer.errors import ModelError
from hofsteer.instruments import Administration, Item, Message
from hofsteer.instruments.base import Floats


class Read(NamedTuple):
    """One log-probability to look up: of `token`, predicted at `position` of row `row`."""

    row: int
    position: int
    token: int


@dataclass(frozen=True)
class Rendered:
    """One administration as token ids. The log-probability of an option is the sum over its reads."""

    rows: tuple[tuple[int, ...], ...]
    reads: tuple[tuple[tuple[Read, ...], ...], ...]  # item, canonical option, its tokens
    notes: tuple[str, ...] = ()  # what the user should know, one line each

    def to_json(self) -> dict[str, Any]:
        """Return lists that `from_json` turns back into the same object."""
        return {"rows": self.rows, "reads": self.reads, "notes": self.notes}

    @classmethod
    def from_json(cls, table: dict[str, Any]) -> "Rendered":
        """Return what `to_json` was called on."""
        return cls(
            rows=tuple(tuple(row) for row in table["rows"]),
            reads=tuple(
                tuple(tuple(Read(*read) for read in option) for option in options) for options in table["reads"]
            ),
            notes=tuple(table["notes"]),
        )


class ChatTokenizer(Protocol):
    """What rendering needs of a transformers tokenizer."""

    chat_template: str | None
    bos_token: str | None
    eos_token_id: int | None

    def __call__(self, text: list[str], add_special_tokens: bool) -> Any:
        """Return a mapping whose `input_ids` are lists of token ids."""

    def apply_chat_template(
        self, conversation: list[dict[str, str]], tokenize: bool, add_generation_prompt: bool, **arguments: Any
    ) -> Any:
        """Return the conversation as one string."""


def render(
    administration: Administration,
    tokenizer: ChatTokenizer,
    template: Mapping[str, Any] | None = None,
    items: Sequence[Item] | None = None,
    history: Sequence[tuple[str, int]] = (),
) -> Rendered:
    """Return the token ids of every item of an administration, and where its options are read.

    Args:
        administration: what is put.
        tokenizer: of the model.
        template: arguments of its chat template, such as `{"enable_thinking": False}`.
        items: those that are put; by default all.
        history: what was asked before each of them in a conversation, as `Administration.messages` takes it.
    """
    rows: list[tuple[int, ...]] = []
    reads = []
    notes: dict[str, None] = {}
    for item in administration.instrument.items if items is None else items:
        text, said = prompt_text(administration.messages(item, history), tokenizer, template)
        notes.update(dict.fromkeys(said))
        common, joint = _option_tokens(text + administration.cue, administration.option_labels(item), tokenizer)
        by_presented = _reads(rows, common, joint)
        reads.append(tuple(by_presented[k] for k in _places(administration, item)))
    return Rendered(tuple(rows), tuple(reads), tuple(notes))


def by_option(rendered: Rendered, found: Mapping[Read, Floats], shape: tuple[int, int, int]) -> Floats:
    """Return the log-probability of each option (P, I, K), the sum over its reads (P,); -inf where there is none."""
    log_probabilities = np.full(shape, -np.inf)
    for i, options in enumerate(rendered.reads):
        for k, reads in enumerate(options):
            log_probabilities[:, i, k] = sum(found[read] for read in reads)
    return log_probabilities


def prompt_text(
    messages: Sequence[Message], tokenizer: ChatTokenizer, template: Mapping[str, Any] | None = None
) -> tuple[str, list[str]]:
    """Return the chat as one string that ends where the answer begins, and notes on what had to be changed."""
    if tokenizer.chat_template is None:
        blocks = [message.content for message in messages]
        return (tokenizer.bos_token or "") + "\n\n".join([*blocks, "Answer: "]), [
            "the tokenizer has no chat template: items are put as plain text that ends in 'Answer: '"
        ]
    try:
        text = _apply_template(messages, tokenizer, template or {})
    except Exception as error:  # templates raise jinja2's TemplateError; what else they raise is theirs
        if messages[0].role != "system":
            raise ModelError(f"the chat template cannot render a user message: {error}") from error
        verb = "refuses"
    else:
        if messages[0].role != "system" or messages[0].content.strip() in text:
            return text, []
        verb = "drops"
    system, user, *others = messages
    merged = [Message("user", f"{system.content}\n\n{user.content}"), *others]
    text, notes = prompt_text(merged, tokenizer, template)
    return text, [*notes, f"the chat template {verb} a system message: it stands at the head of the user message"]


def _apply_template(messages: Sequence[Message], tokenizer: ChatTokenizer, template: Mapping[str, Any]) -> str:
    conversation = [message._asdict() for message in messages]
    return str(tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True, **template))


def _option_tokens(prompt: str, labels: Sequence[str], tokenizer: ChatTokenizer) -> tuple[int, list[tuple[int, ...]]]:
    """Return where the joint token ids of prompt + label part, and these ids, one tuple a label."""
    joint = [
        tuple(ids) for ids in tokenizer([prompt + label for label in labels], add_special_tokens=False)["input_ids"]
    ]
    if any(a != b and b[: len(a)] == a for a in joint for b in joint):
        # "1" begins "10": without an end, P("1") would contain P("10")
        if tokenizer.eos_token_id is None:
            raise ModelError("one option's tokens begin another's and the tokenizer has no end-of-sequence token")
        joint = [(*ids, tokenizer.eos_token_id) for ids in joint]
    if len(set(joint)) < len(joint):
        raise ModelError(f"the tokenizer gives two of the options {', '.join(labels)} the same tokens")
    common = next((i for i, ids in enumerate(zip(*joint, strict=False)) if len(set(ids)) > 1), 0)
    if common == 0:
        raise ModelError("the prompt has no token before the answer options")
    head = joint[0][:common]  # the same numbers for all, so that long prompts are held once
    return common, [head + ids[common:] for ids in joint]


def _reads(rows: list[tuple[int, ...]], common: int, joint: list[tuple[int, ...]]) -> list[tuple[Read, ...]]:
    """Add to `rows` the contexts that the options need; return the reads of each option."""
    contexts = {ids[:-1] for ids in joint}
    needed = sorted(c for c in contexts if not any(c != d and d[: len(c)] == c for d in contexts))
    first = len(rows)
    rows.extend(needed)
    reads = []
    for ids in joint:
        row = next(i for i, context in enumerate(needed) if context[: len(ids) - 1] == ids[:-1])
        reads.append(tuple(Read(first + row, position - 1, ids[position]) for position in range(common, len(ids))))
    return reads


def _places(administration: Administration, item: Item) -> list[int]:
    """Where each canonical option is shown: the inverse of `presented`."""
    presented = administration.presented(item)
    return [presented.index(k) for k in range(len(presented))]
