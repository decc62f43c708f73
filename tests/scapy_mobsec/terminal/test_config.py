"""Configuration is checked where it is made, and shows no keys."""

from dataclasses import replace

import pytest
from terminals import AH_LINKS, AH_ONLY_LINKS, CBC_SAS, MOBILE_LINK, OTHER, TO_MOBILE

from scapy_mobsec.terminal.config import MobileConfiguration, OtherConfiguration


def test_keys_are_not_shown():
    text = repr(MobileConfiguration(AH_LINKS[0], OTHER)) + repr(OtherConfiguration((MOBILE_LINK,)))
    assert "spi=" in text
    assert repr(TO_MOBILE.encryption_key) not in text
    assert "_key=" not in text


def test_home_and_signalling_address_are_of_one_family():
    with pytest.raises(ValueError, match="families"):
        replace(MOBILE_LINK, signalling_address=bytes(16))


def test_a_link_verifies_what_it_receives():
    with pytest.raises(ValueError, match="integrity"):
        replace(MOBILE_LINK, inbound=(replace(CBC_SAS[0], integrity_key=None),))


def test_a_certificate_is_demanded_by_its_sha256():
    with pytest.raises(ValueError, match="SHA-256"):
        MobileConfiguration(MOBILE_LINK, OTHER, tls_verify=bytes(20))


@pytest.mark.parametrize("lifetime", [0, -1, 65536])
def test_lifetimes_fit_into_a_message(lifetime):
    with pytest.raises(ValueError, match="lifetime"):
        MobileConfiguration(MOBILE_LINK, OTHER, lifetime)
    with pytest.raises(ValueError, match="lifetime"):
        OtherConfiguration(max_lifetime=lifetime)


def test_a_link_has_an_sa_to_send_with():
    for changes in ({"ah": None}, {"inbound": (TO_MOBILE,)}):
        with pytest.raises(ValueError, match="SA to send with"):
            replace(AH_ONLY_LINKS[0], **changes)


def test_forced_traversal_needs_esp():
    MobileConfiguration(AH_LINKS[0], OTHER, forced=True)
    with pytest.raises(ValueError, match="no ESP SA"):
        MobileConfiguration(AH_ONLY_LINKS[0], OTHER, forced=True)
