"""IKE messages written by hand: payloads, proposals, and SK payloads sealed with given keys."""

from scapy_mobsec.esp.suites import SUITES
from scapy_mobsec.ike.algorithms import suite_named
from scapy_mobsec.ike.keys import IkeSaKeys
from scapy_mobsec.ike.message import HEADER, parse_message
from scapy_mobsec.ike.nat_detection import detection_hash
from scapy_mobsec.ike.numbers import Exchange, Flag, NotifyType, PayloadType, Protocol
from scapy_mobsec.observer.ike import IkeTracker
from scapy_mobsec.observer.outer import Outer
from scapy_mobsec.packet.path import Encapsulation, Endpoint

SPI_I, SPI_R = b"initiate", b"response"
MOBILE, GATEWAY = Endpoint.of("198.51.100.2", 4500), Endpoint.of("203.0.113.2", 4500)
ELSEWHERE = Endpoint.of("192.0.2.6", 4500)
SK_D = bytes(range(32))
NONCE_I, NONCE_R = b"i" * 32, b"r" * 32
AES_GCM_16 = ((1, 20, 256),)
AES_CBC_SHA256 = ((1, 12, 128), (3, 12, None))
IKE_GCM = ((1, 20, 256), (2, 5, None), (4, 31, None))


def keys(encryption="aes-gcm-16", integrity=None, length=None, **changes):
    """Keys of an IKE SA of made-up octets, as long as the suite wants them."""
    suite = suite_named(encryption, integrity)
    length = max(suite.key_lengths) + suite.salt_length if length is None else length
    integrity_keys = [bytes([n]) * suite.integrity_key_length or None for n in (3, 4)]
    fields = {
        "initiator_spi": SPI_I,
        "responder_spi": SPI_R,
        "encryption": encryption,
        "integrity": integrity,
        "prf": "hmac-sha2-256",
        "sk_ei": bytes([1]) * length,
        "sk_er": bytes([2]) * length,
        "sk_ai": integrity_keys[0],
        "sk_ar": integrity_keys[1],
        "sk_d": SK_D,
    }
    return IkeSaKeys(**{**fields, **changes})


def chain(items):
    """Join (type, body) pairs into payloads; return the first type and the octets."""
    types = [kind for kind, _ in items] + [0]
    octets = b"".join(
        bytes((following, 0)) + (4 + len(body)).to_bytes(2) + body
        for following, (_, body) in zip(types[1:], items, strict=True)
    )
    return types[0], octets


def header(first, exchange, length, mid=0, initiator=True, response=False, spis=None, version=0x20):
    spis = (SPI_I, SPI_R) if spis is None else spis
    flags = 0x08 * initiator | 0x20 * response
    return HEADER.pack(*spis, first, version, exchange, flags, mid, HEADER.size + length)


def clear(exchange, *items, **fields):
    """A message in clear."""
    first, octets = chain(items)
    return header(first, exchange, len(octets), **fields) + octets


def sealed(sa_keys, exchange, *items, fragment=None, padding=0, initiator=True, **fields):
    """A message whose payloads are in SK; with `fragment` (number, total), in SKF as they are."""
    suite = suite_named(sa_keys.encryption, sa_keys.integrity)
    first, octets = chain(items) if items else (0, b"")
    return sealed_octets(
        sa_keys, suite, exchange, first, octets, fragment, padding, initiator, **fields
    )


def sealed_octets(
    sa_keys, suite, exchange, first, octets, fragment=None, padding=0, initiator=True, **fields
):
    """Seal octets that need not be payloads. `padding`: octets, on top of what the cipher needs."""
    pair = (sa_keys.sk_ei, sa_keys.sk_ai) if initiator else (sa_keys.sk_er, sa_keys.sk_ar)
    padding += -(len(octets) + padding + 1) % suite.block_length
    plaintext = octets + bytes(padding) + bytes([padding])
    numbers = b"".join(each.to_bytes(2) for each in fragment) if fragment else b""
    iv = b"\x07" * suite.iv_length
    body_length = len(numbers) + len(iv) + len(plaintext) + suite.icv_length
    kind = PayloadType.SKF if fragment else PayloadType.SK
    generic = bytes((first, 0)) + (4 + body_length).to_bytes(2)
    top = header(kind, exchange, 4 + body_length, initiator=initiator, **fields)
    before = top + generic + numbers
    return before + iv + suite.protection(*pair).encrypt(before, b"", iv, plaintext)


def fragments(sa_keys, exchange, *items, size=40, **fields):
    """A message as SKF fragments of `size` octets of payloads."""
    suite = SUITES[sa_keys.encryption]
    first, octets = chain(items)
    parts = [octets[at : at + size] for at in range(0, len(octets), size)]
    return [
        sealed_octets(
            sa_keys, suite, exchange, 0 if n else first, part, (n + 1, len(parts)), **fields
        )
        for n, part in enumerate(parts)
    ]


def transform(kind, number, key_length=None, *, last=False):
    attribute = b"" if key_length is None else b"\x80\x0e" + key_length.to_bytes(2)
    length = (8 + len(attribute)).to_bytes(2)
    return (
        (b"\0" if last else b"\3")
        + b"\0"
        + length
        + bytes((kind, 0))
        + number.to_bytes(2)
        + attribute
    )


def proposal(transforms, protocol=Protocol.ESP, spi=b"", number=1, *, last=True):
    body = b"".join(
        transform(*each, last=n == len(transforms) - 1) for n, each in enumerate(transforms)
    )
    more = b"\0\0" if last else b"\2\0"
    length = (8 + len(spi) + len(body)).to_bytes(2)
    return more + length + bytes((number, protocol, len(spi), len(transforms))) + spi + body


