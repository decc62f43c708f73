"""The keys of an IKE SA (RFC 7296 section 2.14), as key files give them."""

from dataclasses import dataclass, field

SPI_LENGTH = 8


@dataclass(frozen=True, slots=True)
class IkeSaKeys:
    """What opens the messages of one IKE SA, and with `sk_d` yields the keys of its CHILD_SAs.

    Algorithms are named as in `esp.suites.SUITES`, key lengths left out (the keys have them):

    - encryption: `aes-gcm-8|12|16`, `aes-ccm-8|12|16`, `chacha20-poly1305`, `aes-cbc`, `aes-ctr`,
      `3des-cbc`, `null`
    - integrity: `hmac-sha2-256-128`, `hmac-sha1-96`, `aes-cmac-96`, ...; None with a combined mode
      suite, else not known: IKE_SA_INIT tells it
    - prf: `hmac-sha2-256`, `hmac-sha1`, `aes-cmac`, ... as in `ike.prf.PRFS`; None: IKE_SA_INIT
      tells it

    `sk_ei` and `sk_er` end with the salt where the algorithm has one. Without `sk_ai` and `sk_ar`
    another suite than a combined mode one opens messages unverified.
    """

    initiator_spi: bytes
    responder_spi: bytes
    encryption: str
    integrity: str | None
    prf: str | None
    sk_ei: bytes = field(repr=False)
    sk_er: bytes = field(repr=False)
    sk_ai: bytes | None = field(default=None, repr=False)
    sk_ar: bytes | None = field(default=None, repr=False)
    sk_d: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raises ValueError for SPIs that are not 8 octets, or half a pair of keys."""
        for spi in (self.initiator_spi, self.responder_spi):
            if len(spi) != SPI_LENGTH:
                raise ValueError(f"IKE SPI of {len(spi)} octets, not {SPI_LENGTH}")
        if len(self.sk_ei) != len(self.sk_er):
            raise ValueError("SK_ei and SK_er differ in length")
        if len(self.sk_ai or b"") != len(self.sk_ar or b""):
            raise ValueError("SK_ai and SK_ar differ in length")
