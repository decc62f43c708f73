"""The state of terminals on disk (rule 14): counters and bindings, in an SQLite file.

One process has it at a time. What was saved is on disk when the call returns (WAL, synchronous
FULL), whatever then kills the process. Tables are STRICT, so that a file that was changed by hand
is an error and no surprise. SQLite's integers are signed; numbers of 64 bits stand there as the
signed number with the same octets.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path as FilePath
from typing import Any, TypeAlias
from urllib.parse import quote

from scapy_mobsec.packet.ip import AH, ESP
from scapy_mobsec.packet.path import Encapsulation, Endpoint, Path
from scapy_mobsec.registration.transitions import OtherState
from scapy_mobsec.terminal.binding import BindingRecord
from scapy_mobsec.terminal.counters import AhNumbers, MobileSnapshot
from scapy_mobsec.terminal.restart import BindingSnapshot

_FORMAT = 1
_OWNER_ALONE = 0o600

_SCHEMA = (
    """
    CREATE TABLE mobile (
        home BLOB PRIMARY KEY, attempt INTEGER NOT NULL, identification INTEGER
    ) STRICT
    """,
    """
    CREATE TABLE binding (
        home BLOB PRIMARY KEY, state TEXT NOT NULL,
        last_attempt INTEGER, path_attempt INTEGER, last_identification INTEGER NOT NULL,
        highest_identification INTEGER, last_use INTEGER,
        encapsulation TEXT, local BLOB, local_port INTEGER, remote BLOB, remote_port INTEGER,
        ah INTEGER, validated INTEGER NOT NULL, received_octets INTEGER NOT NULL,
        lifetime INTEGER NOT NULL, expires REAL
    ) STRICT
    """,
    """
    CREATE TABLE outbound (
        home BLOB, protocol INTEGER, next_sequence INTEGER NOT NULL, PRIMARY KEY (home, protocol)
    ) STRICT
    """,
    """
    CREATE TABLE ceiling (
        home BLOB, protocol INTEGER, spi INTEGER, number INTEGER NOT NULL,
        PRIMARY KEY (home, protocol, spi)
    ) STRICT
    """,
    f"PRAGMA user_version = {_FORMAT}",
)

_Row: TypeAlias = tuple[Any, ...]
_Numbers: TypeAlias = tuple[int, tuple[tuple[int, int], ...], AhNumbers | None]
"""Next number to be sent, ceilings, and both of AH: as in the snapshots."""


class StoreError(Exception):
    """A state file that cannot be used: one line that names it and says why."""


class Store:
    """One state file, locked until it is closed. A context manager that closes it."""

    def __init__(self, file: FilePath, *, create: bool = False) -> None:
        """Open a file; `create`: make it, for SAs that were never used.

        Raises StoreError where it is missing (or there already, with `create`), another process has
        it, or it is no state file.
        """
        self.file = file
        if create:
            self._create()
        elif not file.is_file():
            raise StoreError(
                f"{file}: no state file, so nobody knows which sequence numbers these keys have "
                "used; make new keys"
            )
        with self._told():
            self._database = sqlite3.connect(
                f"file:{_quoted(file)}?mode=rw", uri=True, timeout=0, isolation_level=None
            )
        try:
            self._begin(create=create)
        except BaseException:
            self._database.close()
            raise

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the file free."""
        self._database.close()

    def save_mobile(self, home_address: bytes, snapshot: MobileSnapshot) -> None:
        """Write X's counters. Raises StoreError, and then nothing is written."""
        row = home_address, snapshot.attempt, _signed(snapshot.identification)
        with self._transaction():
            self._put("mobile", row)
            self._put_numbers(home_address, snapshot)

    def save_bindings(self, snapshots: Iterable[BindingSnapshot]) -> None:
        """Write what changed at Y. Raises StoreError, and then nothing is written."""
        with self._transaction():
            for each in snapshots:
                self._put("binding", _binding_row(each))
                self._put_numbers(each.home_address, each)

    def load_mobile(self, home_address: bytes) -> MobileSnapshot | None:
        """Read X's counters, None where nothing was written yet. Raises StoreError."""
        with self._told():
            rows = self._rows("mobile", home_address)
            if not rows:
                return None
            (_, attempt, identification), numbers = rows[0], self._numbers(home_address)
        return MobileSnapshot(attempt, _unsigned(identification), *numbers)

    def load_bindings(self) -> list[BindingSnapshot]:
        """Read all links of Y. Raises StoreError."""
        with self._told():
            return [_binding(row, self._numbers(row[0])) for row in self._rows("binding")]

    def _create(self) -> None:
        try:
            os.close(os.open(self.file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _OWNER_ALONE))
        except OSError as error:
            raise StoreError(f"{self.file}: {error.strerror}") from None

    def _begin(self, *, create: bool) -> None:
        with self._told():
            for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
                self._database.execute(f"PRAGMA {pragma}")
        with self._transaction():
            for statement in _SCHEMA if create else ():
                self._database.execute(statement)
            (found,) = self._database.execute("PRAGMA user_version").fetchone()
            if found != _FORMAT:
                raise StoreError(f"{self.file}: no state file of format {_FORMAT}")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            busy = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
            reason = "in use by another process" if busy else str(error)
            raise StoreError(f"{self.file}: {reason}") from None
        except (ValueError, TypeError, KeyError):  # a value that no snapshot has
            raise StoreError(f"{self.file}: not as it was written") from None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._told():
            self._database.execute("BEGIN EXCLUSIVE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def _put(self, table: str, row: _Row) -> None:
        places = ", ".join("?" * len(row))
        self._database.execute(f"INSERT OR REPLACE INTO {table} VALUES ({places})", row)

    def _rows(self, table: str, home: bytes | None = None) -> list[_Row]:
        where = "" if home is None else "WHERE home = ?"
        values = () if home is None else (home,)
        query = f"SELECT * FROM {table} {where} ORDER BY rowid"
        return self._database.execute(query, values).fetchall()

    def _put_numbers(self, home: bytes, snapshot: MobileSnapshot | BindingSnapshot) -> None:
        numbers: list[tuple[int, MobileSnapshot | BindingSnapshot | AhNumbers]] = [(ESP, snapshot)]
        if snapshot.ah is not None:
            numbers.append((AH, snapshot.ah))
        for table in ("outbound", "ceiling"):
            self._database.execute(f"DELETE FROM {table} WHERE home = ?", (home,))
        for protocol, each in numbers:
            self._put("outbound", (home, protocol, _signed(each.next_sequence)))
            for spi, ceiling in each.ceilings:
                self._put("ceiling", (home, protocol, spi, _signed(ceiling)))

    def _numbers(self, home: bytes) -> _Numbers:
        following = {row[1]: _unsigned(row[2]) or 0 for row in self._rows("outbound", home)}
        ceilings: dict[int, list[tuple[int, int]]] = {ESP: [], AH: []}
        for _, protocol, spi, number in self._rows("ceiling", home):
            ceilings[protocol].append((spi, _unsigned(number) or 0))
        ah = AhNumbers(following[AH], tuple(ceilings[AH])) if AH in following else None
        return following[ESP], tuple(ceilings[ESP]), ah


def _binding_row(snapshot: BindingSnapshot) -> _Row:
    record, path = snapshot.binding, snapshot.path
    return (
        snapshot.home_address,
        record.state.name,
        record.last_attempt,
        record.path_attempt,
        _signed(record.last_identification),
        _signed(record.highest_identification),
        _signed(record.last_use),
        *((path.encapsulation.value, *path.local, *path.remote, path.ah) if path else [None] * 6),
        snapshot.validated,
        snapshot.received_octets,
        snapshot.lifetime,
        snapshot.expires,
    )


def _binding(row: _Row, numbers: _Numbers) -> BindingSnapshot:
    home, state, last_attempt, path_attempt, *identifications = row[:7]
    last, highest, use = map(_unsigned, identifications)
    encapsulation, local, local_port, remote, remote_port, by_ah = row[7:13]
    validated, received_octets, lifetime, expires = row[13:]
    path = encapsulation and Path(
        Encapsulation(encapsulation),
        Endpoint(local, local_port),
        Endpoint(remote, remote_port),
        bool(by_ah),
    )
    next_sequence, ceilings, ah = numbers
    record = BindingRecord(OtherState[state], last_attempt, path_attempt, last or 0, highest, use)
    return BindingSnapshot(
        home,
        next_sequence,
        ceilings,
        record,
        path,
        bool(validated),
        received_octets,
        lifetime,
        expires,
        ah,
    )


def _signed(number: int | None) -> int | None:
    return None if number is None else number - (number >> 63 << 64)


def _unsigned(number: int | None) -> int | None:
    return None if number is None else number % (1 << 64)


def _quoted(file: FilePath) -> str:
    return quote(str(file.absolute()))
