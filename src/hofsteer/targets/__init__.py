"""What a run aims at: published country scores with their source, scale constants, and rows that need no model."""

from hofsteer.targets.base import (
    DIMENSIONS,
    Target,
    all_targets,
    alternatives,
    complete_countries,
    load_target,
)
from hofsteer.targets.constants import (
    Constants,
    Tie,
    anchors,
    constants_for,
    load_constants,
    policy_for,
    tie_constants,
    tied_countries,
)
from hofsteer.targets.coordinates import (
    COORDINATES,
    PROJECTION,
    all_coordinates,
    coordinate_alternatives,
    load_coordinates,
    map_distance,
)
from hofsteer.targets.coverage import Coverage, coverage, human_dimensions, published_rows, target_for
from hofsteer.targets.globe import all_societies, load_society
from hofsteer.targets.reference import (
    countries_on,
    difference_loss,
    index_loss,
    mean_country,
    measured_countries,
    nearest,
)
from hofsteer.targets.uncertainty import (
    ASSUMED_N,
    NoiseFloor,
    noise_floor,
    source_losses,
    source_spread,
    uncertainty_note,
)

__all__ = [
    "ASSUMED_N",
    "COORDINATES",
    "DIMENSIONS",
    "PROJECTION",
    "Constants",
    "Coverage",
    "NoiseFloor",
    "Target",
    "Tie",
    "all_coordinates",
    "all_societies",
    "all_targets",
    "alternatives",
    "anchors",
    "complete_countries",
    "constants_for",
    "coordinate_alternatives",
    "countries_on",
    "coverage",
    "difference_loss",
    "human_dimensions",
    "index_loss",
    "load_constants",
    "load_coordinates",
    "load_society",
    "load_target",
    "map_distance",
    "mean_country",
    "measured_countries",
    "nearest",
    "noise_floor",
    "policy_for",
    "published_rows",
    "source_losses",
    "source_spread",
    "target_for",
    "tie_constants",
    "tied_countries",
    "uncertainty_note",
]
