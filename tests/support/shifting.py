"""A loop whose clock goes on at once where a test says so."""

from scapy_mobsec.drivers.live.loop import Loop


class ShiftingLoop(Loop):
    shift = 0.0

    @property
    def now(self):
        return super().now + self.shift

    def skip(self, seconds):
        """Let time pass, and do what is due then."""
        self.run(seconds=0.01)
        self.shift += seconds
        self.run(seconds=0.01)
