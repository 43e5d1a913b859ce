"""How often the 95 % interval of a target holds the true score, over simulated samples of people.

    python benchmarks/target_coverage.py --samples 1000

A country has four strata of many regions; a sample draws eight regions from each and twelve people from each region,
whose answers share what their region has in common. Intervals are score +- t x standard error, with as many degrees of
freedom as clusters less strata. A simple random sample of 400 is shown beside it.
"""

import argparse
from collections.abc import Callable

import numpy as np
from scipy.stats import t

from hofsteer.instruments import Instrument, load_instrument
from hofsteer.instruments.base import Floats
from hofsteer.targets import constants_for
from hofsteer.targets.microdata import Estimator, Sample, estimate_groups

STRATA, REGIONS, PEOPLE = 4, 8, 12  # drawn: regions a stratum, people a region
STRATUM_SHARES = np.array([0.4, 0.3, 0.2, 0.1])  # of the population; all strata are drawn alike, so weights differ
CUTS = np.array([-1.2, -0.4, 0.4, 1.2])  # of a normal variable, to answers 1 to 5


def answers(latent: Floats) -> Floats:
    """Return answers 1 to 5 from a normal variable of any shape."""
    return 1.0 + (latent[..., None] > CUTS).sum(axis=-1)


def clustered(rng: np.random.Generator, items: int) -> Sample:
    """Return a stratified sample of regions, drawn from a population without end."""
    shifts = np.linspace(-0.5, 0.5, STRATA)[:, None, None, None]
    regions = rng.normal(0, 0.4, (STRATA, REGIONS, 1, items))
    latent = shifts + regions + rng.normal(0, 1, (STRATA, REGIONS, PEOPLE, items))
    strata = np.repeat(np.arange(STRATA), REGIONS * PEOPLE)
    return Sample(
        answers(latent).reshape(-1, items),
        ("all",),
        np.zeros(strata.size, dtype=np.intp),
        STRATUM_SHARES[strata],
        strata,
        np.repeat(np.arange(STRATA * REGIONS), PEOPLE),
    )


def simple(rng: np.random.Generator, items: int, n: int = 400) -> Sample:
    """Return a simple random sample of the same population."""
    strata = rng.choice(STRATA, size=n, p=STRATUM_SHARES)
    latent = np.linspace(-0.5, 0.5, STRATA)[strata, None] + rng.normal(0, np.sqrt(1.16), (n, items))
    nothing = np.zeros(n, dtype=np.intp)
    return Sample(answers(latent), ("all",), nothing, np.ones(n), nothing, np.arange(n))


def true_scores(instrument: Instrument) -> Floats:
    """Return the population's scores (M,), from the normal distribution itself."""
    from scipy.stats import norm

    mean = np.array([1 + norm.sf((CUTS - s) / np.sqrt(1.16)).sum() for s in np.linspace(-0.5, 0.5, STRATA)])
    return instrument.score_means(np.full(len(instrument.items), STRATUM_SHARES @ mean))


def coverage(
    draw: Callable[[np.random.Generator, int], Sample], freedom: int, samples: int, estimator: Estimator, seed: int = 0
) -> Floats:
    """Return the share of samples whose interval holds the true score, (M,)."""
    instrument = load_instrument("vsm13")
    truth, constants, width = true_scores(instrument), constants_for(instrument, "none"), t.ppf(0.975, freedom)
    held = np.zeros(len(truth))
    for number in range(samples):
        rng = np.random.default_rng([seed, number])
        (group,) = estimate_groups(draw(rng, len(instrument.items)), instrument, constants, estimator, 200, seed)
        held += np.abs(group.scores - truth) <= width * group.errors
    return np.asarray(held / samples)


def main() -> None:
    """Print the coverage of each design and estimator."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000)
    samples = parser.parse_args().samples
    estimators: tuple[Estimator, ...] = ("linearised", "bootstrap")
    for name, draw, freedom in (("clustered", clustered, STRATA * (REGIONS - 1)), ("simple", simple, 399)):
        for estimator in estimators:
            shares = coverage(draw, freedom, samples, estimator)
            each = " ".join(f"{share:.3f}" for share in shares)
            print(f"{name:10} {estimator:11} {samples} samples: mean {shares.mean():.3f}; by index {each}")


if __name__ == "__main__":
    main()
