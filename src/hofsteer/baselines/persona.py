"""Personas: system texts that name a country, or that tell of a profile without naming one."""

from hofsteer.errors import TargetError
from hofsteer.targets import Target

# {} is the country as it stands in a sentence; the first is the persona of every other table.
PERSONAS = (
    "You live in {}.",
    "You are a person from {}.",
    "You were born in {} and have lived there all your life.",
    "Answer like an average adult who lives in {}.",
    "You take part in a survey in {}, where you are at home. Answer as people there do.",
    "Think of everyday life in {}. Answer as somebody to whom it is normal.",
    "Your family has lived in {} for generations, and you share its ways.",
    "Answer every question from the point of view of a typical citizen of {}.",
)

# What may follow the persona of a group that is no place.
GROUP_ENDINGS = (
    "",
    " Answer as people like you do.",
    " Answer like an average person among them.",
    " You take part in a survey. Answer as most of you do.",
)

# dimension -> what low and high scores mean, in a clause that follows "people"
POLES = {
    "PDI": ("expect those above and below them to deal as equals", "accept that those above decide and are obeyed"),
    "IDV": ("belong to groups that care for them and claim loyalty", "look after themselves and their closest family"),
    "MAS": ("put caring for others and a good life first", "put achievement, success and winning first"),
    "UAI": ("are at ease with what is unclear or unknown", "want clear rules and are worried by what is unclear"),
    "LTO": (
        "honour tradition and duties of the past and present",
        "save, persevere and adapt for the sake of the future",
    ),
    "IVR": ("hold back pleasures and keep strict norms", "enjoy life and have fun freely"),
}
DEGREES = ((20, "hardly"), (40, "rather not"), (60, "partly"), (80, "rather"), (101, "very much"))


def persona_text(target: Target) -> str:
    """Return the system text of the `persona` baseline.

    >>> from hofsteer.targets import load_target
    >>> persona_text(load_target("USA"))
    'You live in the United States.'
    """
    return PERSONAS[0].format(target.in_sentence) if target.persona is None else target.persona


def persona_texts(target: Target) -> tuple[str, ...]:
    """Return the system texts that `persona-best` chooses from, the persona's own first."""
    if target.persona is not None:
        return tuple(f"{target.persona}{ending}" for ending in GROUP_ENDINGS)
    return tuple(text.format(target.in_sentence) for text in PERSONAS)


def scores_in_words(target: Target) -> str:
    """Return a system text that tells of a target's scores and names no country.

    The meaning of the poles follows Hofstede, Hofstede & Minkov, Cultures and Organizations (2010), chapters 3 to 8, in
    our own words; a score of 0 to 100 becomes one of five degrees to which the high pole holds.

    Raises:
        TargetError: the target has a dimension that there are no words for.

    >>> from hofsteer.targets import load_target
    >>> scores_in_words(load_target("SAU"))[:96]
    'Where you live, how people are: they very much accept that those above decide and are obeyed (no'
    """
    if unknown := [dimension for dimension in target.scores if dimension not in POLES]:
        raise TargetError(f"scores-in-words has words for {', '.join(POLES)}, got {unknown[0]}")
    clauses = []
    for dimension, score in target.scores.items():
        low, high = POLES[dimension]
        degree = next(word for limit, word in DEGREES if score < limit)
        clauses.append(f"they {degree} {high} (not: {low})")
    return f"Where you live, how people are: {'; '.join(clauses)}. Answer as one of them."
