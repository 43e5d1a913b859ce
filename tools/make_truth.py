"""Invent the named cases of the world, and write them to `src/hofsteer/world/truth.json`; half a minute on 1 core.

python tools/make_truth.py            # the same census, the same file
python tools/make_truth.py --check    # exit code 1 if the file that is there is another one
"""

import argparse
import sys
from pathlib import Path

from hofsteer.files import dump_json, replace_text
from hofsteer.world.cases import Kind, cases_table
from hofsteer.world.census import load_census
from hofsteer.world.invent import invent_all

TRUTH = Path(__file__).parents[1] / "src" / "hofsteer" / "world" / "truth.json"
COUNTS: dict[Kind, int] = {
    "coupled": 4,
    "survey-only": 3,
    "twins": 2,
    "phantom": 2,
    "shuffled": 3,
    "wording-bound": 2,
    "style": 2,
    "damage": 2,
    "refusing": 2,
    "no-room": 2,
    "caricature": 2,
    "drift": 2,
    "self-report": 2,
}


def main() -> None:
    """Write the file, or compare it."""
    parser = argparse.ArgumentParser(description="Invent the named cases of the world.")
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    arguments = parser.parse_args()
    census = load_census()
    text = dump_json(cases_table(invent_all(COUNTS, census), census.seed), indent=1) + "\n"
    if arguments.check:
        sys.exit(int(TRUTH.read_text(encoding="utf-8") != text))
    replace_text(TRUTH, text)


if __name__ == "__main__":
    main()
