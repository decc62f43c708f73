"""What ``install()`` changes in Scapy: the one place where this package touches anything global."""

import importlib

from scapy.config import conf
from scapy.layers.mobileip import MobileIP, MobileIPRRP, MobileIPRRQ
from scapy.packet import bind_bottom_up, split_bottom_up

from contrib_layers import EXTENSION_LAYER, shim
from contrib_layers.numbers import MessageType


def install() -> None:
    """Make Scapy dissect with our layers. Idempotent.

    - MobileIP messages of type 1 and 3 become RREQ and RREP. Building needs nothing: what is bound
      for the stock classes is inherited.
    - IKE on port 500 and behind the non-ESP marker of RFC 3948 becomes IKEv2 or, by its version
      field, ISAKMP. Scapy's IKEv2 module does so when it is imported, and undoes the ISAKMP-only
      binding of the module that it itself imports first; after this call no later import of either
      can change it.
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
    layers = [getattr(shim, name) for name in shim.__all__]
    conf.layers.ldict[f"scapy.layers.{EXTENSION_LAYER}"] = layers
    conf.layers.extend(layer for layer in layers if layer not in conf.layers)
