"""Y played against a script: what a test gives it, and what it then sends and tells."""

from terminals import PING, events

from scapy_mobsec.registration.messages import parse_reply
from scapy_mobsec.terminal.events import BindingMoved


def later(pair, seconds):
    """Let time pass, every timer at its time; return what Y sends."""
    end, sent = pair.now + seconds, []
    while (due := pair.other.timer()) is not None and due <= end:
        pair.now = max(pair.now, due)
        pair.other.handle_timer(pair.now)
        sent += pair.other.transmits(pair.now)
    pair.now = end
    return sent


def replies(pair, transmits):
    return [parse_reply(pair.read_reply(transmit)) for transmit in transmits]


def data_from(pair, source):
    pair.to_other(pair.as_mobile.seal_data(PING), source)
    return pair.other.transmits(pair.now)


def told(pair, *kinds):
    return [event for event in events(pair.other) if isinstance(event, kinds)]


def moves(pair):
    return [(event.new.remote, event.cause) for event in told(pair, BindingMoved)]
