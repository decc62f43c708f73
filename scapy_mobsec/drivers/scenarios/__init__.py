"""Named scenarios on the network in memory, for people to see and tests to compare.

A scenario is data (`scenario`): a network, a script of `actions`, pings all along.
"""

from scapy_mobsec.drivers.scenarios import translators
from scapy_mobsec.drivers.scenarios.scenario import CAPTURED_AT, Scenario, ScenarioResult, run

SCENARIOS = {scenario.name: scenario for scenario in (*translators.SCENARIOS,)}

__all__ = ["CAPTURED_AT", "SCENARIOS", "Scenario", "ScenarioResult", "run"]
