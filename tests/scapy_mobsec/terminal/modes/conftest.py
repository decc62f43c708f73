"""Both ends of a link between two home addresses, IPv4 or IPv6, in a mode."""

from contextlib import contextmanager
from ipaddress import ip_address

import pytest

from scapy_mobsec.drops import Drop
from scapy_mobsec.esp.sa import Opened

HOMES = {4: ("10.10.1.1", "10.10.0.1"), 6: ("fd00::1", "fd00::2")}


class Ends:
    """X and Y of one mode; `up` and `down` lead an inner packet through both."""

    def __init__(self, settings, version=4):
        self.texts = HOMES[version]
        self.home, self.other = (ip_address(text).packed for text in self.texts)
        self.at_mobile = settings.make(self.home, self.other, at_mobile=True)
        self.at_other = settings.make(self.home, self.other, at_mobile=False)

    def up(self, packet):
        return self.at_other.unwrap(opened(*self.at_mobile.wrap_data(packet)))

    def down(self, packet):
        return self.at_mobile.unwrap(opened(*self.at_other.wrap_data(packet)))


def opened(payload, next_header):
    return Opened(payload, next_header, 1, True)


@pytest.fixture(scope="session")
def ends():
    return Ends


@pytest.fixture(scope="session")
def esp():
    """What an SA hands over: `esp(payload, next_header)`."""
    return opened


@pytest.fixture(scope="session")
def drops():
    """`with drops(reason):` expects a Drop for exactly this reason."""

    @contextmanager
    def expect(reason):
        with pytest.raises(Drop) as caught:
            yield
        assert caught.value.reason is reason

    return expect
