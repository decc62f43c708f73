"""What ``install()`` changes in Scapy: the one place where this package touches anything global."""

import importlib
from collections.abc import Iterable

from scapy.config import conf
from scapy.layers.inet import TCP
from scapy.layers.mobileip import MobileIP, MobileIPRRP, MobileIPRRQ
from scapy.packet import Packet, bind_bottom_up, split_bottom_up

from contrib_layers import EXTENSION_LAYER, shim
from contrib_layers.numbers import NATT_PORT, STREAM_PREFIX, MessageType


def install(tcp_ports: Iterable[int] = ()) -> None:
    """Make Scapy dissect with our layers. Idempotent.

    - MobileIP messages of type 1 and 3 become RREQ and RREP. Building needs nothing: what is bound
      for the stock classes is inherited.
    - IKE on port 500 and behind the non-ESP marker of RFC 3948 becomes IKEv2 or, by its version
      field, ISAKMP. Scapy's IKEv2 module does so when it is imported, and undoes the ISAKMP-only
      binding of the module that it itself imports first; after this call no later import of either
      can change it.
    - TCP on port 4500, and on `tcp_ports` instead of what Scapy has bound there, becomes TCPStream.
      On ports that nothing is bound to, so does what begins with the stream prefix.
    - Bodies of HTTP that are ours become PostBody. Scapy's HTTP module is imported for that, which
      binds ports 80 and 8080.
    - The classes are listed in ``conf.layers``, under the name that ``load_layer`` knows.
    """
    importlib.import_module("scapy.contrib.ikev2")
    for stock, ours, message_type in (
        (MobileIPRRQ, shim.RREQ, MessageType.RREQ),
        (MobileIPRRP, shim.RREP, MessageType.RREP),
    ):
        split_bottom_up(MobileIP, stock, type=message_type)
        split_bottom_up(MobileIP, ours, type=message_type)
        bind_bottom_up(MobileIP, ours, type=message_type.value)
    _bind_streams({NATT_PORT, *tcp_ports})
    layers = [getattr(shim, name) for name in shim.__all__]
    conf.layers.ldict[f"scapy.layers.{EXTENSION_LAYER}"] = layers
    conf.layers.extend(layer for layer in layers if layer not in conf.layers)


def _bind_streams(ports: set[int]) -> None:
    http = importlib.import_module("scapy.layers.http")
    for port in sorted(ports):
        for field in ("sport", "dport"):
            split_bottom_up(TCP, shim.TCPStream, **{field: port})
            # In front: of several bindings that fit, Scapy takes the first.
            TCP.payload_guess.insert(0, ({field: port}, shim.TCPStream))
    if "default_payload_class" not in vars(TCP):
        TCP.default_payload_class = _by_prefix
    kind = {"Content_Type": b"application/octet-stream"}
    for message in (http.HTTPRequest, http.HTTPResponse):
        split_bottom_up(message, shim.PostBody, **kind)
        bind_bottom_up(message, shim.PostBody, **kind)


def _by_prefix(segment: TCP, payload: bytes) -> type[Packet]:
    """``TCP.default_payload_class``, asked where no binding fits."""
    if payload.startswith(STREAM_PREFIX):
        return shim.TCPStream
    return Packet.default_payload_class(segment, payload)
