"""A generative model of respondents whose truth is known."""

from hofsteer.world.base import World, answer_distribution, make_world

__all__ = ["World", "answer_distribution", "make_world"]
