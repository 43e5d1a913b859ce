"""What is asked and how it is scored."""

from hofsteer.instruments.administration import Administration, Message
from hofsteer.instruments.answers import AnswerTable, GroupAnswers, GroupScores, read_answers, score_table
from hofsteer.instruments.base import Dimension, Instrument, Item, Option, named_scores
from hofsteer.instruments.load import bundled_instruments, load_instrument

__all__ = [
    "Administration",
    "AnswerTable",
    "Dimension",
    "GroupAnswers",
    "GroupScores",
    "Instrument",
    "Item",
    "Message",
    "Option",
    "bundled_instruments",
    "load_instrument",
    "named_scores",
    "read_answers",
    "score_table",
]
