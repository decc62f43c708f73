"""Secure mobile IPsec links: both terminals, and tools to watch, run and test them."""

from typing import Any

__version__ = "0.1.0"


def scapy_ext(ext: Any) -> None:
    """Second entry point of ``conf.exts.load("scapy-mobsec")``, after that of contrib_layers.

    In a Scapy shell the layers that were registered there become names (``RREQ``); scripts import
    them.
    """
    import builtins

    if hasattr(builtins, "scapy_session"):
        from scapy.main import load_layer

        from contrib_layers import EXTENSION_LAYER

        load_layer(EXTENSION_LAYER)
