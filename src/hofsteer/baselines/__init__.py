"""Baselines that go through the same respondent as the steered model."""

from hofsteer.baselines.persona import persona_text

__all__ = ["persona_text"]
