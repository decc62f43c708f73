"""`mobsec keys convert`."""

import io
import stat
from types import SimpleNamespace

import pytest
from key_samples import IKEV2_TABLE, KEY_LIST, PCAPS, SAMPLES, TCPDUMP, TOML, mutations

from scapy_mobsec.drivers.keyfiles import FORMATS, read_key_file
from scapy_mobsec.ui.cli import KEY_FORMATS, main


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Run in an empty folder, with the text as file `in` and on stdin."""
    monkeypatch.chdir(tmp_path)

    def run_(text, *arguments):
        (tmp_path / "in").write_text(text, encoding="utf-8")
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        with pytest.raises(SystemExit) as stopped:
            main(["keys", "convert", *arguments])
        captured = capsys.readouterr()
        return SimpleNamespace(code=stopped.value.code, out=captured.out, err=captured.err)

    return run_


def contents(table):
    return set(table.rows), set(table.ike_keys)


def test_the_formats_of_the_option_are_those_that_there_are():
    assert {*KEY_FORMATS.choices} == {*(each.name for each in FORMATS), "wireshark"}


@pytest.mark.parametrize("name", SAMPLES)
def test_each_format_becomes_toml_by_the_name_of_the_file(run, tmp_path, name):
    done = run(SAMPLES[name], "in", "out.toml")
    assert (done.code, done.out) == (0, "")
    assert contents(read_key_file("out.toml")) == contents(read_key_file("in"))
    assert stat.S_IMODE((tmp_path / "out.toml").stat().st_mode) == 0o600


def test_to_and_stdin_and_stdout(run):
    done = run(KEY_LIST, "-", "-", "--to", "xfrm")
    assert done.code == 0
    assert done.out.startswith("src 0.0.0.0 dst 0.0.0.0\n\tproto esp spi 0x00001001")
    assert done.err.splitlines() == [
        "mobsec: warning: no place for keys of IKE SAs: 1 left out",
        "mobsec: written as xfrm: SAs 2, IKE SAs 0",
    ]


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_of_wireshark(run, tmp_path, there):
    if there:
        (tmp_path / "out").mkdir()
    done = run(KEY_LIST, "in", "out" if there else "out/")
    assert done.code == 0
    table = read_key_file("out")
    assert (len(table.rows), len(table.ike_keys)) == (4, 1)
    assert done.err.splitlines() == [
        "mobsec: warning: IKE SA 7c2b8a492a2ce89a 409048ebb6164b6a: "
        "without SK_d, from which the keys of its CHILD_SAs follow",
        "mobsec: written as wireshark: SAs 2, IKE SAs 1",
    ]


def test_a_folder_gets_only_tables_with_something_in_them(run, tmp_path):
    assert run(TCPDUMP, "in", "out/").code == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["esp_sa"]


def test_tables_of_wireshark_have_no_addresses_so_that_they_survive_a_move(run):
    text = '"IPv4","10.0.0.1","10.0.0.2","1","AES-GCM with 16 octet ICV [RFC4106]","0x'
    assert run(f'{text}{"ab" * 20}","NULL",""\n', "in", "out.esp_sa").code == 0
    rows = read_key_file("out.esp_sa").rows
    assert [(row.family, str(row.source), str(row.destination)) for row in rows] == [
        (4, "*", "*"),
        (6, "*", "*"),
    ]


@pytest.mark.parametrize(
    ("text", "arguments", "reason"),
    [
        (TOML, ["in", "out.txt"], "out.txt: its name does not tell the format: give --to"),
        (TOML, ["in", "-"], "-: its name does not tell the format: give --to"),
        (TOML, ["nowhere", "out.toml"], "nowhere: No such file or directory"),
        (TOML, ["in", "nowhere/out.toml"], "nowhere/out.toml: No such file or directory"),
        (TOML, ["in", "out.xml", "--to", "xml"], "Invalid value for '--to'"),
        (TOML, ["in", "-", "--to", "wireshark"], "-: a folder is written, not stdout"),
        ("nonsense", ["in", "out.toml"], "in:1: no key file"),
        ("", ["in", "out.toml"], "in: no keys in it"),
        (IKEV2_TABLE, ["in", "out.xfrm"], "out.xfrm: nothing of it can be written in this format"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, tmp_path, text, arguments, reason):
    done = run(text, *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1].startswith(f"mobsec: {reason}")
    assert not [path for path in tmp_path.iterdir() if path.name != "in"]


def test_damaged_files_give_one_error_and_no_key(run):
    for name, sample in SAMPLES.items():
        for text in mutations(sample, 10, f"convert {name}"):
            done = run(text, "in", "out.toml")
            assert done.code in (0, 2)
            lines = done.err.splitlines()
            assert all(line.startswith("mobsec: ") for line in lines)
            assert len([line for line in lines if "warning: " not in line]) == 1
            assert not any(key in done.err for key in ("a1a1a1", "b2b2b2", "c3c3c3", "d4d4d4"))


def test_the_log_of_a_real_run(run):
    log = (PCAPS / "strongswan-natt.mobile.log").read_text()
    done = run(log, "in", "-", "--to", "key-list")
    assert done.err == "mobsec: written as key-list: SAs 4, IKE SAs 1\n"
    assert "Sk_d = 1ccc0f1825f079367985fe797f3740e8be87952d7491ce22ab25360a55dd40cf" in done.out
