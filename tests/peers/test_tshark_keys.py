"""Key files that are written here, read by the programs that they are for."""

import io
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from key_samples import table_of

from scapy_mobsec.drivers.keyfiles import FORMATS, read_key_file, read_keys
from scapy_mobsec.drivers.keys import ikev2_table
from scapy_mobsec.drivers.keys.ikev2_table import ENCRYPTIONS, INTEGRITIES
from scapy_mobsec.drivers.keys.names import COMBINED
from scapy_mobsec.esp.suites import SUITES
from scapy_mobsec.ike.keys import IkeSaKeys

PCAPS = Path(__file__).parents[2] / "pcaps"
SUNRISE = Path(__file__).parents[1] / "data" / "tcpdump" / "02-sunrise-sunset-esp.pcap"
NAMES = ("strongswan-natt", "strongswan-natt-aes128-sha256")
FORMS = ("mobile.log", "keys.txt")
BY_NAME = {each.name: each for each in FORMATS}
WITH_TSHARK = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
WITH_TCPDUMP = pytest.mark.skipif(not shutil.which("tcpdump"), reason="tcpdump is not installed")


def tshark(capture, folder, *arguments):
    """Return what it prints, line by line; it must have nothing to say of the tables."""
    done = subprocess.run(
        ["tshark", "-n", "-r", capture, *arguments],
        env=os.environ | {"WIRESHARK_CONFIG_DIR": str(folder)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert "Error" not in done.stderr
    return done.stdout.splitlines()


@WITH_TSHARK
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_tables_of_a_real_run_open_all_of_it_in_tshark(tmp_path, name, form):
    table = read_key_file(str(PCAPS / f"{name}.{form}"))
    for kind in ("esp_sa", "ikev2_decryption_table"):
        (tmp_path / kind).write_text(BY_NAME[kind].write(table).text)
    capture = PCAPS / f"{name}.pcap"
    decrypt = ("-o", "esp.enable_encryption_decode:TRUE")
    check = ("-o", "esp.enable_authentication_check:TRUE")
    opened = tshark(capture, tmp_path, *decrypt, *check, "-Y", "icmp && esp.icv_good == 1")
    assert len(opened) == 20
    fields = ("-T", "fields", "-e", "isakmp.id.data.user_fqdn")
    assert "mobile@sb,gw@sb" in tshark(capture, tmp_path, "-Y", "isakmp", *fields)


@WITH_TSHARK
def test_tshark_knows_each_name_of_the_ike_table(tmp_path):
    keys = []
    for cipher, length in ENCRYPTIONS.values():
        integrities = [None] if cipher in COMBINED else [*INTEGRITIES.values()]
        for integrity in integrities:
            suite = SUITES.get(f"{cipher}-{integrity}" if integrity else cipher)
            if suite is None:
                continue
            spi = len(keys).to_bytes(8)
            sk_e = bytes(length + suite.salt_length)
            sk_a = bytes(suite.integrity_key_length) or None
            keys.append(IkeSaKeys(spi, spi, cipher, integrity, None, sk_e, sk_e, sk_a, sk_a))
    written = ikev2_table.write(table_of(*keys))
    assert written.ike_sas == len(keys) > 18
    (tmp_path / "ikev2_decryption_table").write_text(written.text)
    assert tshark(PCAPS / f"{NAMES[0]}.pcap", tmp_path)


@WITH_TCPDUMP
def test_secrets_open_a_capture_in_tcpdump():
    key = "4043434545464649494a4a4c4c4f4f515152525454575758"
    row = f'"IPv4","*","192.1.2.45","0x12345678","TripleDES-CBC [RFC2451]","0x{key}"'
    table = read_keys(io.StringIO(f'{row},"ANY 96 bit authentication [no checking]",""\n'), "t")
    secret = BY_NAME["tcpdump"].write(table).text.strip()
    done = subprocess.run(
        ["tcpdump", "-n", "-r", SUNRISE, "-E", secret],
        check=True,
        capture_output=True,
        text=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 8
    assert all("ICMP echo request" in line for line in lines)
