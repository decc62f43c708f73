"""Networks of the kernel for one run: namespaces, cables, addresses, NAT. Linux, as root.

All is made with iproute2 and nft, under names of this process, and is gone when it is closed. What
runs inside is ended before that.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import IO

_CLONE_NEWNET = 0x4000_0000
_RUNS = count(1)
_SECONDS = 10
_ENDS_WITHIN = 3
TOOLS = "ip", "nft"


class LabError(Exception):
    """The machine does not let a network be made: one line that says why."""


class Lab:
    """Namespaces by short names. A context manager that closes it."""

    def __init__(self) -> None:
        """Raises LabError without root, or without a tool."""
        if os.geteuid():
            raise LabError("network namespaces need root")
        for tool in TOOLS:
            if not shutil.which(tool):
                raise LabError(f"network namespaces need {tool}: apt install iproute2 nftables")
        self._prefix = f"mobsec-{os.getpid()}-{next(_RUNS)}-"
        self._names: list[str] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End what was started, and take the namespaces away."""
        while self._processes:
            end(self._processes.pop())
        while self._names:
            subprocess.run(
                ["ip", "netns", "del", self.full_name(self._names.pop())],
                capture_output=True,
                check=False,
            )

    def full_name(self, name: str) -> str:
        """Return the name that `ip netns` has for a namespace."""
        return self._prefix + name

    def namespace(self, name: str, *, forwards: bool = False) -> None:
        """Make a namespace with a loopback; `forwards`: it is a router. Raises LabError."""
        _run("ip", "netns", "add", self.full_name(name))
        self._names.append(name)
        self.ip(name, "link set lo up")
        self.sysctl(
            name, {"net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/default/rp_filter": "0"}
        )
        for family in ("ipv4/conf", "ipv6/conf") if forwards else ():
            self.sysctl(name, {f"net/{family}/all/forwarding": "1"})
        # An address can be used at once: there is nobody to ask whether it is taken.
        self.sysctl(name, {"net/ipv6/conf/default/accept_dad": "0"})

    def cable(self, left: str, left_link: str, right: str, right_link: str) -> None:
        """Join two namespaces; both ends are up, without addresses. Raises LabError."""
        peer = f"peer name {right_link} netns {self.full_name(right)}"
        self.ip(left, f"link add {left_link} type veth {peer}", f"link set {left_link} up")
        self.ip(right, f"link set {right_link} up")

    def ip(self, name: str, *commands: str) -> None:
        """Give commands to `ip` in a namespace, all at once. Raises LabError."""
        batch = "\n".join(commands)
        _run("ip", "-n", self.full_name(name), "-batch", "-", text=batch)

    def nft(self, name: str, rules: str) -> None:
        """Add rules of nftables in a namespace. Raises LabError."""
        _run(*self.command(name, "nft", "-f", "-"), text=rules)

    def sysctl(self, name: str, values: Mapping[str, str]) -> None:
        """Set files under /proc/sys in a namespace. Raises OSError."""
        with self.inside(name):
            for file, value in values.items():
                Path("/proc/sys", file).write_text(value, encoding="ascii")

    def command(self, name: str, *argv: str) -> list[str]:
        """Return the command that runs another one in a namespace."""
        return ["ip", "netns", "exec", self.full_name(name), *argv]

    def run(self, name: str, *argv: str) -> str:
        """Run a command in a namespace, for seconds at most; return what it wrote.

        Raises LabError.
        """
        return _run(*self.command(name, *argv))

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        output: IO[bytes] | int = subprocess.DEVNULL,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a process in a namespace, which ends with this at the latest. Raises LabError."""
        try:
            process = subprocess.Popen(
                self.command(name, *argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
            )
        except OSError as error:
            raise LabError(f"{argv[0]}: {error.strerror}") from error
        self._processes.append(process)
        return process

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Let this thread be in a namespace; sockets and devices stay where they were made."""
        with open("/proc/thread-self/ns/net", "rb") as outside:
            with open(f"/run/netns/{self.full_name(name)}", "rb") as there:
                _enter(there.fileno())
            try:
                yield
            finally:
                _enter(outside.fileno())


def masquerade(link: str, how: str = "masquerade") -> str:
    """Return rules of a NAT towards a link; `how`: another statement of nftables."""
    chain = "type nat hook postrouting priority srcnat;"
    return f'table ip nat {{\n chain post {{\n {chain} oifname "{link}" {how};\n }}\n }}'


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process: it is asked to, and then it is made to."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def _run(*command: str, text: str = "") -> str:
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"{command[0]}: {error}") from error
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines()
        raise LabError(f"{' '.join(command)}: {reason[0] if reason else done.returncode}")
    return done.stdout


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        raise LabError(f"setns: {os.strerror(ctypes.get_errno())}")
