from rich.text import Text

from scapy_mobsec.ui.tables import MAX_ROWS, add_row, at_text, shown, table_of


def test_times_are_from_the_first_frame_on():
    assert at_text(3_500_000_000, 1_000_000_000) == "+2.500000 s"


def test_what_has_no_room_is_told():
    table = table_of("Title", "One", "Two")
    assert [column.header for column in table.columns] == ["One", "Two"]
    assert shown(table, [1, 2]) == [1, 2]
    assert table.caption is None
    assert len(shown(table, range(MAX_ROWS + 3))) == MAX_ROWS
    assert "3 more" in table.caption


def test_brackets_are_no_markup():
    table = table_of("Title", "One", "Two")
    add_row(table, "[::1]:4500", Text("x"))
    assert next(iter(table.columns[0].cells)).plain == "[::1]:4500"
