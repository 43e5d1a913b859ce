"""Groups of people that are countries: how far their scores are from the published ones, under each policy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hofsteer.errors import TargetError
from hofsteer.instruments import Instrument
from hofsteer.instruments.answers import GroupScores
from hofsteer.instruments.base import Floats
from hofsteer.targets import (
    Constants,
    Target,
    Tie,
    anchors,
    constants_for,
    difference_loss,
    index_loss,
    policy_for,
    target_for,
    tie_constants,
)
from hofsteer.targets.constants import ANCHOR
from hofsteer.targets.zones import SHORTEST_NAME


@dataclass(frozen=True, eq=False)
class ScoredGroups:
    """Groups scored under one policy of constants, and what that makes of those that are countries."""

    groups: tuple[GroupScores, ...]  # without constants
    rows: tuple[Target | None, ...]  # the published row of each group; None if it is no country with one
    policies: tuple[Constants, ...]  # the one that was asked for first

    def scores(self, group: int) -> Floats:
        """Scores of a group with the constants that were asked for (M,), in points."""
        return np.asarray(self.groups[group].scores + self.policies[0].values)

    def losses(self, group: int, instrument: Instrument) -> dict[str, float]:
        """Return the loss of a group under each policy that has one; NaN where an item is missing."""
        row = self.rows[group]
        if row is None:
            return {}
        raw, goal = self.groups[group].scores, row.vector(instrument.dimension_ids)
        comparing = [c for c in self.policies if c.kind != "none" or instrument.constants == "fixed"]
        return {c.kind: float(index_loss(raw + c.values, goal)) for c in comparing}

    def differences(self, instrument: Instrument) -> Floats | None:
        """Return how far differences between countries are from the published ones (M,); None below two countries."""
        found = [(g.scores, row) for g, row in zip(self.groups, self.rows, strict=True) if row is not None]
        if len({row.code for _, row in found}) < 2:
            return None
        goals = np.stack([row.vector(instrument.dimension_ids) for _, row in found])
        return difference_loss(np.stack([scores for scores, _ in found]), goals)


def score_groups(groups: Sequence[GroupScores], instrument: Instrument, kind: str | None = None) -> ScoredGroups:
    """Return groups under a policy of constants: `midpoint`, `none`, or `anchor` with groups of the table.

    Args:
        groups: scored without constants.
        instrument: what they answered.
        kind: the policy; by default `midpoint`, or `none` where the zero is fixed.

    Raises:
        TargetError: the policy is unknown, or the table has no group of an anchor's name.
    """
    rows = tuple(_row(group.name, instrument) for group in groups)
    own = _anchored(kind, groups, rows, instrument) if (kind or "").startswith(ANCHOR) else None
    own = own if own is not None else constants_for(instrument, kind)
    alone = own.kind == "midpoint" or instrument.constants == "fixed"
    return ScoredGroups(tuple(groups), rows, (own,) if alone else (own, constants_for(instrument, "midpoint")))


def _anchored(
    kind: str | None, groups: Sequence[GroupScores], rows: Sequence[Target | None], instrument: Instrument
) -> Constants:
    policy = policy_for(instrument, kind)
    computed, found = [], anchors(policy)
    for anchor in found:
        code = anchor.code.partition("@")[0]
        scores = [g.scores for g, row in zip(groups, rows, strict=True) if row and row.code.partition("@")[0] == code]
        if len(scores) != 1:
            names = ", ".join(group.name for group in groups[:8])
            raise TargetError(f"want one group of the anchor {code} in the table, got {len(scores)} among {names}")
        computed.append(scores[0])
    published = np.stack([anchor.vector(instrument.dimension_ids) for anchor in found])
    tie = Tie(tuple(anchor.code for anchor in found), np.stack(computed), published)
    return tie_constants(policy, instrument, tie, who="groups")


def _row(name: str, instrument: Instrument) -> Target | None:
    if len(name) < SHORTEST_NAME:
        return None
    try:
        return target_for(name, instrument)
    except TargetError:
        return None
