"""Named scenarios on the network in memory, for people to see and tests to compare.

A scenario is data (`scenario`): a network, a script of `actions`, pings all along.
"""

from scapy_mobsec.drivers.scenarios import filters, modes, translators, troubles
from scapy_mobsec.drivers.scenarios.scenario import Scenario, ScenarioResult, run

SCENARIOS = {
    scenario.name: scenario
    for part in (translators, filters, troubles, modes)
    for scenario in part.SCENARIOS
}

__all__ = ["SCENARIOS", "Scenario", "ScenarioResult", "run"]
