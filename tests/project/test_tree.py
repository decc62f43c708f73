"""The tree keeps its own rules: tests mirror the source, drops have tests, the core is pure."""

import ast
from pathlib import Path

import pytest

from scapy_mobsec.drops import DropReason

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path.relative_to(ROOT)
    for package in ("contrib_layers", "scapy_mobsec")
    for path in (ROOT / package).rglob("*.py")
)
TESTS = sorted(
    path.relative_to(ROOT / "tests")
    for package in ("contrib_layers", "scapy_mobsec")
    for path in (ROOT / "tests" / package).rglob("test_*.py")
)
WITHOUT_TEST = {
    Path("contrib_layers/numbers.py"),
    Path("scapy_mobsec/drops.py"),
    Path("scapy_mobsec/__main__.py"),
}
OF_TWO_SOURCES = {
    Path("scapy_mobsec/registration/test_equality.py"),
}


def has_code(path):
    body = ast.parse((ROOT / path).read_text()).body
    return any(not isinstance(node, ast.Expr) for node in body)


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_each_source_file_has_its_test_file(path):
    if path in WITHOUT_TEST or not has_code(path):
        return
    name = "package" if path.name == "__init__.py" else path.stem
    assert path.parent / f"test_{name}.py" in TESTS


def test_each_test_file_has_its_source_file():
    sources = {
        path.parent / f"test_{'package' if path.name == '__init__.py' else path.stem}.py"
        for path in SOURCES
    }
    assert set(TESTS) - OF_TWO_SOURCES <= sources


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_each_source_file_tells_its_duty(path):
    if has_code(path):
        assert ast.get_docstring(ast.parse((ROOT / path).read_text()))


@pytest.mark.parametrize("reason", DropReason, ids=lambda reason: reason.name)
def test_each_drop_reason_has_a_test(reason):
    name = f"DropReason.{reason.name}"
    assert any(name in (ROOT / "tests" / path).read_text() for path in TESTS) or any(
        name in path.read_text() for path in (ROOT / "tests" / "pairs").glob("*.py")
    )


def core_files():
    outside = ("scapy_mobsec/drivers", "scapy_mobsec/ui", "contrib_layers")
    return [path for path in SOURCES if not path.as_posix().startswith(outside)]


@pytest.mark.parametrize("path", core_files(), ids=str)
def test_the_core_imports_no_clock_socket_thread_or_scapy_and_does_not_print(path):
    tree = ast.parse((ROOT / path).read_text())
    top_level = path.as_posix() == "scapy_mobsec/__init__.py"
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module.partition(".")[0])
        assert not (isinstance(node, ast.Name) and node.id == "print")
    forbidden = {"socket", "time", "threading", "asyncio", "random", "datetime", "numpy"}
    assert not imported & (forbidden if top_level else forbidden | {"scapy"})
