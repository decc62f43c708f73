import scapy_mobsec.drivers.memory as memory


def test_every_public_name_is_there():
    assert all(hasattr(memory, name) for name in memory.__all__)
