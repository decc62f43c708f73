"""Keys that come to be known while a capture is read, beside those that were given."""

from collections import OrderedDict
from collections.abc import Sequence

from scapy_mobsec.esp.ah import AhParameters
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.ike.child import IpsecSa
from scapy_mobsec.observer.associations import KeySource

MAX_LEARNT = 65_536
MAX_OF_ONE_SPI = 16


class LearntKeys:
    """A key source over another one, that learns. The oldest of MAX_LEARNT SPIs are forgotten."""

    def __init__(self, given: KeySource) -> None:
        self._given = given
        self._learnt: OrderedDict[int, list[IpsecSa]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._learnt)

    def learn(self, parameters: IpsecSa) -> None:
        """Add the keys of an SA; of one SPI the last MAX_OF_ONE_SPI count."""
        of_spi = self._learnt.setdefault(parameters.spi, [])
        if parameters not in of_spi:
            of_spi.append(parameters)
            del of_spi[:-MAX_OF_ONE_SPI]
        if len(self._learnt) > MAX_LEARNT:
            self._learnt.popitem(last=False)

    def knows_spi(self, spi: int) -> bool:
        """Whether a key is there for exactly this SPI."""
        learnt = self._learnt.get(spi, ())
        return any(isinstance(each, SaParameters) for each in learnt) or self._given.knows_spi(spi)

    def candidates(
        self, family: int, source: bytes, destination: bytes, spi: int
    ) -> Sequence[SaParameters]:
        """Those that were given first, then those learnt."""
        given = self._given.candidates(family, source, destination, spi)
        learnt = self._learnt.get(spi, ())
        new = [e for e in learnt if isinstance(e, SaParameters) and e not in given]
        return [*given, *new] if new else given

    def ah_candidates(
        self, family: int, source: bytes, destination: bytes, spi: int
    ) -> Sequence[AhParameters]:
        """The same for AH."""
        given = self._given.ah_candidates(family, source, destination, spi)
        learnt = self._learnt.get(spi, ())
        new = [e for e in learnt if isinstance(e, AhParameters) and e not in given]
        return [*given, *new] if new else given
