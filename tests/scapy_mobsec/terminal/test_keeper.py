"""X's care for its registration, as charts: what comes in, what must go out, and when."""

from itertools import pairwise

import pytest
from scripted import NATIVE, PROBE, TCP, UDP, USE, Script, items
from terminals import OLD, PING, PONG, START, TRANSLATED

from contrib_layers.numbers import AttemptFlag, FieldCode, NatureCode
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration.description import EncapsulationItem
from scapy_mobsec.registration.messages import Report, TranslationItem
from scapy_mobsec.registration.transitions import MobileState
from scapy_mobsec.terminal.choice import Decider
from scapy_mobsec.terminal.driving import Closed, Established
from scapy_mobsec.terminal.events import (
    FallBackReason,
    FellBack,
    KeepaliveLost,
    MappingChanged,
    PathChosen,
    TraversalDropped,
)

CHALLENGE = bytes(range(8))
BOTH = {"selected": items(NATIVE, UDP)}


def registered(*allow, seen=None, supported=tuple(Encapsulation), flags=USE, **configuration):
    """X is registered by udp (or the only encapsulation); the clock is back at the start."""
    script = Script(*(allow or (NATIVE, UDP)), **configuration)
    script.move()
    script.reply(script.last(), flags=flags, seen=seen, supported=items(*supported))
    return script


def dropped(**configuration):
    """X has dropped traversal: native is the current path."""
    script = registered(**configuration)
    script.reply(script.last(NATIVE), flags=PROBE, challenge=CHALLENGE, **BOTH)
    script.reply(script.last(NATIVE, USE), **BOTH, report=Report(0, 0, 0))
    script.took()
    script.events()
    return script


def test_traversal_is_dropped_after_the_probe_and_its_challenge():
    script = registered()
    assert script.took() == ["0 udp RREQ #1 1/1", "0 native RREQ #1 1/1 PROBE"]
    probe = script.last(NATIVE)
    assert len(probe.data) >= script.mobile.inner_mtu
    script.reply(probe, flags=PROBE, challenge=CHALLENGE, **BOTH)
    assert script.took() == ["0 native RREQ #1 1/1 CONFIRM", "0 native RREQ #1 1/1 USE"]
    assert script.last(NATIVE).path == script.native()
    assert script.mobile.path.encapsulation is UDP  # data stays where it works
    script.reply(script.last(NATIVE, USE), **BOTH)
    assert script.mobile.path == script.native()
    (event,) = script.events(TraversalDropped)
    assert (event.old.encapsulation, event.new) == (UDP, script.native())


@pytest.mark.parametrize(
    "why",
    [
        {"seen": TRANSLATED},
        {"supported": (UDP, TCP)},
        {"forced": True},
        {"flags": USE | AttemptFlag.FORCED},
        {"decider": Decider.FIXED},
        {"allow": (UDP,)},
    ],
    ids=lambda why: next(iter(why)),
)
def test_traversal_is_not_dropped(why):
    why = dict(why)
    script = registered(*why.pop("allow", ()), **why)
    script.wait(30)
    assert not [line for line in script.took() if "native" in line]


def test_a_translation_that_only_y_sees_keeps_traversal():
    script = Script(NATIVE, UDP)
    script.move()
    source_port = TranslationItem(1, FieldCode.SOURCE_PORT, NatureCode.PORT)
    script.reply(script.last(), translations=(source_port,))
    script.wait(30)
    assert not [line for line in script.took() if "native" in line]


def test_a_translation_that_only_x_sees_keeps_traversal():
    script = Script(NATIVE, UDP)
    script.move()
    request = script.last()
    elsewhere = Script(UDP)
    elsewhere.move(OLD)
    sent = elsewhere.last().request.sent
    script.reply(request, translations=(), sent=sent)
    script.wait(30)
    assert not [line for line in script.took() if "native" in line]


def test_use_is_repeated_until_y_says_so():
    script = registered()
    script.reply(script.last(NATIVE), flags=PROBE, challenge=CHALLENGE, **BOTH)
    script.took()
    script.reply(script.last(NATIVE, USE), flags=PROBE, **BOTH)
    assert script.took() == []
    script.wait(1.6)
    assert script.took() == ["500 native RREQ #1 1/1 USE", "1500 native RREQ #1 1/1 USE"]
    assert script.mobile.path.encapsulation is UDP
    script.reply(script.last(NATIVE, USE))
    script.wait(0.9)
    assert script.took() == []


