"""Key files in every format, with made-up keys; tables of any content; damaged text."""

import random
from pathlib import Path

from hypothesis import strategies as st

from scapy_mobsec.drivers.keys.names import COMBINED
from scapy_mobsec.drivers.keys.sa_patterns import AddressPattern, SpiPattern
from scapy_mobsec.drivers.keys.table import KeyRow, KeyTable
from scapy_mobsec.esp.ciphers import CIPHERS
from scapy_mobsec.esp.integrity import INTEGRITY
from scapy_mobsec.esp.suites import SUITES
from scapy_mobsec.ike.keys import IkeSaKeys
from scapy_mobsec.ike.prf import PRFS

PCAPS = Path(__file__).parents[2] / "pcaps"
K16, K20, K32 = "a1" * 16, "b2" * 20, "c3" * 32

XFRM = f"""\
src 10.0.0.1 dst 10.0.0.2
\tproto esp spi 0x00001001 reqid 16385 mode tunnel
\treplay-window 0 flag af-unspec esn
\taead rfc4106(gcm(aes)) 0x{K20} 128
\tencap type espinudp sport 4500 dport 4500 addr 0.0.0.0
\tanti-replay esn context:
\t seq-hi 0x2, seq 0x0, oseq-hi 0x0, oseq 0x5
\t replay_window 128, bitmap-length 4
\t 00000000 00000000 00000000 00000000
\tsel src 0.0.0.0/0 dst 0.0.0.0/0
src fe80::1 dst fe80::2
\tproto esp spi 0x00001002 reqid 1 mode transport
\treplay-window 32
\tauth-trunc hmac(sha256) 0x{K32} 128
\tenc cbc(aes) 0x{K16}
src 10.0.0.1 dst 10.0.0.2
\tproto ah spi 0x00001003 reqid 0 mode transport
\treplay-window 0
\tauth-trunc hmac(sha1) 0x{K20} 96
"""
KEY_LIST = f"""\
# made up
[IKE] initiator=mobile alg=AES_CBC_128
SPIi = 7c2b8a492a2ce89a
SPIr = 409048ebb6164b6a
Sk_d = {K32}
Sk_ai = {K32}
Sk_ar = {K32}
Sk_ei = {K16}
Sk_er = {K16}
[ESP 1] alg=AES_CBC_128 exchange_initiator=mobile (AEAD keys end with the 4-byte salt)
mobile->gw spi = 00001001
mobile->gw enc = {K16}
mobile->gw integ = {K32}
gw->mobile spi = 00001002
gw->mobile enc = {K16}
gw->mobile integ = {K32}
"""
TOML = f"""\
[[esp]]
spi = "0x00001001"
suite = "aes-cbc-hmac-sha2-256-128"
encryption_key = "{K16}"
integrity_key = "{K32}"
esn = true
family = 4
source = "10.0.0.0/8"
destination = "192.0.2.1"

[[ah]]
spi = "0x0000100*"
suite = "hmac-sha1-96"
integrity_key = "{K20}"

[[ike]]
initiator_spi = "7c2b8a492a2ce89a"
responder_spi = "409048ebb6164b6a"
encryption = "aes-cbc"
integrity = "hmac-sha2-256-128"
prf = "hmac-sha2-256"
sk_ei = "{K16}"
sk_er = "{K16}"
sk_ai = "{K32}"
sk_ar = "{K32}"
sk_d = "{K32}"
"""
ESP_SA = (
    f'"IPv4","10.1.*","*","0x00001001","AES-CBC [RFC3602]","0x{K16}",'
    f'"HMAC-SHA-256-128 [RFC4868]","0x{K32}"\n'
    f'"IPv6","*","*","4098","AES-GCM with 16 octet ICV [RFC4106]","0x{K20}","NULL","",'
    '"64-bit","0"\n'
)
IKEV2_TABLE = (
    f'7c2b8a492a2ce89a,409048ebb6164b6a,{K16},{K16},"AES-CBC-128 [RFC3602]",{K32},{K32},'
    '"HMAC_SHA2_256_128 [RFC4868]"\n'
    f'7c2b8a492a2ce89b,409048ebb6164b6a,{K20},{K20},"AES-GCM-128 with 16 octet ICV [RFC5282]",'
    ',"","NONE [RFC4306]"\n'
)
TCPDUMP = f"0x1001@192.0.2.1 3des-cbc-hmac96:0x{'d4' * 24}\n4098@2001:db8::1\taes128-cbc:0x{K16}\n"
CHARON_LOG = (PCAPS / "strongswan-natt-aes128-sha256.mobile.log").read_text()

