"""Who answers: a frozen language model, or a table."""

from hofsteer.respondent.base import Respondent, Responses
from hofsteer.respondent.scripted import ScriptedRespondent
from hofsteer.respondent.soft_prompt import SoftPrompt

__all__ = ["Respondent", "Responses", "ScriptedRespondent", "SoftPrompt"]
