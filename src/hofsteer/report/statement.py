"""What the tool says of itself: the same words in every report, card and table."""

from hofsteer.targets import Target

NOT_CONCLUDED = (
    "A low survey loss alone proves little: many answer patterns give the same scores, and the forms asked here are "
    "the ones that were fitted."
)


def statement(model: str, target: Target, instrument: str) -> str:
    """Return the paragraph that says what an adapter is, what it is not, and what was not shown."""
    sources = ", ".join(dict.fromkeys(target.sources.values()))
    estimated = ", ".join(d for d in target.scores if d in target.estimated)
    estimates = f", {estimated} estimated" if estimated else ""
    return (
        f"This adapter makes {model} answer {instrument} items like the published average of {target.in_sentence} "
        f"[{sources}{estimates}; n not recorded]. It is not a person from there nor that country's culture; most "
        "variation in cultural values lies within countries. It is not for predicting, profiling or judging people, "
        "does not replace respondents and is nobody's voice. Tested: the fitted forms of one survey. Not shown: other "
        "wordings, other instruments, behaviour, that the effect is specific to this country, and that no ability was "
        "damaged."
    )


MINI_STATEMENT = (
    "`mini` is a simulated respondent trained on generated text: results on it say nothing about real models."
)
