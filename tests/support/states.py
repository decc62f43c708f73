"""The diagrams and tables of docs/states.md, written from the transition tables.

PYTHONPATH=. python tests/support/states.py     writes them into the document
"""

from generated import write_part

from scapy_mobsec.registration.transitions import (
    CAUSED_BY_PEER,
    MOBILE,
    OTHER,
    MobileEvent,
    MobileState,
    OtherEvent,
    OtherState,
)

PARTS = {
    "mobile terminal": (MOBILE, MobileState, MobileEvent, MobileState.DETACHED),
    "other terminal": (OTHER, OtherState, OtherEvent, OtherState.UNBOUND),
}
"""Per role: table, states, events, and the state that it begins in."""


def states_text(table, states, events, first):
    """Return diagram and tables of one role, in Markdown with Mermaid."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first.name}"]
    for state, row in table.items():
        for target in dict.fromkeys(row.values()):
            names = ", ".join(event.name for event in row if row[event] is target)
            lines.append(f"    {state.name} --> {target.name}: {names}")
    lines += ["```", "", "| state | meaning |", "| --- | --- |"]
    lines += [f"| {state.name} | {state.value} |" for state in states]
    lines += ["", "| event | meaning | out of place |", "| --- | --- | --- |"]
    lines += [f"| {event.name} | {event.value} | {_out_of_place(event)} |" for event in events]
    return "\n".join(lines)


def _out_of_place(event):
    return "dropped" if event in CAUSED_BY_PEER else "error of our own"


if __name__ == "__main__":
    for name, part in PARTS.items():
        write_part("states.md", name, states_text(*part))
