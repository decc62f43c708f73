"""tshark as an independent witness. Without it its tests are skipped; on CI they fail."""

import os
import shutil
import subprocess
from xml.etree import ElementTree

import pytest
from scapy.utils import PcapWriter


@pytest.fixture(scope="session")
def pdml(tmp_path_factory):
    """Octets of raw IP packets in, what tshark makes of them out: one ``<packet>`` for each.

    All packets go into one capture and through one run. ``options`` are more arguments of tshark.
    """
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")

    def run(packets, *options):
        folder = tmp_path_factory.mktemp("tshark")
        capture = folder / "packets.pcap"
        with PcapWriter(str(capture), linktype=101) as writer:
            for packet in packets:
                writer.write(packet)
        done = subprocess.run(
            ["tshark", "-n", "-r", capture, "-T", "pdml", *options],
            env=os.environ | {"WIRESHARK_CONFIG_DIR": str(folder)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        root = ElementTree.fromstring(done.stdout)
        assert len(root) == len(packets)
        return list(root)

    return run
