"""Charts in every carrier, with losses and without keys; and what a failing run tells."""

import pytest
from terminals import (
    AH_LINKS,
    AH_TO_MOBILE,
    AH_TO_OTHER,
    HOME,
    INNER_HOST,
    MOBILE_LINK,
    PING,
    PONG,
    TO_MOBILE,
    TO_OTHER,
    a_request,
)
from wires import CLIENT, SERVER, Streams, User, a_packet, in_tls

from contrib_layers.numbers import AttemptFlag
from scapy_mobsec.drivers.memory import (
    EPOCH,
    SECOND,
    Delay,
    Duplication,
    ForwardProxy,
    Loss,
    MemoryNetwork,
    Reordering,
    Tap,
    chart,
    explained,
)
from scapy_mobsec.drivers.memory.chart import message_text
from scapy_mobsec.drivers.memory.links import too_big
from scapy_mobsec.drivers.memory.packet import ACK, SYN, Packet, TcpFields
from scapy_mobsec.drivers.memory.tls import TlsClient
from scapy_mobsec.drivers.stream_layers import ThroughProxy
from scapy_mobsec.encap import udp
from scapy_mobsec.encap.http_post import Channels
from scapy_mobsec.encap.stream import client_carrier, server_carrier
from scapy_mobsec.esp.sa import OutboundSa
from scapy_mobsec.packet.ip import AH, ESP, TCP, build_ip, parse_ip
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration.messages import (
    Attempt,
    RegistrationReply,
    TranslationItem,
    build_request,
)
from scapy_mobsec.terminal.link import Link

START = EPOCH * SECOND
SAS = (TO_OTHER, TO_MOBILE)


def esp_packets():
    """An RREQ and a data packet of X."""
    link = Link(MOBILE_LINK, at_mobile=True, random_bytes=bytes)
    return link.seal_message(build_request(a_request())), link.seal_data(PING)