def test_y_decides_by_the_reply_with_the_highest_esp_number():
    script = registered()
    probe = script.last(NATIVE)
    script.link.outbound.skip(100)
    script.reply(script.last(UDP), flags=PROBE, challenge=CHALLENGE, selected=items(UDP))
    script.took()
    script.link.outbound.next_sequence -= 50  # overtaken on the way
    script.reply(probe, flags=PROBE, challenge=CHALLENGE, selected=items(NATIVE))
    assert script.took() == ["0 native RREQ #1 1/1 CONFIRM"]


def test_what_y_selects_is_not_used_if_it_is_not_allowed_or_did_not_pass():
    script = registered(UDP)
    script.reply(script.last(UDP), challenge=CHALLENGE, selected=items(NATIVE, TCP, UDP))
    assert "USE" not in "".join(script.took())


def test_x_decides_by_itself():
    script = registered(decider=Decider.MOBILE)
    script.reply(script.last(NATIVE), flags=PROBE, selected=items(UDP))
    assert script.took()[-1] == "0 native RREQ #1 1/1 USE"


def test_better_encapsulations_are_probed_from_10_s_doubling_to_10_min():
    script = registered(decider=Decider.MOBILE)
    script.wait(1700)
    times = [out.at for out in script.outs if out.path.encapsulation is NATIVE]
    begins = times[:1] + [later for earlier, later in pairwise(times) if later - earlier > 3]
    pauses = [later - earlier - 3.5 for earlier, later in pairwise(begins)]
    assert pauses == [10, 20, 40, 80, 160, 320, 600]
    assert script.mobile.path.encapsulation is UDP


def test_from_a_stream_udp_is_tried_and_used():
    script = Script(UDP, TCP, start=(TCP,), decider=Decider.MOBILE)
    script.move()
    (out,) = script.outs
    real = Path(TCP, Endpoint(out.path.local.address, 50_000), out.path.remote)
    script.tell(Established(out.path, ()), real)
    script.reply(script.last(TCP))
    assert script.mobile.path == real
    script.took()
    script.wait(10.1)
    assert script.took() == ["10000 udp RREQ #1 1/1 PROBE"]
    script.reply(script.last(UDP), flags=PROBE)
    script.reply(script.last(UDP, USE))
    (event,) = script.events(PathChosen)
    assert (event.old, event.new.encapsulation) == (real, UDP)


def test_one_way_data_is_watched_and_two_unanswered_probes_lead_back():
    script = dropped()
    for _ in range(3):
        script.send(PING)
        script.wait(0.3)
    script.took()
    script.wait(2.0)
    assert script.took() == [
        "1000 native RREQ #1 1/1 PROBE",
        "1500 native RREQ #1 1/1 PROBE",
        "2500 udp RREQ #1 1/1 USE",
    ]
    assert script.mobile.path.encapsulation is UDP
    (event,) = script.events(FellBack)
    assert event.reason is FallBackReason.NO_ANSWER
    script.reply(script.last(UDP, USE), **BOTH)
    assert script.mobile.path.encapsulation is UDP  # native is forgotten, whatever Y selects
    script.took()
    script.wait(25)
    assert script.took()[0].endswith("native RREQ #1 1/1 PROBE")


def test_data_that_comes_back_is_well():
    script = dropped()
    for _ in range(8):
        script.send(PING)
        script.wait(0.3)
        script.give_data(PONG, script.mobile.path)
    assert script.took() == [f"{300 * n} native data" for n in range(8)]
    script.wait(60)
    assert script.events(FellBack) == []


@pytest.mark.parametrize(
    ("sent", "received", "lost"), [(9, 0, False), (10, 4, True), (10, 5, False), (12, 5, True)]
)
def test_reports_of_less_than_half_lead_back(sent, received, lost):
    script = dropped()
    for _ in range(sent):
        script.send(PING)
    script.wait(1.0)
    assert script.last(NATIVE).request.report == Report(0, sent, 0)
    script.reply(script.last(NATIVE), report=Report(received, 0, 100))
    assert [event.reason for event in script.events(FellBack)] == lost * [FallBackReason.DATA_LOST]


