import pytest

from scapy_mobsec.ike.keys import IkeSaKeys

GCM = {
    "initiator_spi": bytes(8),
    "responder_spi": b"r" * 8,
    "encryption": "aes-gcm-16",
    "integrity": None,
}


def test_no_key_octets_show():
    keys = IkeSaKeys(**GCM, prf="hmac-sha1", sk_ei=b"e" * 36, sk_er=b"f" * 36, sk_d=b"d" * 20)
    text = repr(keys)
    assert "aes-gcm-16" in text
    assert not any(word in text for word in ("sk_", "eeee", "ffff", "dddd"))


@pytest.mark.parametrize(
    "change",
    [
        {"initiator_spi": bytes(4)},
        {"responder_spi": bytes(9)},
        {"sk_er": b"f" * 20},
        {"sk_ai": b"a" * 20},
        {"sk_ai": b"a" * 20, "sk_ar": b"a" * 32},
    ],
)
def test_what_no_ike_sa_has_is_refused(change):
    with pytest.raises(ValueError, match=r"octets|length"):
        IkeSaKeys(**{**GCM, "prf": None, "sk_ei": b"e" * 36, "sk_er": b"f" * 36, **change})
