"""Personas: a system text that names a country."""

from hofsteer.targets import Target


def persona_text(target: Target) -> str:
    """Return the system text of the `persona` baseline.

    >>> from hofsteer.targets import load_target
    >>> persona_text(load_target("USA"))
    'You live in the United States.'
    """
    return f"You live in {target.in_sentence}."
