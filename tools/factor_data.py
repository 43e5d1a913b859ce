"""Write the answers that `factor_oracle.R` analyses: 400 respondents, 12 items of five categories, three factors.

Run as `python tools/factor_data.py > tests/golden/factor_data.csv`.
"""

import numpy as np


def main() -> None:
    """Print the answers as CSV."""
    rng = np.random.default_rng(20261127)
    loadings = np.zeros((12, 3))
    loadings[np.arange(12), np.arange(12) // 4] = rng.uniform(0.5, 0.8, 12)
    loadings[[0, 5, 9], [1, 2, 0]] = [0.2, -0.15, 0.25]
    correlations = np.array([[1, 0.3, 0.2], [0.3, 1, 0.1], [0.2, 0.1, 1]])
    common = rng.multivariate_normal(np.zeros(3), correlations, size=400) @ loadings.T
    explained = (loadings @ correlations * loadings).sum(axis=1)
    latent = common + rng.normal(size=(400, 12)) * np.sqrt(1 - explained)
    cuts = np.sort(rng.normal(0, 1, size=(12, 4)) * 0.3 + [-1.1, -0.4, 0.4, 1.1], axis=1)
    answers = 1 + (latent[:, :, None] > cuts).sum(axis=2)
    print(",".join(f"q{i}" for i in range(1, 13)))
    for row in answers:
        print(",".join(map(str, row)))


if __name__ == "__main__":
    main()
