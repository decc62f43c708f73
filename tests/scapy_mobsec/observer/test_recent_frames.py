"""The same octets within a second are a frame captured twice."""

import pytest

from scapy_mobsec.observer import recent_frames
from scapy_mobsec.observer.recent_frames import DUPLICATE_WINDOW_NS, RecentFrames


@pytest.mark.parametrize(
    ("after", "repeats"),
    [(0, True), (DUPLICATE_WINDOW_NS, True), (DUPLICATE_WINDOW_NS + 1, False), (-1, True)],
)
def test_within_a_second(after, repeats):
    frames = RecentFrames()
    assert not frames.repeats(7, 10**18)
    assert not frames.repeats(8, 10**18)
    assert frames.repeats(7, 10**18 + after) is repeats


def test_the_oldest_are_forgotten(monkeypatch):
    monkeypatch.setattr(recent_frames, "MAX_RECENT_FRAMES", 2)
    frames = RecentFrames()
    seen = [frames.repeats(digest, 0) for digest in (1, 2, 1, 3, 2, 1)]
    assert seen == [False, False, True, False, False, False]
    assert len(frames) == 2
