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

from hofsteer.instruments.factor.analysis import FitSettings, analyse
from hofsteer.instruments.factor.output import instrument_text
from hofsteer.instruments.factor.sample import take_sample
from hofsteer.instruments.microdata_files import read_microdata


def write_answers(path: Path, respondents: int, items: int, factors: int) -> None:
    """Write answers 1 to 5 that uncorrelated factors explain half of."""
    rng = np.random.default_rng(20261127)
    home = np.arange(items) * factors // items
    latent = 0.7 * rng.normal(size=(respondents, factors))[:, home] + 0.71 * rng.normal(size=(respondents, items))
    answers = 1 + np.digitize(latent, [-1.2, -0.4, 0.4, 1.2])
    np.savetxt(path, answers, fmt="%d", delimiter=",", header=",".join(f"q{i}" for i in range(items)), comments="")


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
        write_answers(path, chosen.respondents, chosen.items, chosen.factors)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        times = [time.perf_counter()]
        data = read_microdata(path)
        times.append(time.perf_counter())
        sample = take_sample(data)
        analysis = analyse(sample, FitSettings(kind=chosen.correlations))
        times.append(time.perf_counter())
        text, _ = instrument_text(analysis, "bench", "bench", "bench")
        times.append(time.perf_counter())
    read, fitted, written = np.diff(times)
    scale = 1e6 if sys.platform == "linux" else 1e9  # ru_maxrss in kilobytes, or bytes
    print(f"{chosen.respondents:,} x {chosen.items}, {chosen.correlations}: {analysis.loadings.shape[1]} factors")
    print(f"read {read:.1f} s, analysed {fitted:.1f} s ({analysis.number.draws} draws), written {written:.1f} s")
    print(f"in all {times[-1] - times[0]:.1f} s, {len(text)} bytes")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"most memory {most / scale:.2f} GB ({before / scale:.2f} GB before, while the answers were made)")


if __name__ == "__main__":
    main()
