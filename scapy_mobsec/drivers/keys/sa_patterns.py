"""Which packets a key row is for: patterns of addresses and SPIs as in Wireshark's tables."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_ALL_BITS = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class AddressPattern:
    """Addresses whose bits under `mask` are `value`; `length` in octets, 0 for both families."""

    length: int = 0
    value: int = 0
    mask: int = 0

    @classmethod
    def of(cls, text: str) -> "AddressPattern":
        """Compile `*`, an address, a prefix (`10.0.0.0/8`) or one with wildcards (`10.1.*`).

        Raises ValueError.
        """
        if text == "*":
            return cls()
        if "/" in text:
            network = ip_network(text, strict=False)
            low, mask = network.network_address, int(network.netmask)
            return cls(len(low.packed), int(low), mask)
        every_bit = "ffff" if ":" in text else "255"
        if text.endswith(".*"):
            text += ".*" * (3 - text.count("."))
        low, high = ip_address(text.replace("*", "0")), ip_address(text.replace("*", every_bit))
        all_bits = (1 << low.max_prefixlen) - 1
        return cls(len(low.packed), int(low), all_bits ^ int(low) ^ int(high))

    def __str__(self) -> str:
        """Write it so that `of` reads the same."""
        if not self.length:
            return "*"
        bits = 8 * self.length
        kind = IPv4Address if self.length == 4 else IPv6Address
        prefix = self.mask.bit_count()
        if self.mask == (1 << bits) - (1 << bits - prefix):
            return f"{kind(self.value)}" + (f"/{prefix}" if prefix < bits else "")
        mark = "." if self.length == 4 else ":"
        groups = kind(self.value).exploded.split(mark)
        width = bits // len(groups)
        every = (1 << width) - 1
        masks = [self.mask >> bits - width * (n + 1) & every for n in range(len(groups))]
        return mark.join(g if mask else "*" for g, mask in zip(groups, masks, strict=True))

    @property
    def exact(self) -> bool:
        """Whether it is a single address."""
        return bool(self.length) and self.mask == (1 << 8 * self.length) - 1

    def matches(self, address: bytes) -> bool:
        """Whether a packed address is one of them."""
        if self.length and self.length != len(address):
            return False
        return int.from_bytes(address, "big") & self.mask == self.value


def single_address(text: str, what: str) -> AddressPattern:
    """Compile an address; an unspecified one is any. Raises ValueError naming `what` alone."""
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError(f"{what}: not an address") from None
    if address.is_unspecified:
        return AddressPattern()
    return AddressPattern(len(address.packed), int(address), (1 << address.max_prefixlen) - 1)


@dataclass(frozen=True, slots=True)
class SpiPattern:
    """SPIs whose bits under `mask` are `value`. Zero is none: it marks IKE (RFC 3948)."""

    value: int = 0
    mask: int = 0

    @classmethod
    def of(cls, text: str) -> "SpiPattern":
        """Compile `*`, a decimal or hexadecimal number, or 8 digits with wildcards (`0x12**5678`).

        Raises ValueError.
        """
        if text == "*":
            return cls()
        if not re.fullmatch(r"0[xX]([0-9a-fA-F]{1,8}|[0-9a-fA-F*]{8})|[0-9]{1,10}", text):
            raise ValueError("not an SPI")
        base = 16 if text[1:2] in ("x", "X") else 10
        low, high = int(text.replace("*", "0"), base), int(text.replace("*", "f"), base)
        if not 0 < high <= _ALL_BITS:
            raise ValueError("not an SPI")
        return cls(low, _ALL_BITS ^ low ^ high)

    def __str__(self) -> str:
        """Write it so that `of` reads the same."""
        if not self.mask:
            return "*"
        pairs = zip(f"{self.value:08x}", f"{self.mask:08x}", strict=True)
        return "0x" + "".join(digit if mask == "f" else "*" for digit, mask in pairs)

    @property
    def exact(self) -> bool:
        """Whether it is a single SPI."""
        return self.mask == _ALL_BITS

    def matches(self, spi: int) -> bool:
        """Whether an SPI is one of them."""
        return spi != 0 and spi & self.mask == self.value
