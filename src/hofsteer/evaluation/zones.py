"""Specific to the zone? Whether the controls that come as near as the target's own soft prompts are its neighbours.

Where a soft prompt is not specific to its country, it may still have found more than nothing: what the countries of one
cultural zone share. That shows where the controls *outside* the zone come as near no more often than the level, by the
rule of the third claim, and those of all do.
"""

from dataclasses import dataclass
from math import ceil

import numpy as np

from hofsteer.evaluation.evidence import Evidence
from hofsteer.evaluation.plan import Margins
from hofsteer.evaluation.statistics import rank_p_value


@dataclass(frozen=True)
class ZoneFinding:
    """How near the controls in the target's zone and those outside it come."""

    zone: str
    inside: int  # controls that are countries of the zone
    inside_near: int  # of these, those that come as near as the target's own
    outside: int  # all other controls: countries of other zones or of none that is known, mirrors and shuffles
    outside_near: int
    elsewhere: int  # of those outside, the countries that are known to be of another zone
    wanted: int  # of them, so that the level can be reached by these alone
    p: float  # share of those outside that come as near, the target's own among them
    level: float  # that p is wanted at most at

    @property
    def passes(self) -> bool | None:
        """Whether the soft prompts are specific to the zone; None where too few controls are of other zones."""
        return self.p <= self.level if self.elsewhere >= self.wanted else None


def zone_finding(evidence: Evidence, margins: Margins) -> ZoneFinding | None:
    """Return what the controls say of the zone; None where the target is in none, or nothing was led anywhere."""
    first = next(iter(evidence.gains.values()), None)
    if evidence.zone is None or first is None or len(evidence.control_gains) < margins.controls:
        return None
    own = float(np.mean(first))
    near = evidence.control_gains >= own
    inside = np.array([zone == evidence.zone for zone in evidence.control_zones])
    return ZoneFinding(
        zone=evidence.zone,
        inside=int(inside.sum()),
        inside_near=int((near & inside).sum()),
        outside=int((~inside).sum()),
        outside_near=int((near & ~inside).sum()),
        elsewhere=sum(zone not in (None, evidence.zone) for zone in evidence.control_zones),
        wanted=ceil(1 / margins.exceeded - 1e-9) - 1,
        p=rank_p_value(own, evidence.control_gains[~inside]),
        level=margins.exceeded,
    )
