"""Whether data really passes on a path: counts, reports, and when to look (rule 6).

A firewall that filters rewrites nothing, so no comparison shows it, and it may let a probe pass but
not the data. After 1 s in which data went out and none came in, X probes the current path, again
and again with growing pauses while that lasts. What the other end alone sends X cannot see: so
after a change it asks likewise until the first data comes, and for half a minute at most; later
the PROBEs of the keepalive do. Two probes without answer, or reports that less than half of at
least 10 packets arrived in either direction, and the path has failed.
"""

from scapy_mobsec.registration.messages import Report

ONE_WAY = 1.0
LONGEST_PAUSE = 32.0
JUDGED_PACKETS = 10
MAX_REPORTS = 16
"""Reports in RREQs of one path that may still be answered."""

_MASK = 0xFFFF_FFFF


class PathCounters:
    """Data packets of one path, as this end saw them, and what both ends last said of them."""

    def __init__(self) -> None:
        self.received = 0
        self.sent = 0
        self.largest_received = 0
        self._asked: dict[int, int] = {}  # Identification -> packets sent before the RREQ
        self._last: tuple[int, int, Report] | None = None

    def report(self, identification: int) -> Report:
        """Return REPORT of an RREQ, and remember it for the answer."""
        if len(self._asked) >= MAX_REPORTS:
            del self._asked[next(iter(self._asked))]
        self._asked[identification] = self.sent
        largest = min(self.largest_received, 0xFFFF)
        return Report(self.received & _MASK, self.sent & _MASK, largest)

    def shows_loss(self, identification: int, theirs: Report | None) -> bool:
        """Tell from REPORT of an RREP, and an earlier pair, whether data is lost.

        Packets are counted from that pair on until they are enough to be judged.
        """
        sent = self._asked.pop(identification, None)
        if sent is None or theirs is None:
            return False
        pair = sent, self.received, theirs
        sent_before, received_before, before = self._last = self._last or pair
        out = _difference(sent, sent_before), _difference(theirs.received, before.received)
        back = _difference(theirs.sent, before.sent), _difference(self.received, received_before)
        if max(out[0], back[0]) >= JUDGED_PACKETS:
            self._last = pair
        return _lost(*out) or _lost(*back)


def _difference(after: int, before: int) -> int:
    return (after - before) & _MASK


def _lost(went: int, came: int) -> bool:
    return JUDGED_PACKETS <= went <= _MASK // 2 and 2 * came < went


class DataWatch:
    """When to probe a path, from when it became the current one; no data has come on it yet."""

    def __init__(self, now: float) -> None:
        self._one_way_since: float | None = now
        self._pause = ONE_WAY
        self._came = False

    @property
    def due(self) -> float | None:
        """When the path is to be probed."""
        return None if self._one_way_since is None else self._one_way_since + self._pause

    def data_sent(self, now: float) -> None:
        """Data went out on this path."""
        if self._one_way_since is None:
            self._one_way_since = now

    def data_received(self) -> None:
        """Data came in on this path."""
        self._one_way_since, self._came = None, True
        self._pause = ONE_WAY

    def probed(self, now: float) -> None:
        """A round of probes begins; while data still goes one way the next one comes later."""
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        asks_on = not self._came and self._pause < LONGEST_PAUSE
        self._one_way_since = now if asks_on else None