def test_reports_show_what_does_not_come_in():
    script = dropped()
    script.send(PING)
    for _ in range(3):
        script.give_data(PONG, script.native())
    script.send(PING)
    script.wait(1.0)
    script.reply(script.last(NATIVE), report=Report(2, 10, 100))
    assert len(script.events(FellBack)) == 1


def test_until_data_comes_x_asks_whether_any_was_sent_but_not_for_ever():
    script, asked = dropped(keepalive=0), []
    for _ in range(100):
        script.wait(1)
        for out in script.outs[len(asked) :]:
            asked.append(out)
            script.reply(out, **BOTH, report=None)
    script.give_data(PONG, script.native())
    script.wait(600)
    assert script.took() == [f"{n}000 native RREQ #1 1/1 PROBE" for n in (1, 3, 7, 15, 31)]
    assert script.events(FellBack) == []


@pytest.mark.parametrize(("each_second", "noticed_after"), [(100, 1), (9, 3), (1, 15)])
def test_what_y_alone_sends_is_missed(each_second, noticed_after):
    script = dropped()
    for second in range(1, 16):
        script.wait(1)
        assert not script.events(FellBack)
        for out in script.outs:
            script.reply(out, **BOTH, report=Report(0, each_second * second, 0))
        script.outs.clear()
        if found := script.events(FellBack):
            assert (second, found[0].reason) == (noticed_after, FallBackReason.DATA_LOST)
            return
    raise AssertionError("not noticed")


def test_no_watch_on_the_path_of_the_registration():
    script = registered(UDP)
    script.took()
    script.send(PING)
    script.wait(20)
    assert script.took() == ["0 udp data"]


def test_keepalives_of_a_datagram_path():
    script = registered(UDP, keepalive=20)
    script.took()
    script.wait(60.1)
    assert script.took() == ["20000 udp 0xFF", "40000 udp 0xFF", "60000 udp RREQ #1 1/1 PROBE"]
    script.reply(script.last(), flags=USE)
    script.wait(20)
    assert script.took() == ["80000 udp 0xFF"]


def test_native_is_kept_alive_by_dummies():
    script = dropped(keepalive=20)
    script.give_data(PONG, script.native())
    script.wait(60.1)
    assert script.took() == [
        "20000 native nothing",
        "40000 native nothing",
        "60000 native RREQ #1 1/1 PROBE",
    ]


def test_three_unanswered_probes_start_an_attempt():
    script = registered(UDP, keepalive=20)
    script.took()
    script.wait(63.1)
    assert script.took()[2:] == [
        "60000 udp RREQ #1 1/1 PROBE",
        "60500 udp RREQ #1 1/1 PROBE",
        "61000 udp RREQ #1 1/1 PROBE",
        "63000 udp RREQ #2 1/1",
    ]
    assert script.events(KeepaliveLost) == [KeepaliveLost(1, script.mobile.path)]
    assert script.mobile.state is MobileState.REGISTERING


def test_another_mapping_starts_an_attempt():
    script = registered(UDP, keepalive=20, seen=TRANSLATED)
    script.wait(60.1)
    script.took()
    script.reply(script.last(), flags=USE, seen=TRANSLATED)
    assert script.took() == []
    script.wait(60)
    script.took()
    script.reply(script.last(), flags=USE, seen=OLD)
    assert script.took() == ["120100 udp RREQ #2 1/1"]
    assert len(script.events(MappingChanged)) == 1


def test_an_attempt_forgets_the_paths_before():
    script = dropped()
    script.move(OLD)
    assert script.mobile.path.encapsulation is UDP
    script.wait(3)
    assert not [line for line in script.took() if "native" in line]


@pytest.mark.parametrize(("asked", "granted"), [(1, 1), (60, 1), (60, 0)])
def test_the_shortest_lifetime_is_renewed_at_half(asked, granted):
    script = Script(UDP, lifetime=asked)
    script.move(OLD)
    script.reply(script.last(), lifetime=granted)
    script.wait(0.9)
    assert script.took() == ["0 udp RREQ #1 1/1", "500 udp RREQ #1 1/1"]


