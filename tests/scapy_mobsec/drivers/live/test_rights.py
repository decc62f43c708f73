"""Becoming another user: in which order, and what is said where it cannot be."""

import os
import pwd

import pytest

from scapy_mobsec.drivers.live import rights
from scapy_mobsec.drivers.live.rights import (
    RightsError,
    User,
    acting_as,
    find_user,
    give_up_rights,
)

SOMEBODY = User("somebody", 1234, 567, (567, 890))


@pytest.fixture
def calls(monkeypatch):
    """What the process would do to itself."""
    calls = []
    for name in ("setgroups", "setegid", "seteuid", "setresgid", "setresuid"):
        monkeypatch.setattr(os, name, lambda *to, name=name: calls.append((name, *to)))
    monkeypatch.setattr(os, "getegid", lambda: 0)
    monkeypatch.setattr(os, "getgroups", lambda: [0, 1])
    return calls


@pytest.fixture
def as_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def test_a_user_by_name(as_root):
    nobody = pwd.getpwnam("nobody")
    user = find_user("nobody")
    assert (user.name, user.number, user.group) == ("nobody", nobody.pw_uid, nobody.pw_gid)
    assert user.group in user.groups


def test_nobody_to_become(monkeypatch):
    assert find_user(None) is None
    monkeypatch.setattr(os, "geteuid", lambda: pwd.getpwnam("nobody").pw_uid)
    assert find_user("nobody") is None


def test_who_cannot_be_become(monkeypatch):
    with pytest.raises(RightsError, match="none of that name"):
        find_user("nobody-of-that-name")
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(RightsError, match="only root"):
        find_user("nobody")


def test_for_a_while(calls):
    with acting_as(SOMEBODY):
        assert calls == [("setgroups", (567, 890)), ("setegid", 567), ("seteuid", 1234)]
        calls.clear()
    assert calls == [("seteuid", 0), ("setegid", 0), ("setgroups", [0, 1])]


def test_for_a_while_though_it_fails(calls):
    with pytest.raises(ZeroDivisionError), acting_as(SOMEBODY):
        raise ZeroDivisionError
    assert calls[3:] == [("seteuid", 0), ("setegid", 0), ("setgroups", [0, 1])]


def test_for_good(calls):
    give_up_rights(SOMEBODY)
    assert calls == [
        ("setgroups", (567, 890)),
        ("setresgid", 567, 567, 567),
        ("setresuid", 1234, 1234, 1234),
    ]


def test_without_a_user_nothing_changes(calls):
    give_up_rights(None)
    with acting_as(None):
        pass
    assert calls == []


def test_what_the_machine_refuses_is_told(calls, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(rights.os, "setgroups", refuse)
    with pytest.raises(RightsError, match="user somebody: Operation not permitted"):
        give_up_rights(SOMEBODY)
    assert calls == []
