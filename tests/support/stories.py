"""Scenarios that were run once, and what was told in them."""

from functools import cache

from scapy_mobsec.drivers.scenarios import SCENARIOS, run

result_of = cache(lambda name, seed=1: run(SCENARIOS[name], seed))


def told(name, seed=1):
    """Return the result of a scenario, and the events of X and of Y."""
    result = result_of(name, seed)
    return result, *(
        [event for _, event in log] for log in (result.mobile_events, result.other_events)
    )


def count(events, kind):
    """Return how many of the events are of a kind."""
    return sum(isinstance(event, kind) for event in events)


def first(log, kind):
    """Return the first event of a kind."""
    return next(event for _, event in log if isinstance(event, kind))
