"""Black-box search with ask and tell, NumPy only; knows nothing of language models."""

from hofsteer.search.base import OPTIMIZERS, Optimizer, State, make_optimizer
from hofsteer.search.de import DEState, DifferentialEvolution

__all__ = ["OPTIMIZERS", "DEState", "DifferentialEvolution", "Optimizer", "State", "make_optimizer"]
