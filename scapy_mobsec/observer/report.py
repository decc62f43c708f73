"""What an observer tells of all that it saw: counts, and lists of what happened."""

from dataclasses import dataclass

from scapy_mobsec.drops import DropReason
from scapy_mobsec.observer.associations import ObservedSa
from scapy_mobsec.observer.ike_sa import ObservedIkeSa
from scapy_mobsec.observer.links import Move
from scapy_mobsec.observer.registrations import Registration
from scapy_mobsec.observer.statistics import Statistics

MALFORMED = frozenset(
    {
        DropReason.TRUNCATED,
        DropReason.MALFORMED_IP,
        DropReason.MALFORMED_UDP,
        DropReason.MALFORMED_TCP,
        DropReason.MALFORMED_HTTP,
        DropReason.MALFORMED_TLS,
        DropReason.MALFORMED_CAPSULE,
        DropReason.CAPSULE_TOO_LONG,
        DropReason.BAD_FRAME_LENGTH,
        DropReason.MALFORMED_IKE,
        DropReason.FRAGMENT_OVERLAP,
        DropReason.ESP_TOO_SHORT,
        DropReason.MALFORMED_AH,
        DropReason.BAD_PADDING,
        DropReason.POORLY_FORMED,
    }
)
"""Drops that `Summary.malformed` counts."""


@dataclass(slots=True)
class Summary:
    """Counts of a whole observation."""

    packets: int = 0
    esp: int = 0
    ah: int = 0
    verified: int = 0
    unverified: int = 0
    icv_failed: int = 0
    no_key: int = 0
    replayed: int = 0
    duplicates: int = 0
    ike: int = 0
    keepalives: int = 0
    tls: int = 0
    malformed: int = 0
    cut_by_capture: int = 0
    registrations: int = 0
    moves: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What an observer knows so far.

    refused: RREQs answered with another code than 0, or poorly formed and not answered.

    first_time: of the first frame fed, in nanoseconds since the Unix epoch, 0 without any.
    not_kept: registrations and moves that were counted only. replies_without_request: RREPs whose
    RREQ was not seen.
    """

    summary: Summary
    first_time: int
    sas: list[ObservedSa]
    registrations: list[Registration]
    refused: list[Registration]
    moves: list[Move]
    ike: list[ObservedIkeSa]
    statistics: Statistics
    drops: dict[DropReason, int]
    not_kept: int
    replies_without_request: int
