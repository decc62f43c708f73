"""A layer that changes nothing is not seen by its user."""

import pytest
from wires import Streams

from scapy_mobsec.drivers.memory import Delay
from scapy_mobsec.drivers.stream_layers import Layer


def test_a_layer_in_between():
    play = Streams(Delay(0.025), layer=lambda user, network: Layer(user))
    user = play.user()
    layer = Layer(user)
    layer.close()  # nothing to close yet
    connection = play.connect(layer)
    layer.write(b"early")
    play.network.run_for(1)
    assert play.accepted[0].data == b"early"
    assert (layer.local, layer.remote, layer.headers) == (
        connection.local,
        connection.remote,
        connection.headers,
    )
    layer.write(b", late")
    layer.close()
    play.network.run_for(1)
    assert play.accepted[0].data == b"early, late"
    assert user.story[-1][1] == "closed"


def test_fail_and_abort_reset_the_peer():
    for end in (lambda layer: layer.fail("nonsense"), lambda layer: layer.abort()):
        play = Streams()
        user = play.user()
        layer = Layer(user)
        play.connect(layer)
        play.network.run_for(1)
        end(layer)
        play.network.run_for(1)
        assert play.accepted[0].story[-1][1] == "reset"
    with pytest.raises(RuntimeError):
        _ = Layer(user).local
