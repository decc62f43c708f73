"""TLS in the captures of scenarios is TLS 1.3 to tshark, which opens it with the secrets given."""

import os
import shutil
import subprocess

import pytest
from stories import result_of

from scapy_mobsec.ui.demo import write_capture

pytestmark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")


def tshark(folder, capture, *options):
    command = ["tshark", "-n", "-r", str(capture), *options]
    environment = os.environ | {"WIRESHARK_CONFIG_DIR": str(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("suffix", [".pcap", ".pcapng"])
@pytest.mark.parametrize("name", ["tls", "intercepted"])
def test_what_is_in_tls(tmp_path, name, suffix):
    capture = tmp_path / f"x{suffix}"
    _, key_log = write_capture(result_of(name), capture)
    secrets = ["-o", f"tls.keylog_file:{key_log}"] if key_log else []
    details = tshark(tmp_path, capture, *secrets, "-V", "-Y", "tls")
    assert "Malformed" not in details
    for part in ("Client Hello", "Server Hello", "TLS_AES_128_GCM_SHA256", "commonName"):
        assert part in details
    assert details.count("Handshake Type: Finished (20)") == 2
    fields = ("-T", "fields", "-e", "tls.segment.data", "-e", "tls.app_data", "-Y", "tls")
    assert b"IKETCP".hex() in tshark(tmp_path, capture, *secrets, *fields)


def test_without_the_secrets_nothing_is_opened(tmp_path):
    capture = tmp_path / "x.pcap"
    write_capture(result_of("tls"), capture)
    details = tshark(tmp_path, capture, "-V", "-Y", "tls")
    assert "Encrypted Application Data" in details
    assert "Finished" not in details
