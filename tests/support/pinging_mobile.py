"""A mobile terminal without a device that pings the gateway through the tunnel, as a process.

    python pinging_mobile.py CONFIG

It says `replies=N` whenever replies have come. It is made to be killed.
"""

import sys
from itertools import count
from pathlib import Path

import click

from scapy_mobsec.drivers.live.loop import Loop
from scapy_mobsec.drivers.live.opening import RunningMobile
from scapy_mobsec.drivers.live.settings import load_mobile
from scapy_mobsec.packet.icmp import echo_request
from scapy_mobsec.ui.event_log import event_pairs, key_values

EVERY = 0.004


class Counting:
    """The inner end: counts what comes."""

    def __init__(self):
        self.replies = 0

    def write(self, packet):
        self.replies += 1
        click.echo(f"replies={self.replies}")

    def close(self):
        pass


def main():
    loop, numbers = Loop(), count()
    settings = load_mobile(Path(sys.argv[1]))
    link = settings.link

    def tell(now, event):
        click.echo(key_values(event_pairs(event)))

    running = RunningMobile(settings, loop, tell, use_tun=False)
    running.host.inner = Counting()

    def ping():
        number = next(numbers) % 65_536
        running.host.send(echo_request(link.home.packed, link.signalling.packed, number))
        loop.after(EVERY, ping)

    ping()
    loop.run()


if __name__ == "__main__":
    main()
