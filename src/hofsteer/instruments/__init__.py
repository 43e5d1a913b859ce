"""What is asked and how it is scored."""

from hofsteer.instruments.administration import Administration, Message
from hofsteer.instruments.base import Dimension, Instrument, Item, Option
from hofsteer.instruments.load import bundled_instruments, load_instrument

__all__ = [
    "Administration",
    "Dimension",
    "Instrument",
    "Item",
    "Message",
    "Option",
    "bundled_instruments",
    "load_instrument",
]
