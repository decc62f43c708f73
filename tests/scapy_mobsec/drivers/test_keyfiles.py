"""Key files: of any format, in folders, of the user; written for their owner alone."""

import io
import os
import stat
from pathlib import Path

import pytest
from key_samples import ESP_SA, IKEV2_TABLE, PCAPS, TOML

from scapy_mobsec.drivers import keyfiles
from scapy_mobsec.drivers.capture import PcapngWriter
from scapy_mobsec.drivers.keyfiles import (
    KeyFileError,
    load_keys,
    read_key_file,
    read_key_log,
    read_keys,
    wireshark_key_files,
    write_key_file,
)
from scapy_mobsec.encap.key_log import KeyLog

NOT_DECRYPTED = '"IPv4","*","*","0x00000001","BLOWFISH-CBC [RFC2451]","0x11","NULL",""\n'


def read(text):
    return read_keys(io.StringIO(text), "keys")


def test_an_empty_file_has_no_keys():
    for text in ("", "\n# nothing\n"):
        table = read(text)
        assert (table.rows, table.ike_keys, table.warnings) == ([], [], [])


def test_a_file_of_no_format_is_told_by_its_first_line():
    with pytest.raises(KeyFileError, match=r"^keys:3: no key file \(toml, .*charon\)$"):
        read("# x\n\nGIF89a\n")


def test_size_is_bounded(monkeypatch):
    monkeypatch.setattr(keyfiles, "MAX_SIZE", len(TOML))
    assert read(TOML).rows
    with pytest.raises(KeyFileError, match=r"^keys:1: the file is longer than"):
        read(TOML + "#")


def test_a_byte_order_mark_is_passed_over(tmp_path):
    path = tmp_path / "keys"
    path.write_text("\ufeff" + ESP_SA, encoding="utf-8")
    assert len(read_key_file(str(path)).rows) == 2


@pytest.fixture
def from_windows(monkeypatch):
    """Put text on stdin as editors of Windows write it."""

    def from_windows_(text):
        octets = ("\ufeff" + text.replace("\n", "\r\n")).encode()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(octets), "utf-8"))

    return from_windows_


def test_keys_on_stdin_with_a_byte_order_mark(from_windows):
    from_windows(ESP_SA)
    assert len(read_key_file("-").rows) == 2


def test_a_key_log_on_stdin_with_a_byte_order_mark(from_windows):
    line = f"CLIENT_TRAFFIC_SECRET_0 {'ab' * 32} {'cd' * 32}\n"
    from_windows(line)
    key_log = KeyLog()
    read_key_log("-", key_log)
    assert key_log.text() == line


def test_what_is_no_text():
    capture = str(PCAPS / "strongswan-natt.pcap")
    with pytest.raises(KeyFileError, match=r"pcap: not a key file: no UTF-8 text"):
        read_key_file(capture)


def test_stdin(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("nonsense"))
    with pytest.raises(KeyFileError, match=r"^<stdin>:1: "):
        read_key_file("-")


class TestFolder:
    def test_both_tables_are_read(self, tmp_path):
        (tmp_path / "esp_sa").write_text(ESP_SA)
        (tmp_path / "ikev2_decryption_table").write_text(IKEV2_TABLE)
        (tmp_path / "preferences").write_text("nonsense")
        table = read_key_file(str(tmp_path))
        assert (len(table.rows), len(table.ike_keys)) == (2, 2)
        assert table.rows[0].origin == f"{tmp_path}/esp_sa:1"

    def test_as_the_save_keys_plugin_writes_them(self, tmp_path):
        row = '"IPv4","10.0.0.1","10.0.0.2","0xc0000001","AES-GCM [RFC4106]"'
        rest = f'"0x{"ab" * 20}","ANY 128 bit authentication [no checking]","0x"'
        (tmp_path / "esp_sa").write_text(f"{row},{rest}\n")
        (found,) = read_key_file(str(tmp_path)).rows
        assert (found.suite.name, found.integrity_key) == ("aes-gcm-16", None)

    def test_one_without_tables(self, tmp_path):
        with pytest.raises(KeyFileError, match="no esp_sa or ikev2_decryption_table in this"):
            read_key_file(str(tmp_path))


