"""Decode many mutations of every sample, captures and key files, and print what is wrong.

    python tests/mutations/run.py --mutations 1000 --seed 1 [--jobs 2] [SAMPLE...]

Of each sample those with the seeds from `--seed` on. Exit code 1 if anything was found. A mutation
is made again from its name and number: `samples()[NAME].mutated(NUMBER)` in `decoding.py`.
"""

import argparse
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from decoding import Judge, samples

MAX_SHOWN = 5
"""Findings that are printed of each sample."""


class Findings(NamedTuple):
    """What is wrong, by the number of the mutation; and the seconds of computing for all."""

    name: str
    faults: dict[int, list[str]]
    seconds: float


def judge_many(name: str, seeds: Iterable[int]) -> Findings:
    """Judge the mutations of a sample that follow from these seeds."""
    start = time.process_time()
    with TemporaryDirectory() as folder:
        judge = Judge(samples()[name], Path(folder))
        faults = {seed: found for seed in seeds if (found := judge.faults(seed))}
    return Findings(name, faults, time.process_time() - start)


def positive(text: str) -> int:
    """Read a number above 0. Raises ValueError."""
    if (number := int(text)) < 1:
        raise ValueError
    return number


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", metavar="SAMPLE", nargs="*", help="its name; without any: all")
    parser.add_argument("--mutations", type=positive, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=positive, default=1)
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.mutations)
    names, wrong, seconds = options.names or list(samples()), 0, 0.0
    if unknown := set(names) - set(samples()):
        parser.error(f"no samples: {', '.join(sorted(unknown))}")
    with ProcessPoolExecutor(options.jobs) as pool:
        for found in pool.map(partial(judge_many, seeds=seeds), names):
            say(f"{found.name}: {len(seeds)} mutations, {len(found.faults)} with faults")
            for seed, faults in list(found.faults.items())[:MAX_SHOWN]:
                say(f"  {seed}: {'; '.join(faults)}")
            wrong, seconds = wrong + len(found.faults), seconds + found.seconds
    say(f"{len(names)} samples, {len(names) * len(seeds)} mutations, {wrong} with faults")
    sys.stderr.write(f"{seconds:.0f} s of computing\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
