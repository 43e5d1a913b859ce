"""How long a factor analysis of many respondents takes, and in how much memory.

python benchmarks/factor.py                     # 100,000 x 60, Pearson, from a CSV file to the instrument file
python benchmarks/factor.py --correlations polychoric --respondents 2000 --items 25 --factors 5
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hofsteer.instruments.factor.analysis import FitSettings, analyse
from hofsteer.instruments.factor.output import instrument_text
from hofsteer.instruments.factor.rotation import matched_congruence
from hofsteer.instruments.factor.sample import take_sample
from hofsteer.instruments.microdata_files import read_microdata


def write_answers(path: Path, respondents: int, items: int, factors: int) -> NDArray[np.float64]:
    """Write answers 1 to 5, and return the loadings (items, factors) that they come from; factors are uncorrelated."""
    rng = np.random.default_rng(20261127)
    loadings = np.zeros((items, factors))
    loadings[np.arange(items), np.arange(items) * factors // items] = rng.uniform(0.55, 0.8, items)
    unique = np.sqrt(1 - (loadings**2).sum(axis=1))
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(f"q{i}" for i in range(items)) + "\n")
        for start in range(0, respondents, 10_000):
            rows = min(10_000, respondents - start)
            latent = rng.normal(size=(rows, factors)) @ loadings.T + rng.normal(size=(rows, items)) * unique
            np.savetxt(file, 1 + np.digitize(latent, [-1.2, -0.4, 0.3, 1.1]), fmt="%d", delimiter=",")
    return loadings


def main() -> None:
    """Print seconds by step and the most memory held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--respondents", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=60)
    parser.add_argument("--factors", type=int, default=6)
    parser.add_argument("--correlations", choices=["pearson", "polychoric"], default="pearson")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answers.csv"
        truth = write_answers(path, chosen.respondents, chosen.items, chosen.factors)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        times = [time.perf_counter()]
        data = read_microdata(path)
        times.append(time.perf_counter())
        sample = take_sample(data)
        analysis = analyse(sample, FitSettings(kind=chosen.correlations))
        times.append(time.perf_counter())
        text, _ = instrument_text(analysis, "bench", "bench", "bench")
        times.append(time.perf_counter())
    loadings = analysis.loadings
    order = np.abs(truth.T @ loadings).argmax(axis=1)
    error = np.sqrt(((loadings[:, order] - truth) ** 2).mean())
    least = matched_congruence(truth, loadings).min()
    read, fitted, written = np.diff(times)
    scale = 1e6 if sys.platform == "linux" else 1e9  # ru_maxrss in kilobytes, or bytes
    print(f"{chosen.respondents:,} x {chosen.items}, {chosen.correlations}: {loadings.shape[1]} factors")
    print(f"least congruence with the true loadings {least:.4f}, their root mean square error {error:.4f}")
    print(f"read {read:.1f} s, analysed {fitted:.1f} s ({analysis.number.draws} draws), written {written:.1f} s")
    print(f"in all {times[-1] - times[0]:.1f} s, {len(text)} bytes")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"most memory {most / scale:.2f} GB ({before / scale:.2f} GB before, while the answers were made)")


if __name__ == "__main__":
    main()
