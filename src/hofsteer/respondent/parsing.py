"""What a generated text says: a label, an option in words, a refusal, or nothing that can be used."""

import re
from collections.abc import Sequence
from typing import Literal

Said = int | Literal["refused", "unparsable"]

REFUSALS = re.compile(
    r"\b(I\s+(can(no|')t|can not|am unable|am not able|won't|will not|must decline|refuse|do(n't| not) have)"
    r"|I'm\s+(sorry|unable|not able|just an?|an AI)|sorry,? but|as an? (AI|artificial|language model|assistant)"
    r"|I am (sorry|an AI|just an?)|not (comfortable|appropriate))\b",
    re.IGNORECASE,
)


def parse_answer(text: str, labels: Sequence[str], options: Sequence[str]) -> Said:
    """Return the place of the option that a text chooses, or why it chooses none.

    In this order: the text is or begins with a label; the whole of it is an option's words; exactly one label stands in
    it by itself; exactly one option's words stand in it. A text that does none of that is a refusal if it sounds like
    one.

    Args:
        text: what the model said, without special tokens.
        labels: of the options, in the order shown.
        options: their words, in the order shown.

    >>> words = ["never", "rarely", "now and then", "often", "all the time"]
    >>> [parse_answer(text, "12345", words) for text in ("2", " **4**. often", "Rarely.", "My answer is 3", "1 or 2?")]
    [1, 3, 1, 2, 'unparsable']
    >>> parse_answer("I'm sorry, but as an AI I have no job.", "12345", words)
    'refused'
    """
    plain = text.strip().strip("*_`\"'([{ \n")
    for place in sorted(range(len(labels)), key=lambda k: -len(labels[k])):  # "10" before "1"
        if re.match(rf"{re.escape(labels[place])}(?![A-Za-z0-9])(?!\s*(?:or|-|to|/)\s)", plain):
            return place
    words = [option.casefold() for option in options]
    if (said := plain.rstrip(".!*_`\"')]} \n").casefold()) in words:
        return words.index(said)
    found = {
        k for k, label in enumerate(labels) if re.search(rf"(?<![A-Za-z0-9]){re.escape(label)}(?![A-Za-z0-9])", text)
    }
    refused = REFUSALS.search(text) is not None
    if labels[0].isalpha():
        found -= {k for k, label in enumerate(labels) if label in "AI"}  # also words of their own
    if len(found) == 1 and not refused:
        return found.pop()
    if not found and not refused:
        said = plain.casefold()
        in_words = [k for k, option in enumerate(words) if re.search(rf"(?<!\w){re.escape(option)}(?!\w)", said)]
        # "agree" also stands in "fully agree": the longest that covers the others counts
        longest = [k for k in in_words if not any(k != j and words[k] in words[j] for j in in_words)]
        if len(longest) == 1:
            return longest[0]
    return "refused" if refused else "unparsable"