def words(packet, sas=SAS):
    (line,) = chart([(START + SECOND // 40, packet)], sas)
    return line


def test_datagrams():
    request, data = esp_packets()
    ends = "10.0.0.2:4500 > 203.0.113.2:4500"
    assert words(a_packet(payload=request)) == f"25 ms  udp {ends}  RREQ #1"
    assert words(a_packet(payload=data)) == f"25 ms  udp {ends}  ping 1"
    assert words(a_packet(payload=b"\xff")).endswith("keepalive")
    assert words(a_packet(payload=bytes(40))).endswith("IKE")
    assert words(a_packet(payload=b"?")).endswith("1 octets")
    native = a_packet(Endpoint(CLIENT.address), Endpoint(SERVER.address), request, ESP)
    assert words(native) == "25 ms  esp 10.0.0.2 > 203.0.113.2  RREQ #1"
    assert words(native._replace(protocol=AH, payload=b"1234")).endswith("4 octets")
    notice = words(too_big(native, 1280))
    assert notice == "25 ms  icmp 203.0.113.2 > 10.0.0.2  too big for 1280 octets"


def test_ah():
    source, destination = Endpoint(CLIENT.address), Endpoint(SERVER.address)
    path = Path(Encapsulation.NATIVE, source, destination, ah=True)
    link = Link(AH_LINKS[0], at_mobile=True, random_bytes=bytes)
    request, data = (
        parse_ip(octets).payload
        for octets in (
            link.seal_message(build_request(a_request()), path),
            link.seal_data(PING, path),
        )
    )
    sas = (*SAS, AH_TO_OTHER, AH_TO_MOBILE)
    packet = a_packet(source, destination, request, AH)
    assert words(packet, sas) == "25 ms  ah 10.0.0.2 > 203.0.113.2  RREQ #1"
    assert words(packet._replace(payload=data), sas).endswith("  ping 1")
    translated = packet._replace(source=Endpoint.of("192.0.2.1"))
    assert words(translated, sas).endswith("AH 0x00001111: integrity check failed")
    assert words(packet).endswith(f"AH 0x00001111, {packet.length} octets")


def test_what_the_keys_do_not_open():
    request, _ = esp_packets()
    packet = a_packet(payload=request)
    assert words(packet, ()).endswith(f"ESP 0x00001111, {len(request)} octets")
    changed = packet._replace(payload=request[:-1] + bytes((request[-1] ^ 1,)))
    assert words(changed).endswith("ESP 0x00001111: integrity check failed")
    sa = OutboundSa(TO_OTHER, random_bytes=bytes)
    assert words(packet._replace(payload=sa.seal(b"", 59))).endswith("dummy")


def test_data_that_is_no_echo_is_counted():
    sa = OutboundSa(TO_OTHER, random_bytes=bytes)
    for inner, next_header, text in (
        (build_ip(HOME, INNER_HOST, 17, bytes(12)), 4, "data 32"),
        (build_ip(HOME, INNER_HOST, 1, b""), 4, "data 20"),
        (PONG, 4, "pong 0"),
        (PING[20:], 1, "ping 1"),  # transport mode
        (b"?", 4, "ESP 0x00001111: not a well-formed IP packet"),
    ):
        assert words(a_packet(payload=sa.seal(inner, next_header))).endswith(text)


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (0, "RREP #7 code 0"),
        (AttemptFlag.USE, "RREP #7 code 0 USE 1 translations CHALLENGE"),
    ],
)
def test_replies(flags, text):
    more = {"translations": (TranslationItem(0, 1, 1),), "challenge": bytes(8)} if flags else {}
    reply = RegistrationReply(1, 0, 300, bytes(4), bytes(4), attempt=Attempt(7, flags), **more)
    assert message_text(reply) == text


def test_requests_that_end_or_probe():
    request = a_request(lifetime=0, attempt=Attempt(3, AttemptFlag.PROBE))
    assert message_text(request) == "RREQ #3 PROBE lifetime 0"


def on_a_stream(
    encapsulation, *, tls=False, proxy=False, cut=10_000, before=(), after=(), seed=1, patience=1
):
    """Carry an RREQ and data on a stream, each way; return the chart's words of octets."""
    tap = Tap()
    options = {"layer": in_tls(b"certificate")} if tls else {}
    play = Streams(*before, tap, *after, Delay(0.025), seed=seed, **options)
    user = User(play.network)
    remote = Endpoint(SERVER.address, 443)
    stream = TlsClient(user, play.network) if tls else user
    if proxy:
        stream, remote = ThroughProxy(stream, str(remote)), Endpoint.of("198.51.100.80", 8080)
        ForwardProxy(play.network, play.network.core, remote)
    play.client.connect(Endpoint(CLIENT.address), remote, stream)
    play.network.run_for(patience)
    (accepted,) = play.accepted
    mine = client_carrier(encapsulation, SERVER)
    theirs = server_carrier(is_own=lambda host, port: True)
    user.stream.write(mine.start())
    play.network.run_for(patience)
    theirs.receive(accepted.data)
    accepted.stream.write(theirs.take_output())
    play.network.run_for(patience)
    mine.receive(user.data)
    for carrier, writer in ((mine, user.stream), (theirs, accepted.stream)):
        octets = b"".join(carrier.wrap(udp.Content.ESP, packet) for packet in esp_packets())
        for start in range(0, len(octets), cut):
            writer.write(octets[start : start + cut])
            play.network.run_for(0.01)
    play.network.run_for(patience)
    lines = chart(tap.packets, SAS, tls_keys=play.network.tls_keys)
    return [line.split("octets, ")[1] for line in lines if "octets, " in line]


@pytest.mark.parametrize(
    ("encapsulation", "options"),
    [
        (Encapsulation.TCP, {}),
        (Encapsulation.TCP, {"cut": 50}),
        (Encapsulation.TLS, {"tls": True}),
        (Encapsulation.HTTP, {}),
        (Encapsulation.HTTP, {"tls": True, "cut": 50}),
        (Encapsulation.TLS, {"tls": True, "proxy": True}),
    ],
)
def test_streams(encapsulation, options):
    found = ", ".join(on_a_stream(encapsulation, **options))
    assert found == ", ".join(["RREQ #1", "ping 1"] * 2)


def test_tls_without_its_secrets_is_octets():
    tap = Tap()
    play = Streams(tap, layer=in_tls(b"certificate"))
    stream = TlsClient(play.user(), play.network)
    play.connect(stream)
    stream.write(b"IKETCP")
    play.network.run_for(1)
    assert play.accepted[0].data == b"IKETCP"
    assert not any("IKE" in line or "," in line for line in chart(tap.packets, SAS))


def test_posts():
    channels = Channels(lambda: bytes(16), lambda named: None)
    mine = client_carrier(Encapsulation.HTTP_POST, SERVER)
    theirs = server_carrier(is_own=lambda host, port: True, channels=channels)
    request, ping = esp_packets()
    mine.wrap(udp.Content.ESP, request)
    asked = mine.settle()
    theirs.receive(asked)
    theirs.wrap(udp.Content.ESP, ping)
    answered = theirs.settle()
    ends = (CLIENT, SERVER), (SERVER, CLIENT)
    sent = (SYN, 99, b""), (SYN | ACK, 199, b""), (ACK, 100, asked), (ACK, 200, answered)
    packets = [
        (START, Packet(TCP, *ends[number % 2], octets, TcpFields(flags, sequence)))
        for number, (flags, sequence, octets) in enumerate(sent)
    ]
    assert [line.rpartition(", ")[2] for line in chart(packets, SAS)[2:]] == ["RREQ #1", "ping 1"]


@pytest.mark.parametrize("where", ["before", "after"])
def test_octets_that_were_lost_and_repeated_are_read_once(where):
    for seed in range(5):
        loss = [Loss(0.3, 4), Duplication(0.5), Reordering(0.3, 0.1)]
        found = on_a_stream(Encapsulation.TCP, cut=50, **{where: loss}, seed=seed, patience=60)
        assert sorted(", ".join(found).split(", ")) == ["RREQ #1"] * 2 + ["ping 1"] * 2


def test_a_repeated_syn_begins_nothing_and_a_gap_is_waited_for():
    request, _ = esp_packets()
    frame = b"IKETCP" + (len(request) + 2).to_bytes(2, "big") + request

    def segment(sequence, flags, payload=b""):
        return START, Packet(TCP, CLIENT, SERVER, payload, TcpFields(flags, sequence))

    lines = chart(
        [
            segment(99, SYN),
            segment(100, ACK, frame[:10]),
            segment(99, SYN),
            segment(150, ACK, frame[50:]),
            segment(105, ACK, frame[5:60]),
            segment(100, ACK, frame),
        ],
        SAS,
    )
    assert [line.rpartition("  ")[2] for line in lines] == [
        "SYN",
        "10 octets",
        "SYN",
        f"{len(frame) - 50} octets",
        "55 octets, RREQ #1",
        f"{len(frame)} octets",
    ]


def test_a_stream_whose_begin_was_not_seen_and_nonsense_on_one():
    fields = TcpFields(ACK, 5, 6)
    lone = Packet(TCP, CLIENT, SERVER, b"octets", fields)
    assert words(lone).endswith("6 octets")
    tap = Tap()
    play = Streams(tap)
    play.connect(play.user()).write(b"SSH-2.0")
    play.network.run_for(1)
    assert chart(tap.packets)[2].endswith("7 octets")
    assert chart(tap.packets)[0].endswith("SYN")


def test_a_failing_run_tells_its_seed_its_network_and_its_packets():
    network, tap = MemoryNetwork(seed=42), Tap("at Y")
    tap.packets.append((START, a_packet(payload=b"\xff")))
    with pytest.raises(AssertionError) as failure, explained(network, [tap]):
        raise AssertionError
    notes = "\n".join(failure.value.__notes__)
    assert "seed 42\ninternet" in notes
    assert "tap at Y\n0 ms  udp 10.0.0.2:4500 > 203.0.113.2:4500  keepalive" in notes
