"""Wireshark's `ikev2_decryption_table`.

A row has 8 columns: SPIs of initiator and responder, SK_ei, SK_er, encryption, SK_ai, SK_ar,
integrity. Octets are hexadecimal digits without quotes, the two names are in double quotes. There
is no place for SK_d, nor for the prf.
"""

from scapy_mobsec.drivers.keys.lines import BadLine
from scapy_mobsec.drivers.keys.names import NotDecrypted, find_suite
from scapy_mobsec.drivers.keys.table import KeyTable
from scapy_mobsec.drivers.keys.uat import quote, read_rows
from scapy_mobsec.drivers.keys.written import Written
from scapy_mobsec.ike.keys import IkeSaKeys

COLUMNS = 8

ENCRYPTIONS = {
    "3DES [RFC2451]": ("3des-cbc", 24),
    "NULL [RFC2410]": ("null", 0),
    **{f"AES-CBC-{8 * n} [RFC3602]": ("aes-cbc", n) for n in (16, 24, 32)},
    **{f"AES-CTR-{8 * n} [RFC5930]": ("aes-ctr", n) for n in (16, 24, 32)},
    **{
        f"AES-{mode}-{8 * n} with {icv} octet ICV [RFC5282]": (f"aes-{mode.lower()}-{icv}", n)
        for mode in ("GCM", "CCM")
        for icv in (8, 12, 16)
        for n in (16, 24, 32)
    },
}
"""Wireshark's name: ours, and the octets of its key, salt left out."""

_NONE = "NONE [RFC4306]"
INTEGRITIES = {
    _NONE: None,
    "HMAC_MD5_96 [RFC2403]": "hmac-md5-96",
    "HMAC_MD5_128 [RFC4595]": "hmac-md5-128",
    "HMAC_SHA1_96 [RFC2404]": "hmac-sha1-96",
    "HMAC_SHA1_160 [RFC4595]": "hmac-sha1-160",
    "HMAC_SHA2_256_96 [draft-ietf-ipsec-ciph-sha-256-00]": "hmac-sha2-256-96",
    "HMAC_SHA2_256_128 [RFC4868]": "hmac-sha2-256-128",
    "HMAC_SHA2_384_192 [RFC4868]": "hmac-sha2-384-192",
    "HMAC_SHA2_512_256 [RFC4868]": "hmac-sha2-512-256",
}

_ENCRYPTION_NAMES = {ours: theirs for theirs, ours in ENCRYPTIONS.items()}
_INTEGRITY_NAMES = {ours: theirs for theirs, ours in INTEGRITIES.items()}


def recognises(line: str) -> bool:
    """Whether the first line of a file is a row."""
    first, _, rest = line.lstrip().partition(",")
    return len(first) == 16 and first.isalnum() and rest.count(",") >= COLUMNS - 2


def read(text: str, name: str) -> KeyTable:
    """Read a table. Raises BadLine. A row that opens nothing here becomes a warning."""
    table = KeyTable()
    for line, fields in read_rows(text, bare_hex=True):
        try:
            table.add(_keys(fields))
        except NotDecrypted as reason:
            table.warnings.append(f"{name}:{line}: skipped, {reason}")
        except ValueError as error:
            raise BadLine(line, str(error)) from None
    return table


def _keys(fields: list[bytes]) -> IkeSaKeys:
    """Make keys of the columns. Raises NotDecrypted, and ValueError naming the column."""
    if len(fields) != COLUMNS:
        raise ValueError(f"{len(fields)} columns, not {COLUMNS}")
    spi_i, spi_r, sk_ei, sk_er, encryption, sk_ai, sk_ar, integrity = fields
    encryption_name, integrity_name = encryption.decode("latin-1"), integrity.decode("latin-1")
    if encryption_name not in ENCRYPTIONS:
        raise ValueError("encryption: not a name that Wireshark knows")
    if integrity_name not in INTEGRITIES:
        raise ValueError("integrity: not a name that Wireshark knows")
    cipher, key_length = ENCRYPTIONS[encryption_name]
    ours = INTEGRITIES[integrity_name]
    suite = find_suite(cipher, ours)
    if suite is None:
        raise NotDecrypted(f"{encryption_name} with {integrity_name} is not decrypted")
    if len(sk_ei) != key_length + suite.salt_length:
        wanted = key_length + suite.salt_length
        raise ValueError(f"SK_ei of {len(sk_ei)} octets, not {wanted}")
    for key in (sk_ai, sk_ar):
        if len(key) not in (0, suite.integrity_key_length):
            wanted = suite.integrity_key_length
            raise ValueError(f"SK_ai or SK_ar of {len(key)} octets, not {wanted}")
    return IkeSaKeys(
        spi_i, spi_r, cipher, ours, None, sk_ei, sk_er, sk_ai or None, sk_ar or None, None
    )


def write(table: KeyTable) -> Written:
    """Write a row for each IKE SA."""
    written = Written()
    for keys in table.ike_keys:
        suite = find_suite(keys.encryption, keys.integrity)
        key_length = len(keys.sk_ei) - suite.salt_length if suite else 0
        encryption = _ENCRYPTION_NAMES.get((keys.encryption, key_length))
        integrity = _INTEGRITY_NAMES.get(keys.integrity)
        if suite is None and keys.integrity is None:
            written.leave_out(keys, "its integrity algorithm is not known")
        elif suite is None or encryption is None or integrity is None:
            names = f"{keys.encryption} with {keys.integrity or 'none'}"
            written.leave_out(keys, f"{names} has no name in Wireshark")
        else:
            written.add(keys, _row(keys, encryption, integrity))
            if keys.sk_d is not None:
                written.lose(keys, "SK_d, from which the keys of its CHILD_SAs follow")
    written.leave_out_sas(table)
    return written


def _row(keys: IkeSaKeys, encryption: str, integrity: str) -> str:
    def hexadecimal(octets: bytes | None) -> str:
        return octets.hex() if octets else '""'

    columns = (
        keys.initiator_spi.hex(),
        keys.responder_spi.hex(),
        hexadecimal(keys.sk_ei),
        hexadecimal(keys.sk_er),
        quote(encryption.encode()),
        hexadecimal(keys.sk_ai),
        hexadecimal(keys.sk_ar),
        quote(integrity.encode()),
    )
    return ",".join(columns) + "\n"
