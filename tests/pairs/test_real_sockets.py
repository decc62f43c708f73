"""What only real sockets have: ports the machine chose, NATs that forget, sockets that fail."""

import errno

from faulty_sockets import FaultySocket
from terminals import HOME, INNER_HOST

from contrib_layers.numbers import FieldCode
from scapy_mobsec.packet.icmp import echo_request
from scapy_mobsec.registration.transitions import MobileState
from scapy_mobsec.terminal.events import Registered

PING = echo_request(HOME, INNER_HOST, 1)


def registered(pair, count=1):
    """Wait for so many registrations; return the last."""
    found = []

    def there():
        found[:] = [event for _, event in pair.mobile.log if isinstance(event, Registered)]
        return len(found) >= count

    assert pair.run_until(there), pair.mobile.log
    return found[-1]


def answered(pair, count):
    pair.mobile.send(PING)
    return pair.run_until(lambda: len(pair.mobile.inner) == count)


def test_what_is_told_is_what_the_sockets_have(natted):
    natted.move(natted.places[0])
    told = {one.field: (one.sent, one.observed) for one in registered(natted).translations}
    (local,) = natted.mobile.endpoints
    outside = natted.nat.outside_of(local)
    assert local.port
    assert told[FieldCode.SOURCE_PORT] == (str(local.port), str(outside.port))
    dialed, listens = natted.nat.dialed, natted.listens
    assert told[FieldCode.DESTINATION_PORT] == (str(dialed.port), str(listens.port))
    assert natted.other.terminal.path(HOME).remote == outside


def test_a_nat_that_forgets_is_noticed_by_data(natted):
    natted.move(natted.places[0])
    registered(natted)
    assert answered(natted, 1)
    before = natted.other.terminal.path(HOME).remote
    natted.nat.reboot()
    natted.mobile.send(PING)
    assert natted.run_until(lambda: natted.other.terminal.path(HOME).remote != before)
    assert answered(natted, len(natted.mobile.inner) + 1)


def test_a_socket_that_fails_for_a_while_loses_what_it_was_given_and_nothing_else(natted):
    natted.move(natted.places[0])
    registered(natted)
    (udp,) = natted.mobile.datagrams._udp.values()
    real, udp._socket = udp._socket, FaultySocket(udp._socket)
    for name in ("sendmsg", "recvmsg"):
        udp._socket.fail(name, errno.ENETDOWN)
    natted.mobile.send(PING)
    natted.loop.run(seconds=0.02)
    assert natted.mobile.datagrams.faults.counts["udp send ENETDOWN"] == 1
    udp._socket = real
    assert answered(natted, 1)
    assert natted.mobile.terminal.state is MobileState.REGISTERED
