"""The keys of CHILD_SAs (RFC 7296 section 2.17) from SK_d and what two messages say.

    KEYMAT = prf+(SK_d, Ni | Nr)

The keys of traffic from the exchange's initiator to its responder come first, of each the
encryption key (with its salt) before the integrity key. With PFS a Diffie-Hellman secret goes in,
which no capture has: nothing can be derived then, nor for a new IKE SA (section 2.18).
"""

from dataclasses import dataclass, field
from typing import TypeAlias

from scapy_mobsec.esp.ah import AH_SUITES, AhParameters
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.ike.algorithms import integrity_of, suite_of
from scapy_mobsec.ike.numbers import Protocol, TransformType
from scapy_mobsec.ike.payloads import LENGTH_OF_ESP_SPI, Proposal
from scapy_mobsec.ike.prf import PRFS, prf_plus

EXTENDED = 1
"""Transform ID of extended sequence numbers."""

IpsecSa: TypeAlias = SaParameters | AhParameters


class Underivable(ValueError):
    """Keys that do not follow from what is known; the text says why."""


@dataclass(frozen=True, slots=True)
class KeySeed:
    """What all CHILD_SAs of an exchange are made from. Nonces: of the exchange's two ends."""

    prf: str
    sk_d: bytes = field(repr=False)
    initiator_nonce: bytes = field(repr=False)
    responder_nonce: bytes = field(repr=False)


def derive_child_sa(seed: KeySeed, offered: Proposal, chosen: Proposal) -> tuple[IpsecSa, IpsecSa]:
    """Return the two SAs, first the one from the exchange's initiator to its responder.

    `chosen` answers `offered`: an SA is named by the SPI that its receiver gave. Raises
    Underivable.
    """
    if seed.prf not in PRFS:
        raise Underivable(f"the prf {seed.prf} is not known")
    try:
        if chosen.protocol == Protocol.ESP:
            return _esp(seed, offered, chosen)
        if chosen.protocol == Protocol.AH:
            return _ah(seed, offered, chosen)
    except ValueError as error:
        raise Underivable(str(error)) from None
    raise Underivable(f"protocol {chosen.protocol}")


def _esp(seed: KeySeed, offered: Proposal, chosen: Proposal) -> tuple[SaParameters, SaParameters]:
    suite, length = suite_of(chosen)
    there, back = _keymat(seed, length + suite.integrity_key_length)
    esn = _uses_esn(chosen)
    return (
        SaParameters(_spi(chosen), suite, there[:length], there[length:] or None, esn),
        SaParameters(_spi(offered), suite, back[:length], back[length:] or None, esn),
    )


def _ah(seed: KeySeed, offered: Proposal, chosen: Proposal) -> tuple[AhParameters, AhParameters]:
    name = integrity_of(chosen) or "none"
    if name not in AH_SUITES:
        raise Underivable(f"AH with {name} is not verified")
    suite, esn = AH_SUITES[name], _uses_esn(chosen)
    there, back = _keymat(seed, suite.key_length)
    return (
        AhParameters(_spi(chosen), suite, there, esn),
        AhParameters(_spi(offered), suite, back, esn),
    )


def _keymat(seed: KeySeed, length: int) -> tuple[bytes, bytes]:
    """Return the octets for each direction."""
    nonces = seed.initiator_nonce + seed.responder_nonce
    keymat = prf_plus(PRFS[seed.prf], seed.sk_d, nonces, 2 * length)
    return keymat[:length], keymat[length:]


def _uses_esn(chosen: Proposal) -> bool:
    esn = chosen.chosen(TransformType.ESN)
    return esn is not None and esn.id == EXTENDED


def _spi(proposal: Proposal) -> int:
    if len(proposal.spi) != LENGTH_OF_ESP_SPI:
        raise Underivable(f"SPI of {len(proposal.spi)} octets")
    return int.from_bytes(proposal.spi, "big")
