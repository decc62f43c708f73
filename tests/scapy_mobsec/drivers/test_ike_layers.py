from pathlib import Path

import pytest
from scapy.contrib.ikev2 import IKEv2, IKEv2_IDi, IKEv2_Notify, IKEv2_SA
from scapy.packet import Raw

from scapy_mobsec.drivers.capture import open_capture, read_records
from scapy_mobsec.drivers.ike_layers import ike_layers
from scapy_mobsec.drivers.keyfiles import read_key_file

PCAPS = Path(__file__).parents[3] / "pcaps"


@pytest.fixture(scope="module")
def packets():
    keys = read_key_file(str(PCAPS / "strongswan-natt.ike.keys.txt")).ike_keys
    with open_capture(PCAPS / "strongswan-natt.pcap") as stream:
        return list(ike_layers(read_records(stream), keys))


def test_all_messages_are_in_clear(packets):
    assert len(packets) == 14
    assert all(isinstance(each, IKEv2) and Raw not in each for each in packets)
    assert packets[2][IKEv2_IDi].ID == b"mobile@sb"
    assert packets[2][IKEv2_SA].prop.SPI.hex() == "d13c19ff"
    assert packets[6][IKEv2_Notify].sprintf("%type%") == "UPDATE_SA_ADDRESSES"
    assert packets[0].time < packets[13].time


def test_without_keys_the_first_exchange_is_what_there_is():
    with open_capture(PCAPS / "strongswan-natt.pcap") as stream:
        packets = list(ike_layers(read_records(stream), []))
    assert [each.exch_type for each in packets] == [34, 34]
