"""Loading as a Scapy extension: scripts and real shells, editable install and wheel."""

import os
import shutil
import subprocess
import sys
import venv
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pexpect
import pytest

from contrib_layers import shim

ROOT = Path(__file__).parents[2]
PROMPT = ">>> "


def test_every_layer_is_exported_once():
    exported = [getattr(shim, name) for name in shim.__all__]
    assert [layer.__name__ for layer in exported] == shim.__all__
    public = {name for name in vars(shim) if not name.startswith("_")}
    assert public == set(shim.__all__)


def build_options():
    """With a setuptools that is new enough (see pyproject.toml) the build needs no network."""
    try:
        new_enough = int(version("setuptools").partition(".")[0]) >= 77
    except PackageNotFoundError:
        new_enough = False
    return ["--no-build-isolation"] if new_enough else []


@pytest.fixture(scope="module")
def installed_from_wheel(tmp_path_factory):
    """The interpreter of a new environment that has the wheel, and borrows what it depends on."""
    scratch = tmp_path_factory.mktemp("wheel")
    source = scratch / "source"
    source.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, source)
    for package in ("contrib_layers", "scapy_mobsec"):
        shutil.copytree(
            ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", *build_options(), "--wheel-dir", scratch, source],
        check=True,
        timeout=120,
    )
    (wheel,) = scratch.glob("*.whl")
    environment = scratch / "venv"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    subprocess.run(
        [*pip, "--python", python, "install", "--no-deps", "--no-index", wheel],
        check=True,
        timeout=60,
    )
    (site,) = environment.glob("lib/python*/site-packages")
    borrowed = [path for path in sys.path if path.endswith("-packages")]
    (site / "borrowed.pth").write_text("\n".join(borrowed))
    return str(python)


@pytest.fixture(params=["editable", "wheel"])
def python(request):
    if request.param == "editable":
        return sys.executable
    return request.getfixturevalue("installed_from_wheel")


SCRIPT = """
from scapy.all import IP, UDP, MobileIP, conf, load_layer
conf.exts.load("scapy-mobsec")
(extension,) = conf.exts.exts
assert (extension.name, bool(extension.version)) == ("scapy-mobsec", True)
assert list(extension.specs) == ["scapy.layers.mobsec"]
import builtins
assert not hasattr(builtins, "RREQ")
from scapy.layers.mobsec import RREP, RREQ, Sent
import contrib_layers, contrib_layers.registration
assert RREQ is contrib_layers.RREQ is contrib_layers.registration.RREQ
assert type(IP(bytes(IP() / UDP() / MobileIP() / RREQ())).lastlayer()) is RREQ
conf.exts.load("scapy-mobsec")
assert conf.exts.exts == [extension]
load_layer("mobsec")
assert builtins.RREQ is RREQ and builtins.Sent is Sent
from scapy.packet import explore
explore("mobsec")
print(contrib_layers.__file__)
"""


def test_in_a_script(run_script, python):
    output = run_script(SCRIPT, python)
    assert "Mobile IP Registration Request" in output
    where = Path(output.splitlines()[-1]).parents[1]
    assert (where == ROOT) == (python == sys.executable)


@pytest.fixture
def shell(tmp_path, python):
    """A Scapy shell that has come to its prompt."""
    for ending in ("pcap", "esp_sa"):
        shutil.copy(ROOT / f"pcaps/handover-nat.{ending}", tmp_path / f"run.{ending}")
    environment = os.environ | {"HOME": str(tmp_path), "TERM": "dumb"}
    for name in ("PYTHONPATH", "XDG_CONFIG_HOME"):
        environment.pop(name, None)
    process = pexpect.spawn(
        python,
        ["-m", "scapy"],
        cwd=tmp_path,
        env=environment,
        encoding="utf-8",
        timeout=60,
        dimensions=(40, 200),
    )
    process.expect_exact(PROMPT)
    yield process
    process.close(force=True)


def test_in_a_shell(shell):
    """The terminal echoes each line, so what is expected is never part of what was typed."""
    for line, printed in (
        ("RREQ()", "NameError"),
        ('conf.exts.load("scapy-mobsec"); 1000 + 1', "1001"),
        ("print(RREQ(extensions=[Attempt(number=7)]).summary())", "RREQ #7 0.0.0.0"),
        ("RREQ is __import__('contrib_layers').RREQ", "True"),
        ("IP(bytes(IP() / UDP() / MobileIP() / RREQ())).summary()", "MobileIP / RREQ 0.0.0.0"),
        ('sas = load_keys("run.esp_sa"); sas', "<KeyTable: 4 SAs>"),
        ('pkts = sniff(offline="run.pcap", session=MobsecSession(sas)); len(pkts)', "67"),
        ("pkts[RREQ][0].show(); translations(pkts)", "10.0.0.2:4500 -> 192.0.2.1:37880"),
        ("translations(pkts[RREQ][2], pkts[RREP][1])", "10.0.0.2:4500 -> 192.0.2.1:37880"),
        ("ladder(pkts)", " RREQ #3 [udp] "),
        ('wrpcap("inner.pcap", inner(pkts)); len(rdpcap("inner.pcap")) + 1000', "1067"),
    ):
        shell.sendline(line)
        shell.expect_exact(printed)
        shell.expect_exact(PROMPT)
