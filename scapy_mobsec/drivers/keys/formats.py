"""The formats of key files: told by content for reading, by name for writing."""

from collections.abc import Callable
from dataclasses import dataclass

from scapy_mobsec.drivers.keys import (
    charon_log,
    esp_sa,
    ikev2_table,
    key_list,
    own_toml,
    tcpdump_secrets,
    xfrm_state,
)
from scapy_mobsec.drivers.keys.lines import numbered_lines
from scapy_mobsec.drivers.keys.table import KeyTable
from scapy_mobsec.drivers.keys.written import Written


@dataclass(frozen=True, slots=True)
class KeyFormat:
    """A format. `recognises` judges the first line that is not blank or a comment.

    `read` gets text and name of a file and raises BadLine. `endings`: of names of files that are
    written in it; a whole name counts, too.
    """

    name: str
    read: Callable[[str, str], KeyTable]
    recognises: Callable[[str], bool]
    write: Callable[[KeyTable], Written]
    endings: tuple[str, ...]


ESP_SA = KeyFormat("esp_sa", esp_sa.read, esp_sa.recognises, esp_sa.write, ("esp_sa",))
IKEV2_TABLE = KeyFormat(
    "ikev2_decryption_table",
    ikev2_table.read,
    ikev2_table.recognises,
    ikev2_table.write,
    ("ikev2_decryption_table",),
)

FORMATS = (
    KeyFormat("toml", own_toml.read, own_toml.recognises, own_toml.write, ("toml",)),
    KeyFormat("key-list", key_list.read, key_list.recognises, key_list.write, ("keys.txt",)),
    KeyFormat("xfrm", xfrm_state.read, xfrm_state.recognises, xfrm_state.write, ("xfrm",)),
    IKEV2_TABLE,
    ESP_SA,
    KeyFormat(
        "tcpdump",
        tcpdump_secrets.read,
        tcpdump_secrets.recognises,
        tcpdump_secrets.write,
        ("tcpdump", "secrets"),
    ),
)
"""All but the log of charon, which is only read, and may begin with anything."""


def reader_of(text: str) -> Callable[[str, str], KeyTable] | None:
    """Tell the format by content; None if it is none of them, or nothing is in it."""
    if charon_log.recognises_log(text):
        return charon_log.read
    first = next((line for _, line in numbered_lines(text)), "")
    return next((each.read for each in FORMATS if each.recognises(first)), None)


def format_of_name(name: str) -> KeyFormat | None:
    """Tell by its name in which format a file is to be written."""
    base = name.rpartition("/")[2]
    for each in FORMATS:
        if any(base == ending or base.endswith(f".{ending}") for ending in each.endings):
            return each
    return None