def sa(transforms, protocol=Protocol.ESP, spi=b""):
    """An SA payload with one proposal."""
    return PayloadType.SA, proposal(transforms, protocol, spi)


def nonce(octets):
    return PayloadType.NONCE, octets


def key_exchange(group=31, length=32):
    return PayloadType.KE, group.to_bytes(2) + bytes(2) + bytes(length)


def notify(kind, data=b"", protocol=0, spi=b""):
    return PayloadType.NOTIFY, bytes((protocol, len(spi))) + int(kind).to_bytes(2) + spi + data


def delete(protocol, *spis):
    size = len(spis[0]) if spis else 0
    return PayloadType.DELETE, bytes((protocol, size)) + len(spis).to_bytes(2) + b"".join(spis)


def selectors(kind, *addresses):
    """TSi or TSr of single IPv4 addresses."""
    body = b"".join(b"\x07\x00\x00\x10\x00\x00\xff\xff" + each.address * 2 for each in addresses)
    return kind, bytes([len(addresses)]) + bytes(3) + body


def nat_hashes(source, destination, spis=(SPI_I, SPI_R)):
    """Both NAT_DETECTION notifications, as a sender between these endpoints writes them."""
    of = parse_message(clear(Exchange.INFORMATIONAL, spis=spis)).header
    return (
        notify(NotifyType.NAT_DETECTION_SOURCE_IP, detection_hash(of, source)),
        notify(NotifyType.NAT_DETECTION_DESTINATION_IP, detection_hash(of, destination)),
    )


def outer(source=MOBILE, destination=GATEWAY):
    return Outer(Encapsulation.UDP, *source, *destination)


class Talk:
    """What an IKE SA says, message by message, and a tracker that listens."""

    def __init__(self, *ike_keys, on_update=lambda update: None):
        self.learnt, self.updates, self.clear = [], [], []
        self.frame = 0

        def update(found):
            self.updates.append(found)
            return on_update(found)

        self.tracker = IkeTracker(
            ike_keys,
            learn=self.learnt.append,
            on_update=update,
            on_clear=lambda seen, octets: self.clear.append(octets),
        )

    @property
    def sa(self):
        """The first IKE SA."""
        return self.tracker.sas[0]

    def see(self, *messages, path=None):
        for octets in messages:
            self.frame += 1
            path_of = path or _path(octets)
            self.tracker.observe(octets, path_of, self.frame, self.frame * 10**9)
        return self

    def init(self):
        """IKE_SA_INIT: AES-GCM, HMAC-SHA2-256."""
        return self.see(init_request(), init_response())

    def auth(self, transforms=AES_GCM_16, more=(), sa_keys=None, answer=()):
        """IKE_AUTH with a CHILD_SA of the SPIs 0x101 (to the mobile) and 0x202 (to the gateway)."""
        sa_keys = sa_keys or keys()
        asked = sa(transforms, spi=b"\0\0\1\1")
        answered = sa(transforms, spi=b"\0\0\2\2")
        traffic = selectors(PayloadType.TSI, MOBILE), selectors(PayloadType.TSR, GATEWAY)
        return self.see(
            sealed(sa_keys, Exchange.IKE_AUTH, identity("x@y"), asked, *traffic, *more, mid=1),
            reply(sa_keys, Exchange.IKE_AUTH, answered, *traffic, *answer, mid=1),
        )

    def exchange(self, kind, asked, answered, mid=2, sa_keys=None, initiator=True):
        """Any encrypted exchange, asked by either end."""
        sa_keys = sa_keys or keys()
        fields = {"mid": mid, "spis": (sa_keys.initiator_spi, sa_keys.responder_spi)}
        return self.see(
            sealed(sa_keys, kind, *asked, initiator=initiator, **fields),
            sealed(sa_keys, kind, *answered, initiator=not initiator, response=True, **fields),
        )


def _path(octets):
    return outer() if octets[19] & Flag.INITIATOR else outer(GATEWAY, MOBILE)


def init_request(*more, transforms=IKE_GCM, **fields):
    items = sa(transforms, Protocol.IKE), key_exchange(), nonce(NONCE_I), *more
    return clear(Exchange.IKE_SA_INIT, *items, **{"spis": (SPI_I, bytes(8)), **fields})


def init_response(*more, transforms=IKE_GCM, **fields):
    items = sa(transforms, Protocol.IKE), key_exchange(), nonce(NONCE_R), *more
    return clear(Exchange.IKE_SA_INIT, *items, **{"initiator": False, "response": True, **fields})


def reply(sa_keys, exchange, *items, **fields):
    """What the gateway answers."""
    return sealed(sa_keys, exchange, *items, initiator=False, response=True, **fields)


def identity(text, kind=3, initiator=True):
    which = PayloadType.IDI if initiator else PayloadType.IDR
    return which, bytes((kind, 0, 0, 0)) + (text if isinstance(text, bytes) else text.encode())


def agreed(transforms=AES_GCM_16, protocol=Protocol.ESP):
    """IKE_SA_INIT and IKE_AUTH with a CHILD_SA, and the SAs that follow, to the gateway first."""
    talk = Talk(keys())
    messages = [
        init_request(),
        init_response(),
        sealed(keys(), Exchange.IKE_AUTH, sa(transforms, protocol, b"\0\0\1\1"), mid=1),
        reply(keys(), Exchange.IKE_AUTH, sa(transforms, protocol, b"\0\0\2\2"), mid=1),
    ]
    return messages, talk.see(*messages).learnt