def test_a_refresh_goes_on_along_the_new_path():
    script = registered(NATIVE, UDP, lifetime=2)
    script.wait(1.0)
    assert script.took()[-1] == "1000 udp RREQ #1 1/1"
    refresh = script.open[-1]
    script.reply(script.last(NATIVE, PROBE), flags=PROBE, **BOTH)
    script.reply(script.last(NATIVE, USE), **BOTH)
    assert script.took()[-1] == "1000 native RREQ #1 1/1"
    script.reply(refresh, flags=0, challenge=CHALLENGE)  # Y uses another path: no surprise
    assert script.mobile.attempt == 1
    script.reply(script.last(NATIVE, 0))
    assert script.mobile.state is MobileState.REGISTERED


def test_a_keepalive_of_the_path_before_is_not_missed():
    script = registered(NATIVE, UDP, keepalive=20)
    native = script.last(NATIVE)
    script.wait(60.1)
    assert script.took()[-1].endswith("udp RREQ #1 1/1 PROBE")
    script.mobile._use(native.path, script.now)
    script.collect()
    script.reply(script.last(NATIVE, USE), **BOTH)
    script.wait(5)
    assert script.events(KeepaliveLost) == []


def test_y_has_left_the_path_and_is_told_to_use_it():
    script = registered(UDP, keepalive=20)
    script.wait(60.1)
    script.took()
    script.reply(script.last(), flags=PROBE)
    assert script.took() == ["60100 udp RREQ #1 1/1 USE"]


def test_what_passed_but_was_not_selected_is_not_probed_again():
    script = registered()
    script.reply(script.last(NATIVE), flags=PROBE, selected=items(UDP))
    script.took()
    script.wait(700)
    assert script.took() == []


def test_a_known_good_stream_that_was_closed_is_opened_again():
    script = Script(UDP, TCP, start=(TCP,), decider=Decider.MOBILE)
    script.move()
    wanted = script.outs[0].path
    tcp = wanted._replace(local=Endpoint(wanted.local.address, 50_000))
    script.tell(Established(wanted, ()), tcp)
    script.reply(script.last(TCP))
    script.wait(10.1)
    script.reply(script.last(UDP), flags=PROBE)
    script.reply(script.last(UDP, USE))
    script.tell(Closed("idle"), tcp)
    script.send(PING)
    script.took()
    script.wait(3.0)
    script.send(PING)
    assert script.took()[-1].endswith("tcp open")
    again = wanted._replace(local=Endpoint(wanted.local.address, 50_001))
    script.tell(Established(wanted, ()), again)
    assert [line.split(" ", 1)[1] for line in script.took()] == [
        "tcp prefix",
        "tcp RREQ #1 1/1 USE",
        "tcp data",
    ]
    script.reply(script.last(TCP, USE))
    assert script.mobile.path == script.mobile._confirmed == again


def test_y_may_ask_for_more_signs_of_life():
    script = Script(UDP, keepalive=20)
    script.move()
    script.reply(script.last(), selected=(EncapsulationItem(1, keepalive=7),))
    script.took()
    script.wait(15)
    assert script.took() == ["7000 udp 0xFF", "14000 udp 0xFF"]


@pytest.mark.parametrize("ends", ["deregistering", "refused"])
def test_a_repeated_challenge_changes_nothing_once_x_has_ended_its_attempt(ends):
    short = (EncapsulationItem(NATIVE.code, keepalive=1), EncapsulationItem(UDP.code))
    script = registered(lifetime=10)
    script.reply(script.last(NATIVE), flags=PROBE)
    if ends == "deregistering":
        script.mobile.deregister(script.now)
    else:
        script.wait(5)
        script.reply(script.last(UDP), code=129)
    script.collect()
    path, state = script.mobile.path, script.mobile.state
    script.took()
    script.reply(
        script.last(NATIVE, PROBE), flags=PROBE, challenge=CHALLENGE, supported=short, **BOTH
    )
    assert script.took() == [f"{(script.now - START) * 1e3:.0f} native RREQ #1 1/1 CONFIRM"]
    script.wait(31)
    assert script.events(TraversalDropped, KeepaliveLost) == []
    assert (script.mobile.path, script.mobile.state) == (path, state)
