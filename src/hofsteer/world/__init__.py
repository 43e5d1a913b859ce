"""A generative model of respondents whose truth is known, and invented cases with the verdict that each deserves."""

from hofsteer.world.base import ItemModel, World, make_items, make_world
from hofsteer.world.cases import CLAIMS, KINDS, Case, load_cases, load_invented
from hofsteer.world.census import NAIVE_SHARE, WORLD_SEED, Census, Country, Style, load_census
from hofsteer.world.curves import AnswerCurves, answer_distribution
from hofsteer.world.findings import Findings, examine
from hofsteer.world.invent import invent
from hofsteer.world.knowledge import BIAS_LEFT
from hofsteer.world.respondent import Abilities, Mode, WorldRespondent

__all__ = [
    "BIAS_LEFT",
    "CLAIMS",
    "KINDS",
    "NAIVE_SHARE",
    "WORLD_SEED",
    "Abilities",
    "AnswerCurves",
    "Case",
    "Census",
    "Country",
    "Findings",
    "ItemModel",
    "Mode",
    "Style",
    "World",
    "WorldRespondent",
    "answer_distribution",
    "examine",
    "invent",
    "load_cases",
    "load_census",
    "load_invented",
    "make_items",
    "make_world",
]
