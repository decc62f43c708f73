from dataclasses import replace

import pytest
from frames import reply, request
from shown import shown

from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.observer.ike_messages import Reading
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.registration.messages import Attempt
from scapy_mobsec.ui.message_text import ike_text, message_text


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (request(), "RREQ #1"),
        (request(flags=AttemptFlag.PROBE | AttemptFlag.FORCED), "RREQ #1 FORCED PROBE"),
        (request(attempt=Attempt(3, 0, index=1, count=4)), "RREQ #3.1"),
        (replace(request(), lifetime=0), "RREQ #1 lifetime 0"),
        (reply(challenge=bytes(8)), "RREP #1 accepted USE CHALLENGE"),
        (reply(code=133, flags=0), "RREP #1 identification mismatch (133)"),
        (
            reply(flags=0, selected=(EncapsulationItem(0), EncapsulationItem(5))),
            "RREP #1 accepted -> native http-post",
        ),
        (reply(attempt=None), "RREP accepted"),
    ],
)
def test_registrations(message, text):
    assert message_text(message) == text


def test_ike_names_what_it_holds_and_says_what_is_not_sure():
    first, second = shown("strongswan-natt").report.ike[0].exchanges[:2]
    assert ike_text(first.request) == "IKE_SA_INIT #0: sa, ke, nonce, REDIRECT_SUPPORTED"
    assert ike_text(second.response) == "IKE_AUTH #1 response: encrypted"
    unverified = replace(first.request, reading=Reading.UNVERIFIED)
    assert ike_text(unverified).endswith("NOT VERIFIED")
