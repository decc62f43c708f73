"""NAT detection: hashes of what a sender took for the endpoints, against the real headers.

IKEv2: SHA-1 of SPIi | SPIr | address | port (RFC 7296 section 2.23), again in MOBIKE's
UPDATE_SA_ADDRESSES. IKEv1: the hash of phase 1 over the same (RFC 3947 section 3.2).

Implementations force UDP encapsulation by a made-up endpoint: port 0, or an address at random. The
first is found by its hash, the second where it stays the same while its sender goes from port 500
to 4500 (`is_made_up`). Where neither shows, such a hash counts as translated.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from hashlib import new as new_hash
from itertools import product

from contrib_layers.numbers import IKE_PORT, NATT_PORT
from scapy_mobsec.ike.message import Header
from scapy_mobsec.packet.path import Endpoint

SHA1_LENGTH = 20
_HASHES = {16: "md5", 20: "sha1", 32: "sha256", 48: "sha384", 64: "sha512"}
"""By length: the hash that IKEv1 agreed on is not always in the capture."""
MAX_KNOWN = 64
MAX_HASHES = 16
"""Of one end of a message."""


class Verdict(Enum):
    """What a hash says of one endpoint."""

    NOT_TRANSLATED = "not translated"
    TRANSLATED = "translated"
    FORCED = "forced"
    """A made-up endpoint was hashed on purpose, for UDP encapsulation without a translator."""


@dataclass(frozen=True, slots=True)
class NatDetection:
    """The verdict on one end of a message. sent: what its sender took the endpoint for, if known.

    `observed`: the endpoint in the headers at the point of capture.
    """

    of_source: bool
    verdict: Verdict
    observed: Endpoint
    sent: Endpoint | None
    hashes: tuple[bytes, ...] = field(default=(), repr=False)

    def is_made_up(self, earlier: "NatDetection") -> bool:
        """Whether it repeats what its sender hashed before, from port 500, under the same SPIs.

        Its own port is hashed, so that the same hash is not of an endpoint of its own.
        """
        floated = (earlier.observed.port, self.observed.port) == (IKE_PORT, NATT_PORT)
        same = self.of_source and earlier.of_source and self.hashes == earlier.hashes
        return floated and same and self.verdict is Verdict.TRANSLATED is earlier.verdict


def detection_hash(header: Header, endpoint: Endpoint, length: int = SHA1_LENGTH) -> bytes:
    """Return the hash of an endpoint, with the SPIs as they are in the header of the message.

    `length` (16, 20, 32, 48, 64) chooses the hash. Raises KeyError for another one.
    """
    digest = new_hash(_HASHES[length], usedforsecurity=False)
    digest.update(header.initiator_spi + header.responder_spi + endpoint.address)
    digest.update(endpoint.port.to_bytes(2, "big"))
    return digest.digest()


def detect(
    header: Header,
    hashes: Sequence[bytes],
    observed: Endpoint,
    *,
    of_source: bool,
    known: Iterable[bytes] = (),
) -> NatDetection | None:
    """Judge the hashes of one end, of which one that fits suffices; None without any.

    `known`: packed addresses that the end told to have: with them, and the usual ports, what was
    hashed can often be found.
    """
    hashes = tuple(each for each in hashes if len(each) in _HASHES)[:MAX_HASHES]
    if not hashes:
        return None

    def fits(endpoint: Endpoint) -> bool:
        return any(each == detection_hash(header, endpoint, len(each)) for each in hashes)

    if fits(observed):
        return NatDetection(of_source, Verdict.NOT_TRANSLATED, observed, observed, hashes)
    made_up = Endpoint(observed.address, 0), Endpoint(bytes(len(observed.address)), 0)
    if any(fits(endpoint) for endpoint in made_up):
        return NatDetection(of_source, Verdict.FORCED, observed, None, hashes)
    family = (each for each in known if len(each) == len(observed.address))
    addresses = dict.fromkeys((observed.address, *family))
    candidates = product(list(addresses)[:MAX_KNOWN], (observed.port, NATT_PORT, IKE_PORT))
    sent = next((each for each in (Endpoint(*pair) for pair in candidates) if fits(each)), None)
    return NatDetection(of_source, Verdict.TRANSLATED, observed, sent, hashes)
