"""The six properties on random plans (the command `run.py` judges many more), and their judge.

Each break takes away what a property rests on; the judge has to see that.
"""

import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from judging import PROPERTIES, verdict
from plans import Burst, Move, Place, Plan, Reboot, Restart, plans
from world import World

from scapy_mobsec.registration.transitions import OtherEvent
from scapy_mobsec.terminal import paths, proving
from scapy_mobsec.terminal.binding import Binding
from scapy_mobsec.terminal.mobile import MobileTerminal
from scapy_mobsec.terminal.other import OtherTerminal
from scapy_mobsec.terminal.paths import PathState

RUN = Path(__file__).with_name("run.py")
SLOW = Place(delay=0.3)
CALM = Plan(1, ("udp",), (), "OTHER", (SLOW,), ())


@settings(max_examples=80, derandomize=True, suppress_health_check=list(HealthCheck))
@given(plans())
def test_every_property_holds(plan):
    found = verdict(plan)
    assert not found.failures, found.explanation()


def test_a_plan_is_replayed_from_its_text():
    attacked = replace(CALM, steps=(Move(2.0, 0),), loss=0.3, attacks=("race",), attack_rate=1.0)
    first, again = verdict(attacked), verdict(eval(repr(attacked)))
    assert first.world.tap.packets == again.world.tap.packets


def no_answer(monkeypatch):
    monkeypatch.setattr(OtherTerminal, "_answer", lambda *arguments: None)
    return CALM


def no_limit(monkeypatch):
    monkeypatch.setattr(paths, "AMPLIFICATION", 100)
    return replace(CALM, steps=(Burst(0.3, 90),))


def a_limit_of_4(monkeypatch):
    monkeypatch.setattr(paths, "AMPLIFICATION", 4)
    return replace(CALM, steps=(Burst(0.3, 90),))


def validated_for_ever(monkeypatch):
    monkeypatch.setattr(PathState, "in_new_attempt", lambda self: self)
    return replace(CALM, steps=(Move(5.0, 0), Burst(0.3, 90)))


def debts_end_with_the_attempt(monkeypatch):
    def in_new_attempt(self):
        return PathState(self.path, replace(self.traffic, sent_octets=0))

    monkeypatch.setattr(PathState, "in_new_attempt", in_new_attempt)
    return replace(CALM, steps=(Burst(0.3, 90), Move(0.1, 0), Burst(0.3, 90)))


def every_rreq_moves(monkeypatch):
    monkeypatch.setattr(Binding, "check", lambda *arguments, **named: OtherEvent.MOVE)
    monkeypatch.setattr("scapy_mobsec.esp.replay.ReplayWindow.check", lambda *arguments: None)
    return replace(CALM, attacks=("copy",), attack_rate=1.0)


def counters_begin_again(monkeypatch):
    snapshot = MobileTerminal.snapshot
    monkeypatch.setattr(
        MobileTerminal, "snapshot", lambda self: replace(snapshot(self), next_sequence=1)
    )
    return replace(CALM, steps=(Restart(2.0, "X"),))


def x_chooses_without_use(monkeypatch):
    def use(self, path, now):
        self._chosen(path, 0.0, now)

    monkeypatch.setattr(MobileTerminal, "_use", use)
    return replace(CALM, allow=("native", "udp"))


def a_longer_queue(monkeypatch):
    monkeypatch.setattr(proving, "MAX_WAITING", 1000)
    return replace(CALM, steps=(Burst(0.3, 90),))


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("a", no_answer),
        ("b", no_limit),
        ("b", a_limit_of_4),
        ("b", validated_for_ever),
        ("b", debts_end_with_the_attempt),
        ("c", every_rreq_moves),
        ("d", counters_begin_again),
        ("e", x_chooses_without_use),
        ("f", a_longer_queue),
    ],
)
def test_the_judge_sees(name, broken, monkeypatch):
    plan = broken(monkeypatch)
    assert name in verdict(plan).failures
    monkeypatch.undo()
    assert not verdict(plan).failures


def test_a_challenge_repeated_just_before_an_attempt_begins_is_of_the_one_before():
    plan = replace(CALM, seed=2, places=(Place("nat"),), loss=0.15)
    assert not verdict(replace(plan, steps=(Reboot(2.0, 0), Move(2.0, 0)))).failures


def test_the_last_look_for_an_answer_may_end_after_the_calm(monkeypatch):
    """121.6 s: none is found, which is judged."""
    monkeypatch.setattr(World, "passes_data", lambda self: bool(self.network.run_for(1.9)))
    assert "a" in verdict(CALM).failures


def run(*options):
    return subprocess.run(
        [sys.executable, RUN, *options], capture_output=True, text=True, check=False
    )


def test_the_command_counts():
    done = run("--examples", "3", "--seed", "7")
    assert done.returncode == 0
    assert done.stdout.startswith("3 examples of each, seed 7")
    assert done.stdout.count("3 examples, 0 failures") == len(PROPERTIES)


def test_the_command_counts_plans_that_raise_and_goes_on(monkeypatch):
    monkeypatch.setattr(OtherTerminal, "_answer", lambda *arguments: 1 // 0)
    command = runpy.run_path(str(RUN))
    tally = command["Tally"]()
    tally.add(CALM)
    tally.add(CALM)
    text = command["report"](tally, 1)
    assert "plans that ended in an exception: 2\n" + repr(CALM) in text
    assert "ZeroDivisionError" in text


@pytest.mark.parametrize("options", [("--examples", "0"), ("--jobs", "x"), ("--seconds", "1")])
def test_options_that_make_no_sense(options):
    assert run(*options).returncode == 2
