"""Secure mobile IPsec links: both terminals, and tools to watch, run and test them.

What is for the shell and for scripts is here, each imported at its first use: Scapy and rich are
not cheap.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scapy_mobsec.drivers.keyfiles import load_keys
    from scapy_mobsec.drivers.live.crafting import craft_rreq
    from scapy_mobsec.drivers.live.gateway_session import GatewaySession, RegistrationAM
    from scapy_mobsec.drivers.live.mobile_session import MobileSession
    from scapy_mobsec.drivers.live.session_thread import SessionError
    from scapy_mobsec.drivers.session import MobsecSession
    from scapy_mobsec.observer.observer import Observer
    from scapy_mobsec.ui.from_python import decode, inner, ladder, translations

__version__ = "0.1.0"

__all__ = [
    "GatewaySession",
    "MobileSession",
    "MobsecSession",
    "Observer",
    "RegistrationAM",
    "SessionError",
    "craft_rreq",
    "decode",
    "inner",
    "ladder",
    "load_keys",
    "translations",
]

_MODULES = {
    "GatewaySession": "scapy_mobsec.drivers.live.gateway_session",
    "MobileSession": "scapy_mobsec.drivers.live.mobile_session",
    "MobsecSession": "scapy_mobsec.drivers.session",
    "Observer": "scapy_mobsec.observer.observer",
    "RegistrationAM": "scapy_mobsec.drivers.live.gateway_session",
    "SessionError": "scapy_mobsec.drivers.live.session_thread",
    "craft_rreq": "scapy_mobsec.drivers.live.crafting",
    "load_keys": "scapy_mobsec.drivers.keyfiles",
}
_FUNCTIONS_OF_PACKETS = "scapy_mobsec.ui.from_python"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_MODULES.get(name, _FUNCTIONS_OF_PACKETS)), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def scapy_ext(ext: Any) -> None:
    """Second entry point of ``conf.exts.load("scapy-mobsec")``, after that of contrib_layers.

    In a Scapy shell the layers that were registered there become names (``RREQ``), and so does what
    this package has for it (``MobsecSession``); scripts import them.
    """
    import builtins

    if hasattr(builtins, "scapy_session"):
        from scapy.main import load_layer

        from contrib_layers import EXTENSION_LAYER

        load_layer(EXTENSION_LAYER)
        vars(builtins).update({name: __getattr__(name) for name in __all__})
