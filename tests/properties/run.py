"""Judge the six properties on many random plans, and print what was found.

    python tests/properties/run.py --examples 10000 --seed 1 [--jobs 2]

One run of a plan judges all six. Exit code 1 if any property failed or a plan ended in an
exception, 2 for options that make no sense. A failing plan is made smaller as long as it still
fails, and printed with the packets at Y.
"""

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from judging import PROPERTIES, verdict
from plans import Plan, plans

MAX_SHOWN = 60
"""Lines of a failing run that are printed."""


@dataclass
class Tally:
    """`failures`: by property; `smallest`: a failing plan of each. `raised`: texts of plans that
    ended in an exception, and of that.
    """

    examples: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    smallest: dict[str, Plan] = field(default_factory=dict)
    raised: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, plan: Plan) -> None:
        """Judge one more plan."""
        self.examples += 1
        try:
            failures = verdict(plan).failures
        except Exception as error:  # whatever a terminal raises is a finding
            self.raised.append(f"{plan!r}\n{error!r}")
            return
        for name in failures:
            self.failures[name] += 1
            self.keep(name, plan)

    def merge(self, other: "Tally") -> None:
        """Add what another process found."""
        self.examples += other.examples
        self.failures += other.failures
        self.raised += other.raised
        self.seconds += other.seconds
        for name, plan in other.smallest.items():
            self.keep(name, plan)

    def keep(self, name: str, plan: Plan) -> None:
        """Remember a failing plan, if none with a shorter text is known."""
        self.smallest[name] = min(
            self.smallest.get(name, plan), plan, key=lambda one: len(repr(one))
        )


def judge_many(examples: int, seed: int) -> Tally:
    """Judge so many plans that follow from a seed."""
    tally = Tally()

    @seeded(seed)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(plans())
    def judge(plan: Plan) -> None:
        tally.add(plan)

    start = time.perf_counter()
    while tally.examples < examples:
        judge()
    tally.seconds = time.perf_counter() - start
    return tally


def smaller(plan: Plan):
    """Yield plans with a little less in them."""
    for index in range(len(plan.steps)):
        yield replace(plan, steps=plan.steps[:index] + plan.steps[index + 1 :])
    for index in range(len(plan.attacks)):
        yield replace(plan, attacks=plan.attacks[:index] + plan.attacks[index + 1 :])
    for name in ("loss", "reordering", "duplication", "proxy", "clock_ahead"):
        if value := getattr(plan, name):
            yield replace(plan, **{name: type(value)()})
    for encapsulation in plan.allow[: len(plan.allow) if len(plan.allow) > 1 else 0]:
        allow, start = (
            tuple(one for one in each if one != encapsulation) for each in (plan.allow, plan.start)
        )
        yield replace(plan, allow=allow, start=start)


def shrink(name: str, plan: Plan) -> Plan:
    """Return a plan that fails the same property and cannot be made smaller by one thing."""
    while True:
        for candidate in smaller(plan):
            if name in verdict(candidate).failures:
                plan = candidate
                break
        else:
            return plan


def report(tally: Tally, seed: int) -> str:
    """Say what was found, in lines."""
    lines = [f"{tally.examples} examples of each, seed {seed}, {tally.seconds:.0f} s of computing"]
    lines += [
        f"({name}) {text}: {tally.examples} examples, {tally.failures[name]} failures"
        for name, text in PROPERTIES.items()
    ]
    lines.append(f"plans that ended in an exception: {len(tally.raised)}")
    lines += sorted(tally.raised, key=len)[:1]
    for name, plan in tally.smallest.items():
        found = verdict(shrink(name, plan)).explanation().splitlines()
        lines += ["", f"smallest plan that fails ({name}):", *found[:MAX_SHOWN]]
    return "\n".join(lines)


def positive(text: str) -> int:
    """Read a number above 0. Raises ValueError."""
    if (number := int(text)) < 1:
        raise ValueError
    return number


def main() -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--examples", type=positive, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=positive, default=1)
    options = parser.parse_args()
    share = -(-options.examples // options.jobs)
    tally = Tally()
    with ProcessPoolExecutor(options.jobs) as pool:
        for part in pool.map(
            judge_many, [share] * options.jobs, range(options.seed, options.seed + options.jobs)
        ):
            tally.merge(part)
    sys.stdout.write(report(tally, options.seed) + "\n")
    return 1 if tally.failures or tally.raised else 0


if __name__ == "__main__":
    sys.exit(main())
