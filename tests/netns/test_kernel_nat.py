"""A handover from an open network to one behind the kernel's NAT: what is told is what it does."""

import pytest
from terminals import HOME, INNER_HOST, MOBILE_LINK, OTHER_LINK

from contrib_layers.numbers import FieldCode, NatureCode
from scapy_mobsec.packet.icmp import echo_request
from scapy_mobsec.packet.path import Endpoint
from scapy_mobsec.terminal.events import Registered

pytestmark = pytest.mark.netns

PORT = 4500
OPEN, BEHIND_NAT, NAT_ADDRESS = "198.51.100.2", "192.168.77.2", "203.0.113.1"
SOURCE_ADDRESS, SOURCE_PORT = FieldCode.SOURCE_ADDRESS, FieldCode.SOURCE_PORT
ADDRESS, BOTH = NatureCode.ADDRESS, NatureCode.ADDRESS_AND_PORT


def go(ends, place, number):
    """Move, ping without waiting, and return what X is told."""
    ends.move(place)
    answered = ends.ping(echo_request(HOME, INNER_HOST, number), number + 1)
    registered = ends.wait_for(Registered, number + 1)
    assert answered, ends.mobile.log
    return registered


@pytest.mark.parametrize(
    ("natted", "ports", "natures"),
    [
        ("masquerade", {PORT}, {SOURCE_ADDRESS: ADDRESS}),
        (
            "masquerade to :40000-40009",
            set(range(40_000, 40_010)),
            {SOURCE_ADDRESS: BOTH, SOURCE_PORT: BOTH},
        ),
        (
            "masquerade random",
            set(range(65_536)) - {PORT},
            {SOURCE_ADDRESS: BOTH, SOURCE_PORT: BOTH},
        ),
    ],
    indirect=["natted"],
)
def test_handover_into_the_kernels_nat(natted, ports, natures):
    natted.open(Endpoint.of("203.0.113.2", PORT), (MOBILE_LINK, OTHER_LINK))
    registered = go(natted, OPEN, 0)
    assert registered.translations == registered.reply_translations == ()

    registered = go(natted, BEHIND_NAT, 1)
    assert {one.field: one.nature for one in registered.translations} == natures
    seen = {one.field: one.observed for one in registered.translations}
    assert seen[SOURCE_ADDRESS] == NAT_ADDRESS
    assert int(seen.get(SOURCE_PORT, PORT)) in ports
    back = {one.field: (one.sent, one.observed) for one in registered.reply_translations}
    assert back[FieldCode.DESTINATION_ADDRESS] == (NAT_ADDRESS, BEHIND_NAT)

    remote = natted.other.terminal.path(HOME).remote
    assert str(remote) == f"{NAT_ADDRESS}:{seen.get(SOURCE_PORT, PORT)}"
    assert go(natted, OPEN, 2).translations == ()
