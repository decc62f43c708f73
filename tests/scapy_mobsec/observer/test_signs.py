"""What registration messages say of where their link is, flag by flag."""

import pytest
from frames import reply, request

from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.observer.signs import Sign, sign_of
from scapy_mobsec.registration.messages import Attempt

PROBE, CONFIRM, USE = AttemptFlag.PROBE, AttemptFlag.CONFIRM, AttemptFlag.USE


@pytest.mark.parametrize(
    ("message", "sign"),
    [
        (None, Sign.DATA),
        (request(attempt=None), Sign.DATA),
        (request(), Sign.ASKS),
        (request(attempt=Attempt(1, 0, 1, 2)), Sign.ASKS_AMONG_OTHERS),
        (request(attempt=Attempt(1, USE, 1, 2)), Sign.USES),
        (request(attempt=Attempt(1, PROBE, 1, 2)), Sign.NOTHING),
        (request(flags=PROBE | USE), Sign.NOTHING),
        (request(flags=CONFIRM), Sign.VALIDATES),
        (reply(flags=USE), Sign.USES),
        (reply(flags=0), Sign.NOTHING),
        (reply(flags=PROBE), Sign.NOTHING),
    ],
)
def test_signs(message, sign):
    assert sign_of(message) is sign
