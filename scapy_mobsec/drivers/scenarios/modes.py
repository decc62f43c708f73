"""Scenarios with other kinds of links: in transport mode, with L2TP, with AH."""

from functools import partial
from random import Random

from scapy_mobsec.drivers.scenarios.actions import go
from scapy_mobsec.drivers.scenarios.building import UDP, behind_nat, on, through
from scapy_mobsec.drivers.scenarios.scenario import Pings, Scenario
from scapy_mobsec.drivers.simulation import BEHIND_NAT, SIGNALLING, UNTRANSLATED, Place, assemble
from scapy_mobsec.terminal.modes.l2tp import L2tp
from scapy_mobsec.terminal.modes.transport import Transport


def _places(random: Random, native: bool = False) -> tuple[Place, ...]:
    """Without a translator, and behind a NAT which lets `native` ESP and AH pass or not."""
    return through(), behind_nat(random, native=native)


HANDOVER = ((0.0, go(UNTRANSLATED)), (1.0, go(BEHIND_NAT)))

SCENARIOS = (
    Scenario(
        "transport",
        "A handover in transport mode: data ends at Y, and home addresses stay as they are.",
        partial(assemble, places=_places, mode=Transport()),
        HANDOVER,
        pings=Pings(peer=SIGNALLING),
    ),
    Scenario(
        "l2tp",
        "A handover in transport mode with L2TP inside, which reaches a host behind Y.",
        partial(assemble, places=_places, mode=L2tp(1, 2, mobile_tunnel=3, mobile_session=4)),
        HANDOVER,
    ),
    Scenario(
        "ah",
        "AH goes where nothing translates; a NAT breaks its ICV, and X goes on by ESP.",
        on(partial(_places, native=True), allow=(UDP,), ah=True),
        ((0.0, go(UNTRANSLATED)), (1.0, go(BEHIND_NAT)), (4.0, go(UNTRANSLATED))),
        duration=5.0,
        pings=Pings(every=0.2),
    ),
)
