"""What is written, and what is said to be lost."""

from key_samples import KEY_LIST

from scapy_mobsec.drivers.keys import key_list
from scapy_mobsec.drivers.keys.table import KeyTable
from scapy_mobsec.drivers.keys.written import Written


def test_the_same_twice_is_written_once():
    row, other = key_list.read(KEY_LIST, "keys").rows
    written = Written()
    written.add(row, "a\n")
    written.add(other, "a\n")
    written.add(other, "b\n")
    assert (written.text, written.sas, written.ike_sas) == ("a\nb\n", 2, 0)


def test_losses_are_named():
    table = key_list.read(KEY_LIST, "keys")
    written = Written()
    written.add(table.ike_keys[0], "ike\n")
    written.leave_out(table.rows[0], "why")
    written.lose(table.ike_keys[0], "something")
    written.leave_out_ike(table)
    written.leave_out_sas(table)
    assert written.ike_sas == 1
    assert written.warnings == [
        "keys:10: left out, why",
        "IKE SA 7c2b8a492a2ce89a 409048ebb6164b6a: without something",
        "no place for keys of IKE SAs: 1 left out",
        "no place for keys of ESP and AH: 2 left out",
    ]


def test_nothing_is_lost_of_nothing():
    written = Written()
    written.leave_out_ike(KeyTable())
    written.leave_out_sas(KeyTable())
    assert not written.warnings
