"""Rights that a terminal gives up once all is open that needs them.

Files that it goes on to use, the state file and the control socket, are opened with the rights of
the user that it will be: whether they suffice shows at the start, and not on the first bad day.
"""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class RightsError(Exception):
    """Rights cannot be given up as wanted: one line that says why."""


@dataclass(frozen=True, slots=True)
class User:
    """Whom a process can become. `groups`: all that the user is in."""

    name: str
    number: int
    group: int
    groups: tuple[int, ...]


def find_user(name: str | None) -> User | None:
    """Return the user of a name, None if this process is to stay who it is. Raises RightsError."""
    if name is None:
        return None
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise RightsError(f"user {name}: there is none of that name") from None
    if found.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise RightsError(f"user {name}: only root can become another user")
    groups = tuple(os.getgrouplist(name, found.pw_gid))
    return User(name, found.pw_uid, found.pw_gid, groups)


@contextmanager
def acting_as(user: User | None) -> Iterator[None]:
    """Have the rights of a user for a while; the whole process has. Raises RightsError."""
    if user is None:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    with _told(user):
        os.setgroups(user.groups)
        os.setegid(user.group)
        os.seteuid(user.number)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def give_up_rights(user: User | None) -> None:
    """Become a user for good. Raises RightsError."""
    if user is None:
        return
    with _told(user):
        os.setgroups(user.groups)
        os.setresgid(user.group, user.group, user.group)
        os.setresuid(user.number, user.number, user.number)


@contextmanager
def _told(user: User) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RightsError(f"user {user.name}: {error.strerror}") from error
