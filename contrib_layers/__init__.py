"""Scapy layers of the wire format: RREQ, RREP and all they carry.

Light on purpose: Scapy is imported at the first use of a layer's name (``from contrib_layers import
RREQ``), never before, and nothing global changes until :func:`install`.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

DISTRIBUTION = "scapy-mobsec"
EXTENSION_LAYER = "mobsec"
"""As a Scapy extension the layers are ``scapy.layers.mobsec``, for ``load_layer("mobsec")``."""


def install(tcp_ports: Iterable[int] = ()) -> None:
    """Bind the layers for dissection; idempotent. See :mod:`contrib_layers.bindings`."""
    from contrib_layers import bindings

    bindings.install(tcp_ports)


def scapy_ext(ext: Any) -> None:
    """Entry point of ``conf.exts.load("scapy-mobsec")``: register the layers and install them.

    A second copy of every class would come to life if a file that defines layers were registered;
    the shim only re-exports. It is not registered as a default layer, which Scapy loads lazily:
    with two packages in one extension it would be wrapped twice.
    """
    from importlib.metadata import version

    ext.config(DISTRIBUTION, version(DISTRIBUTION))
    ext.register(
        name=EXTENSION_LAYER,
        mode=ext.MODE.LAYERS,
        path=Path(__file__).with_name("shim.py"),
        default=False,
    )
    install()


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__")})


def __getattr__(name: str) -> Any:
    # Layer names begin with a capital. Anything else (`numbers`) must not cost an import of Scapy.
    if name[:1].isupper() or name == "__all__":
        from contrib_layers import shim

        if name == "__all__":
            return [*shim.__all__, "install"]
        if name in shim.__all__:
            return getattr(shim, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
