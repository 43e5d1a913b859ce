"""Control targets: what else the same search could have been aimed at.

A low loss is no evidence that a target was found: the indices use disjoint items, so any profile fits. Whether a soft
prompt is *specific* shows beside soft prompts for other targets, found with the same budget, judged by how far they
lead towards this one.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hofsteer.errors import TargetError
from hofsteer.instruments.base import Floats
from hofsteer.targets import Target, index_loss

APART = 15.0  # points; a shuffle or a mirror is at least so far from the target
TOO_NEAR = 1.0  # points; a country that has the target's own scores is no control
STREAM = 81
DRAWS = 400  # shuffles tried


def control_targets(
    target: Target, naive: Floats, countries: Sequence[Target], n_countries: int = 29, n_others: int = 10, seed: int = 0
) -> tuple[Target, ...]:
    """Return other targets: countries as far from the naive scores as the target is, and nonsense made of the target.

    The nonsense: its mirror images about the naive scores in half of the dimensions, and its scores in other places
    (shuffles), each at least `APART` points from it. The ones are as far from the naive scores, the others as likely as
    numbers, and both no country's.

    Args:
        target: with scores on all dimensions compared.
        naive: the scores (M,) of the model without a soft prompt, in the order of the target's `dimensions`.
        countries: candidates; the target's own code is left out.
        n_countries: how many countries, those whose naive distance is most like the target's.
        n_others: how many mirrors and shuffles, in turn.
        seed: of the draws.

    Raises:
        TargetError: there are not enough countries, or no nonsense far enough away.
    """
    dimensions = tuple(d for d in target.dimensions if d in target.scores)
    kept = [i for i, d in enumerate(target.dimensions) if d in target.scores]
    goal, start = target.vector(dimensions), naive[kept]
    code = target.code.partition("@")[0]
    others = [c for c in countries if c.code.partition("@")[0] != code and not set(dimensions) - set(c.scores)]
    others = [c for c in others if index_loss(c.vector(dimensions), goal) >= TOO_NEAR]
    if len(others) < n_countries:
        raise TargetError(
            f"want {n_countries} other {target.nouns} as controls, got {len(others)} with the same dimensions"
        )
    own = index_loss(goal, start)
    others.sort(key=lambda c: abs(float(index_loss(c.vector(dimensions), start) - own)))
    return (*others[:n_countries], *_nonsense(target, dimensions, goal, start, n_others, seed))


def _nonsense(
    target: Target, dimensions: tuple[str, ...], goal: Floats, start: Floats, count: int, seed: int
) -> list[Target]:
    rng = np.random.default_rng([seed, STREAM])
    found: list[Target] = []
    for draw in range(DRAWS):
        if len(found) == count:
            break
        if draw % 2:
            flipped = rng.permutation(len(goal)) < max(1, len(goal) // 2)
            kind, scores = "mirror", np.clip(np.where(flipped, 2 * start - goal, goal), 0, 100)
        else:
            kind, scores = "shuffle", rng.permutation(goal)
        if index_loss(scores, goal) < APART:
            continue
        number = len(found) + 1
        found.append(
            replace(
                target,
                code=f"{target.code}-{kind}-{number}",
                name=f"{target.name}, {kind} {number}",
                scores=dict(zip(dimensions, scores.tolist(), strict=True)),
                sources=dict.fromkeys(dimensions, "control"),
                estimated=frozenset(),
            )
        )
    if len(found) < count:
        raise TargetError(f"want {count} controls at least {APART:g} points from {target.name}, found {len(found)}")
    return found
