"""Events are values."""

from dataclasses import FrozenInstanceError
from typing import get_args

import pytest
from terminals import NEW, path_at_mobile

from scapy_mobsec.packet.path import Encapsulation
from scapy_mobsec.terminal import events


@pytest.mark.parametrize("event", get_args(events.Event), ids=lambda event: event.__name__)
def test_events_are_frozen_slotted_and_told_of(event):
    assert event.__dataclass_params__.frozen
    assert not hasattr(event, "__dict__") or "__slots__" in vars(event)
    assert event.__name__ in events.__doc__


def test_registered_names_its_encapsulation():
    registered = events.Registered(1, path_at_mobile(NEW), 0.05, 60, (), (), (), (), (), ())
    assert registered.encapsulation is Encapsulation.UDP
    with pytest.raises(FrozenInstanceError):
        registered.rtt = 1.0
