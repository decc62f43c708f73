"""Parts of documents that are generated: what stands between two comments of one name."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def read_part(document, name):
    """Return the lines between `<!-- begin: name -->` and `<!-- end: name -->`."""
    return _part(name).search((DOCS / document).read_text())[2].strip()


def write_part(document, name, text):
    path = DOCS / document
    path.write_text(
        _part(name).sub(lambda match: f"{match[1]}{text}\n{match[3]}", path.read_text())
    )


def _part(name):
    begin, end = (re.escape(f"<!-- {word}: {name} -->\n") for word in ("begin", "end"))
    return re.compile(f"({begin})(.*?)({end})", re.DOTALL)
