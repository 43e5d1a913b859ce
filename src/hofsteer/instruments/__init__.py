"""What is asked and how it is scored."""

from hofsteer.instruments.administration import Administration, Message
from hofsteer.instruments.answers import AnswerTable, GroupAnswers, GroupScores, read_answers, score_table
from hofsteer.instruments.base import Dimension, Instrument, Item, Option, named_scores
from hofsteer.instruments.directions import DirectionScores, both_orders, corrected_means, direction_scores
from hofsteer.instruments.leakage import Leakage, leakage
from hofsteer.instruments.load import bundled_instruments, load_instrument

__all__ = [
    "Administration",
    "AnswerTable",
    "Dimension",
    "DirectionScores",
    "GroupAnswers",
    "GroupScores",
    "Instrument",
    "Item",
    "Leakage",
    "Message",
    "Option",
    "both_orders",
    "bundled_instruments",
    "corrected_means",
    "direction_scores",
    "leakage",
    "load_instrument",
    "named_scores",
    "read_answers",
    "score_table",
]
