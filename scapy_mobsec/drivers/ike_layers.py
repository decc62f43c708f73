"""The IKEv2 exchanges of a capture as Scapy's own layers, in clear: `IKEv2 / IKEv2_IDi / ...`."""

from collections.abc import Iterable, Iterator

from scapy.packet import Packet

from scapy_mobsec.drivers.capture_source import Record
from scapy_mobsec.drivers.keyfiles import KeyTable
from scapy_mobsec.ike.keys import IkeSaKeys
from scapy_mobsec.observer.ike_messages import SeenMessage
from scapy_mobsec.observer.observer import Observer


def ike_layers(records: Iterable[Record], ike_keys: Iterable[IkeSaKeys]) -> Iterator[Packet]:
    """Yield an `IKEv2` packet for each message that is in clear or can be decrypted.

    SK and SKF payloads are replaced by what was in them, and next payloads and lengths made to fit,
    so what `raw()` returns was never on the wire. `time` is that of the frame, seconds since the
    Unix epoch. Messages that repeat one, that have a wrong ICV or no key are left out.
    """
    # Only here: it is not cheap, and binds the layer to UDP port 500.
    from scapy.contrib.ikev2 import IKEv2

    clear: list[tuple[SeenMessage, bytes]] = []
    observer = Observer(
        KeyTable(), ike_keys, on_ike=lambda seen, octets: clear.append((seen, octets))
    )
    for record in records:
        observer.feed(record.time_ns, record.data, record.link_type, record.original_length)
        for seen, octets in clear:
            packet = IKEv2(octets)
            packet.time = seen.time_ns / 1e9
            yield packet
        clear.clear()
