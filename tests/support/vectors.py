"""Published vectors as lists of cases."""

import json
from pathlib import Path

DATA = Path(__file__).parents[1] / "data"


def load(name):
    """Read a list of cases; hexadecimal values become bytes."""
    cases = json.loads((DATA / name).read_text())
    words = {"result"}
    return [
        {k: bytes.fromhex(v) if isinstance(v, str) and k not in words else v for k, v in c.items()}
        for c in cases
    ]
