"""What a format of key files makes of a table: its text, and what has no place in it."""

from dataclasses import dataclass, field

from scapy_mobsec.drivers.keys.table import KeyRow, KeyTable
from scapy_mobsec.ike.keys import IkeSaKeys


@dataclass(slots=True)
class Written:
    """The text grows while a table is gone through; warnings name what is lost."""

    parts: dict[str, None] = field(default_factory=dict, repr=False)
    warnings: list[str] = field(default_factory=list)
    sas: int = 0
    ike_sas: int = 0

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.parts)

    def add(self, entry: KeyRow | IkeSaKeys, text: str) -> None:
        """Take what an entry becomes; the same twice is written once."""
        if text in self.parts:
            return
        self.parts[text] = None
        if isinstance(entry, KeyRow):
            self.sas += 1
        else:
            self.ike_sas += 1

    def leave_out(self, entry: KeyRow | IkeSaKeys, reason: str) -> None:
        """Say that an entry is not written."""
        self.warnings.append(f"{name_of(entry)}: left out, {reason}")

    def lose(self, entry: KeyRow | IkeSaKeys, what: str) -> None:
        """Say what is not written of an entry that is."""
        self.warnings.append(f"{name_of(entry)}: without {what}")

    def leave_out_ike(self, table: KeyTable) -> None:
        """Say it of all IKE SAs: the format has no place for them."""
        if table.ike_keys:
            self.warnings.append(f"no place for keys of IKE SAs: {len(table.ike_keys)} left out")

    def leave_out_sas(self, table: KeyTable) -> None:
        """Say it of all SAs of ESP and AH."""
        if table.rows:
            self.warnings.append(f"no place for keys of ESP and AH: {len(table.rows)} left out")


def name_of(entry: KeyRow | IkeSaKeys) -> str:
    """Name an entry for people."""
    if isinstance(entry, KeyRow):
        return str(entry)
    return f"IKE SA {entry.initiator_spi.hex()} {entry.responder_spi.hex()}"
