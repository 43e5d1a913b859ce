"""What a run aims at: published country scores with their source, scale constants, and rows that need no model."""

from hofsteer.targets.base import (
    DIMENSIONS,
    Target,
    all_targets,
    alternatives,
    complete_countries,
    load_target,
)
from hofsteer.targets.constants import Constants, load_constants
from hofsteer.targets.reference import index_loss, mean_country, nearest

__all__ = [
    "DIMENSIONS",
    "Constants",
    "Target",
    "all_targets",
    "alternatives",
    "complete_countries",
    "index_loss",
    "load_constants",
    "load_target",
    "mean_country",
    "nearest",
]
