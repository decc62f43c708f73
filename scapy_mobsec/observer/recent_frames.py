"""Frames that were captured twice, told by their octets."""

from collections import OrderedDict

DUPLICATE_WINDOW_NS = 1_000_000_000
MAX_RECENT_FRAMES = 65_536


class RecentFrames:
    """When frames with these octets were seen last, by a hash of them."""

    def __init__(self) -> None:
        self._seen: OrderedDict[int, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def repeats(self, digest: int, time_ns: int) -> bool:
        """Note a frame. Returns whether the same octets were seen within a second."""
        seen_at = self._seen.get(digest)
        self._seen[digest] = time_ns
        if seen_at is not None:
            self._seen.move_to_end(digest)
        elif len(self._seen) > MAX_RECENT_FRAMES:
            self._seen.popitem(last=False)
        return seen_at is not None and abs(time_ns - seen_at) <= DUPLICATE_WINDOW_NS
