"""A TLS 1.3 connection with known secrets: what both ends say, for who reads it."""

from scapy_mobsec.drivers.memory.tls import client_hello, server_hello
from scapy_mobsec.encap.key_log import KeyLog, Secrets
from scapy_mobsec.encap.tls import (
    AES_128_GCM,
    Content,
    Handshake,
    Protection,
    TlsReader,
    message,
    plain_record,
    vector,
)

RANDOM, SHARE = bytes(range(32)), bytes(32)
SECRETS = Secrets(*(bytes((number,)) * 32 for number in range(1, 5)))
HELLO = client_hello(RANDOM, SHARE, "vpn.example")
CERTIFICATE = message(Handshake.CERTIFICATE, b"\0" + vector(3, vector(3, b"DER") + b"\0\0"))
FINISHED = message(Handshake.FINISHED, bytes(32))
KEY_UPDATE = message(Handshake.KEY_UPDATE, b"\0")
HANDSHAKE, DATA = Content.HANDSHAKE, Content.APPLICATION_DATA


def answer(suite=AES_128_GCM, random=bytes(32)):
    hello = server_hello(random, SHARE)
    return hello.replace(b"\0\x13\x01\0", b"\0" + suite.code.to_bytes(2, "big") + b"\0")


class Connection:
    """Both ends and a reader; `up` and `down` say something and return what is read of it."""

    def __init__(self, suite=AES_128_GCM, known=True):
        self.keys = KeyLog()
        self.keys.add(RANDOM if known else bytes(32), SECRETS)
        self.suite, self.reader = suite, TlsReader(self.keys)
        self.client = Protection(suite, SECRETS.client_handshake)
        self.server = Protection(suite, SECRETS.server_handshake)

    def handshake(self):
        """Return what is said, and by whom (whether by the client); data follows."""
        said = [
            (True, plain_record(HANDSHAKE, HELLO)),
            (False, plain_record(HANDSHAKE, answer(self.suite))),
            (False, self.server.seal(HANDSHAKE, CERTIFICATE + FINISHED)),
            (True, self.client.seal(HANDSHAKE, FINISHED)),
        ]
        self.client = Protection(self.suite, SECRETS.client_traffic)
        self.server = Protection(self.suite, SECRETS.server_traffic)
        return said

    def hello(self):
        self.up(plain_record(HANDSHAKE, HELLO))
        self.down(plain_record(HANDSHAKE, answer(self.suite)))
        return self

    def opened(self):
        for from_client, octets in self.handshake():
            self.reader.receive(octets, from_client=from_client)
        return self

    def up(self, octets):
        return self.reader.receive(octets, from_client=True)

    def down(self, octets):
        return self.reader.receive(octets, from_client=False)
