"""A terminal that does nothing by itself: a test tells it what to send, and reads what came."""

from scapy_mobsec.terminal.base import Terminal


class Puppet(Terminal):
    """`came`: input, path and time of every `receive`; `deadlines`: due times, kept in order."""

    def __init__(self):
        super().__init__(max_sas=1)
        self.came, self.outputs, self.deadlines, self.woken = [], [], [], []
        self.places, self.mtus = [], []

    def receive(self, data, path, now):
        self.came.append((data, path, now))

    def transmits(self, now):
        outputs, self.outputs = self.outputs, []
        return outputs

    def timer(self):
        return min(self.deadlines, default=None)

    def handle_timer(self, now):
        self.woken.append(now)
        self.deadlines = [due for due in self.deadlines if due > now]

    def move(self, endpoints, now, kept=()):
        self.places.append((list(endpoints), now, list(kept)))

    def packet_too_big(self, outer_mtu, path, quoted):
        self.mtus.append((outer_mtu, path, quoted))

    def send(self, packet, now):
        self._received.append(packet)

    def _receive_message(self, link, message, arrival, now):
        raise NotImplementedError

    def _stream_closed(self, path, reason, now):
        raise NotImplementedError
