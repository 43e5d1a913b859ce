"""Black-box search with ask and tell, NumPy only; knows nothing of language models."""

from hofsteer.search.base import OPTIMIZERS, Optimizer, State, make_optimizer
from hofsteer.search.cma import CMA
from hofsteer.search.de import DEState, DifferentialEvolution
from hofsteer.search.gauss_newton import GaussNewton
from hofsteer.search.pso import ParticleSwarm
from hofsteer.search.random_search import RandomSearch
from hofsteer.search.sep_cma import SeparableCMA
from hofsteer.search.shade import LShade, Shade

__all__ = [
    "CMA",
    "OPTIMIZERS",
    "DEState",
    "DifferentialEvolution",
    "GaussNewton",
    "LShade",
    "Optimizer",
    "ParticleSwarm",
    "RandomSearch",
    "SeparableCMA",
    "Shade",
    "State",
    "make_optimizer",
]
