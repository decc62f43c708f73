"""What Y asks its link: the state of a path, and what is the newest packet."""

from terminals import AH_LINKS, NEW, OLD, OTHER_LINK, TRANSLATED, Pair, path_at_other

from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.terminal.bound_link import BoundLink
from scapy_mobsec.terminal.link import Link
from scapy_mobsec.terminal.paths import PathState


def test_the_state_of_a_path():
    link = BoundLink(OTHER_LINK, bytes)
    admitted, current, suspended = (PathState(path_at_other(at)) for at in (OLD, NEW, TRANSLATED))
    link.paths.add(admitted, None)
    link.current, link.suspended = current, suspended
    for state in (admitted, current, suspended):
        assert link.state_of(state.path) is state
    link.current = None
    assert link.state_of(current.path) is None


def test_a_path_is_proven_in_its_attempt_alone():
    link = BoundLink(OTHER_LINK, bytes)
    state = PathState(path_at_other(OLD), validated=True)
    link.paths.add(state, None)
    link.binding.last_attempt = 3
    assert link.proven(state.path, 3)
    assert not link.proven(state.path, 2)
    state.validated = False
    assert not link.proven(state.path, 3)


def test_the_newest_packet_and_the_length_of_a_message():
    pair, link = Pair(), BoundLink(OTHER_LINK, bytes)
    older, newer = (pair.as_mobile.seal_message(b"") for _ in range(2))
    assert link.is_newest(link.inbound[0].open(newer))
    assert not link.is_newest(link.inbound[0].open(older))
    assert link.signalling_length(7) == len(link.seal_message(bytes(7)))


def test_the_newest_packet_by_ah():
    link = BoundLink(AH_LINKS[1], bytes)
    mobile = Link(AH_LINKS[0], at_mobile=True, random_bytes=bytes)
    path = Path(Encapsulation.NATIVE, Endpoint(OLD.address), Endpoint(NEW.address), ah=True)
    older, newer = (mobile.seal_message(b"", path) for _ in range(2))
    assert link.is_newest(link.inbound_ah[0].open(newer))
    assert not link.is_newest(link.inbound_ah[0].open(older))