SAMPLES = {
    "toml": TOML,
    "key-list": KEY_LIST,
    "xfrm": XFRM,
    "ikev2_decryption_table": IKEV2_TABLE,
    "esp_sa": ESP_SA,
    "tcpdump": TCPDUMP,
    "charon-log": CHARON_LOG,
}


def table_of(*entries):
    table = KeyTable()
    for entry in entries:
        table.add(entry)
    return table


def mutations(text, count, seed):
    """Yield `text`, damaged in one to three places; the same seed damages alike."""
    chance = random.Random(seed)
    letters = "0123456789abcdefx\"'#[]=,:@ \t\n\\*./-\0\u00e9\u0661\U0001f511ZzIPv"
    for _ in range(count):
        damaged = text
        for _ in range(chance.randint(1, 3)):
            start = chance.randrange(len(damaged) + 1)
            end = min(len(damaged), start + chance.choice((0, 1, 1, 2, 8, 60)))
            new = "".join(chance.choices(letters, k=chance.choice((0, 1, 1, 3, 20))))
            if not chance.randrange(4):
                other = chance.randrange(len(damaged) + 1)
                new = damaged[other : other + chance.choice((4, 40, 400))]
            damaged = damaged[:start] + new + damaged[end:]
        yield damaged


def _keys_of(draw, suite, *, keyed=True):
    length = draw(st.sampled_from(sorted(suite.key_lengths))) + suite.salt_length
    integrity_key = None
    if suite.integrity_key_length and keyed:
        integrity_key = draw(st.binary(min_size=1, max_size=1)) * suite.integrity_key_length
    return draw(st.binary(min_size=1, max_size=1)) * length, integrity_key


SPIS = st.integers(1, 2**32 - 1).map(str) | st.sampled_from(["*", "0x12**5678", "0xc*******"])
PATTERNS = {
    4: ("*", "10.1.2.3", "10.0.0.0/9", "10.*.2.*"),
    6: ("*", "2001:db8::1", "2001:db8::/33", "2001:db8::*"),
}


@st.composite
def rows(draw):
    """A row of ESP."""
    suite = draw(st.sampled_from([*SUITES.values()]))
    encryption_key, integrity_key = _keys_of(draw, suite, keyed=draw(st.booleans()))
    return KeyRow(
        spi=SpiPattern.of(draw(SPIS)),
        suite=suite,
        encryption_key=encryption_key,
        integrity_key=integrity_key,
        **_packets(draw),
    )


@st.composite
def ah_rows(draw):
    """A row of AH."""
    suite = draw(st.sampled_from(tuple(INTEGRITY.values())))
    key = draw(st.binary(min_size=1, max_size=1)) * suite.key_length
    spi = SpiPattern.of(draw(SPIS))
    return KeyRow(spi=spi, suite=suite, integrity_key=key, **_packets(draw))


def _packets(draw):
    esn = draw(st.booleans())
    family = draw(st.sampled_from([4, 6, None]))
    patterns = st.sampled_from(PATTERNS[family or draw(st.sampled_from([4, 6]))])
    return {
        "esn": esn,
        "esn_high": draw(st.integers(0, 2**32 - 1)) if esn else 0,
        "family": family,
        "source": AddressPattern.of(draw(patterns)),
        "destination": AddressPattern.of(draw(patterns)),
        "anywhere": draw(st.booleans()),
    }


@st.composite
def ike_keys(draw):
    """Keys of an IKE SA."""
    encryption = draw(st.sampled_from([*CIPHERS, *sorted(COMBINED)]))
    integrity = None if encryption in COMBINED else draw(st.sampled_from([*INTEGRITY]))
    suite = SUITES[encryption if integrity is None else f"{encryption}-{integrity}"]
    sk_ei, sk_ai = _keys_of(draw, suite)
    return IkeSaKeys(
        initiator_spi=draw(st.binary(min_size=8, max_size=8)),
        responder_spi=draw(st.binary(min_size=8, max_size=8)),
        encryption=encryption,
        integrity=integrity,
        prf=draw(st.sampled_from([None, *PRFS])),
        sk_ei=sk_ei,
        sk_er=bytes(reversed(sk_ei)),
        sk_ai=sk_ai,
        sk_ar=sk_ai,
        sk_d=draw(st.none() | st.binary(min_size=16, max_size=32)),
    )


def tables(*, max_size=4):
    """A table of any content."""
    entries = st.lists(st.one_of(rows(), ah_rows(), ike_keys()), max_size=max_size)
    return entries.map(lambda found: table_of(*found))