class TestWriting:
    def test_only_the_owner_can_read(self, tmp_path):
        mask = os.umask(0)
        try:
            for path in (tmp_path / "new", tmp_path / "old"):
                if path.name == "old":
                    path.write_text("x" * 100)
                    path.chmod(0o644)
                write_key_file(str(path), "text\n")
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
                assert path.read_text() == "text\n"
        finally:
            os.umask(mask)

    def test_a_new_file_is_never_open_to_others(self, tmp_path, monkeypatch):
        monkeypatch.setattr(os, "fchmod", lambda *_: None)
        mask = os.umask(0)
        try:
            write_key_file(str(tmp_path / "new"), "text")
        finally:
            os.umask(mask)
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600

    def test_what_is_no_regular_file_keeps_its_mode(self):
        before = os.stat("/dev/null").st_mode
        write_key_file("/dev/null", "text")
        assert os.stat("/dev/null").st_mode == before


class TestWiresharkFolder:
    @pytest.fixture
    def home(self, tmp_path, monkeypatch):
        monkeypatch.setattr(Path, "home", lambda: tmp_path)
        monkeypatch.delenv("WIRESHARK_CONFIG_DIR", raising=False)
        monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
        return tmp_path

    @staticmethod
    def table(folder, *others):
        folder.mkdir(parents=True)
        tables = [folder / name for name in ("esp_sa", *others)]
        for each in tables:
            each.touch()
        return tables

    def test_none(self, home):
        assert wireshark_key_files() == []

    def test_first_folder_that_is_there(self, home, monkeypatch):
        old = self.table(home / ".wireshark")
        assert wireshark_key_files() == old
        usual = self.table(home / ".config" / "wireshark")
        assert wireshark_key_files() == usual
        monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "xdg"))
        assert wireshark_key_files() == old
        moved = self.table(home / "xdg" / "wireshark")
        assert wireshark_key_files() == moved

    def test_configured_folder_only(self, home, monkeypatch):
        self.table(home / ".wireshark")
        monkeypatch.setenv("WIRESHARK_CONFIG_DIR", str(home / "own"))
        assert wireshark_key_files() == []
        own = self.table(home / "own", "ikev2_decryption_table")
        assert wireshark_key_files() == own


def test_keys_of_several_files_of_any_format_become_one_table(tmp_path):
    (tmp_path / "esp_sa").write_text(ESP_SA)
    (tmp_path / "keys.toml").write_text(TOML)
    table = load_keys(tmp_path / "esp_sa", str(tmp_path / "keys.toml"))
    rows = [read(text).rows for text in (ESP_SA, TOML)]
    assert table.rows == list(dict.fromkeys(rows[0] + rows[1]))
    assert load_keys().rows == []
    (tmp_path / "bad").write_text("nonsense")
    with pytest.raises(KeyFileError, match="bad:1: no key file"):
        load_keys(tmp_path / "bad")
    with pytest.raises(FileNotFoundError):
        load_keys(tmp_path / "none")


def test_what_cannot_be_used_of_them_is_a_warning(tmp_path):
    (tmp_path / "esp_sa").write_text(ESP_SA + NOT_DECRYPTED)
    with pytest.warns(UserWarning, match=r"esp_sa:\d+: "):
        assert load_keys(tmp_path / "esp_sa").rows


def test_a_key_log_is_text_or_in_a_capture(tmp_path):
    line = f"CLIENT_TRAFFIC_SECRET_0 {'ab' * 32} {'cd' * 32}\n"
    (tmp_path / "log").write_text(line)
    with open(tmp_path / "x.pcapng", "wb") as stream:
        PcapngWriter(stream, tls_keys=line)
    for name in ("log", "x.pcapng"):
        key_log = KeyLog()
        read_key_log(str(tmp_path / name), key_log)
        assert key_log.text() == line
    for octets in (b"\xff\xfe", b"nonsense\n", b"\n\r\r\nnonsense"):
        (tmp_path / "log").write_bytes(octets)
        with pytest.raises(KeyFileError, match="log: not a TLS key log: "):
            read_key_log(str(tmp_path / "log"), KeyLog())


def test_a_key_log_from_stdin(monkeypatch):
    line = f"CLIENT_TRAFFIC_SECRET_0 {'ab' * 32} {'cd' * 32}\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(line))
    key_log = KeyLog()
    read_key_log("-", key_log)
    assert key_log.text() == line
