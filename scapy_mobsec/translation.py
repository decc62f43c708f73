"""What the network changed: compare a description as sent with the description as observed.

The rules that affect the outcome live here (docs/wire-format.md, TRANSLATIONS):

- Headers are aligned by the longest common subsequence of their types, IPv4 and IPv6 counting as
  one; ties match the headers nearest the end.
- One translation per changed field. Source (or destination) address and port both changed: both
  have nature ADDRESS_AND_PORT. IPv4 <-> IPv6: the whole header, nature PROTOCOL, and its ports
  have nature PORT.
- A header that was removed or added, or differs in what has no field code of its own: the whole
  header, nature PROXIED.
- An HTTP header removed, or headers of an intermediary in it: somebody ended the connection and
  made another, so every translation of IP and TCP has nature PROXIED.
- Order: SENT order, then field code; what is not in SENT comes last.

Both descriptions are of one message. An RREQ and its RREP are not comparable: the HTTP descriptor
of one holds a request, of the other a status code.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter, ne
from typing import Any, NamedTuple, TypeAlias

from contrib_layers.numbers import NOT_IN_SENT, FieldCode, HeaderType, NatureCode
from scapy_mobsec.packet.path import Endpoint, address_text
from scapy_mobsec.registration.border import poorly_formed
from scapy_mobsec.registration.description import (
    AhHeader,
    Description,
    EspHeader,
    HeaderDescriptor,
    HttpHeader,
    Ipv4Header,
    Ipv6Header,
    TcpHeader,
    TlsHeader,
    UnknownHeader,
    ip_udp_esp,
)
from scapy_mobsec.registration.extensions import TranslationItem, build_translations
from scapy_mobsec.registration.flat import UsualValues, usual_values


@dataclass(frozen=True, slots=True)
class Translation:
    """One difference, with the values to show; "" where a side does not have the header.

    `index` in the SENT list, or NOT_IN_SENT; `header`: a HeaderType where the type is known.
    """

    index: int
    field: FieldCode
    nature: NatureCode
    sent: str
    observed: str
    header: int


class _Field(NamedTuple):
    """A field that can be translated: its nature if it alone was, how to read and to show it."""

    code: FieldCode
    nature: NatureCode
    of: Callable[[HeaderDescriptor], Any]
    show: Callable[[Any], str]


def _show_request(request: tuple[str, str, str, int]) -> str:
    *texts, version = request
    return " ".join([*filter(None, texts), f"HTTP/{version >> 4}.{version & 15}"])


_ADDRESSES = (
    _Field(FieldCode.SOURCE_ADDRESS, NatureCode.ADDRESS, attrgetter("source"), address_text),
    _Field(
        FieldCode.DESTINATION_ADDRESS, NatureCode.ADDRESS, attrgetter("destination"), address_text
    ),
)
_PORTS = (
    _Field(FieldCode.SOURCE_PORT, NatureCode.PORT, attrgetter("source_port"), str),
    _Field(FieldCode.DESTINATION_PORT, NatureCode.PORT, attrgetter("destination_port"), str),
)
_ADDRESS_OF = {
    FieldCode.SOURCE_PORT: FieldCode.SOURCE_ADDRESS,
    FieldCode.DESTINATION_PORT: FieldCode.DESTINATION_ADDRESS,
}
_FIELDS: dict[int, tuple[_Field, ...]] = {
    HeaderType.IPV4: _ADDRESSES,
    HeaderType.IPV6: _ADDRESSES,
    HeaderType.UDP: _PORTS,
    HeaderType.TCP: _PORTS,
    HeaderType.TLS: (
        _Field(
            FieldCode.TLS_CERTIFICATE,
            NatureCode.INTERCEPTED,
            attrgetter("certificate_sha256"),
            bytes.hex,
        ),
    ),
    HeaderType.HTTP: (
        _Field(
            FieldCode.HTTP_REQUEST,
            NatureCode.REWRITTEN,
            attrgetter("method", "authority", "path", "version"),
            _show_request,
        ),
        _Field(
            FieldCode.HTTP_INTERMEDIARY,
            NatureCode.PROXIED,
            attrgetter("intermediaries"),
            ", ".join,
        ),
    ),
}

_HEADER_NAMES = {int(header): header.name.lower() for header in HeaderType}
_CAN_BE_ABSENT = (FieldCode.WHOLE_HEADER, FieldCode.HTTP_INTERMEDIARY)
_EVIDENT = (NatureCode.ADDRESS, NatureCode.PORT, NatureCode.ADDRESS_AND_PORT)

_SIGNS = (FieldCode.WHOLE_HEADER, FieldCode.HTTP_INTERMEDIARY)
"""Changes of an HTTP header that show a proxy."""

_IP = (Ipv4Header, Ipv6Header)
_PROXIED = (*_IP, TcpHeader)

_Partners: TypeAlias = Sequence[HeaderDescriptor | None]
_Natures: TypeAlias = dict[tuple[int, FieldCode], NatureCode]


def compare(sent: Description, observed: Description) -> tuple[Translation, ...]:
    """Return every translation between the two descriptions of one message, () if none."""
    return from_items(changes(sent, observed), sent, observed)


def changes(sent: Description, observed: Description) -> tuple[TranslationItem, ...]:
    """Return what `compare` does, as items of TRANSLATIONS: without the values to show."""
    said, seen = usual_values(sent), usual_values(observed)
    if said and seen and len(said[0]) == len(seen[0]):
        return _changes_where(len(said[0]), *map(ne, said, seen))
    return _changes(sent, observed)


def build_changes(sent: UsualValues, source: Endpoint, destination: Endpoint, spi: int) -> bytes:
    """Return the `changes` between usual descriptions as the value of TRANSLATIONS.

    `source`, `destination`, `spi`: as observed.
    """
    from_address, from_port, to_address, to_port, sent_spi = sent
    address = source[0]
    size = len(address)
    if size != len(from_address):
        observed = ip_udp_esp(*source, *destination, spi)
        return build_translations(_changes(ip_udp_esp(*sent), observed))
    return _built_where(
        size,
        from_address != address,
        from_port != source[1],
        to_address != destination[0],
        to_port != destination[1],
        sent_spi != spi,
    )


@lru_cache(2 * 2**5)
def _built_where(size: int, *differs: bool) -> bytes:
    return build_translations(_changes_where(size, *differs))


@lru_cache(2 * 2**5)
def _changes_where(size: int, *differs: bool) -> tuple[TranslationItem, ...]:
    """Return the changes where just these of the values of IP, UDP and ESP differ.

    What they hold does not matter: so the most common comparison is one look-up. `size`: of an
    address.
    """
    addresses = [bytes((each,)) * size for each in range(2)]
    sent = ip_udp_esp(addresses[0], 0, addresses[0], 0, 0)
    source, source_port, destination, destination_port, spi = map(int, differs)
    observed = ip_udp_esp(
        addresses[source], source_port, addresses[destination], destination_port, spi
    )
    return _changes(sent, observed)


def _changes(sent: Description, observed: Description) -> tuple[TranslationItem, ...]:
    if sent == observed:
        return ()
    partners, added = _align(sent, observed)
    natures = _natures(sent, partners)
    if _is_proxied(sent, natures, added):
        for index, field in natures:
            if isinstance(sent[index], _PROXIED):
                natures[index, field] = NatureCode.PROXIED
    items = [TranslationItem(index, field, nature) for (index, field), nature in natures.items()]
    for _ in added:
        items.append(TranslationItem(NOT_IN_SENT, FieldCode.WHOLE_HEADER, NatureCode.PROXIED))
    return tuple(items)


def _align(
    sent: Description, observed: Description
) -> tuple[_Partners, tuple[HeaderDescriptor, ...]]:
    """Return the partner of each sent header (None: removed) and the headers that were added.

    Of alignments equally near the end, the one with the later headers of `sent`.
    """
    left = [header.type for header in sent]
    right = [header.type for header in observed]
    if left != right:
        left = [_kind(each) for each in left]
        right = [_kind(each) for each in right]
    if left == right:
        return observed, ()
    # The best alignment of the first i and first j headers: how many match, and how near the end.
    best = [[(0, 0)] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, kind in enumerate(left):
        for j, other in enumerate(right):
            apart = max(best[i][j + 1], best[i + 1][j])
            count, nearness = best[i][j]
            matched = (count + 1, nearness + i + j) if kind == other else apart
            best[i + 1][j + 1] = max(apart, matched)
    partners: list[HeaderDescriptor | None] = [None] * len(left)
    added = []
    i, j = len(left), len(right)
    while j:
        if best[i][j] == best[i][j - 1]:
            j -= 1
            added.append(observed[j])
        elif best[i][j] == best[i - 1][j]:
            i -= 1
        else:
            i, j = i - 1, j - 1
            partners[i] = observed[j]
    return partners, tuple(reversed(added))


def _kind(header_type: int) -> int:
    return HeaderType.IPV4 if header_type == HeaderType.IPV6 else header_type


def _natures(sent: Description, partners: _Partners) -> _Natures:
    """Return the nature of every changed field, except that proxies are not yet known."""
    natures: _Natures = {}
    ip_index = NOT_IN_SENT
    for index, (header, partner) in enumerate(zip(sent, partners, strict=True)):
        if isinstance(header, _IP):
            ip_index = index
        if header == partner:
            continue
        for field, nature in _differences(header, partner):
            natures[index, field] = nature
            address = (ip_index, _ADDRESS_OF.get(field, field))
            if nature is NatureCode.PORT and address in natures:
                natures[address] = natures[index, field] = NatureCode.ADDRESS_AND_PORT
    return natures


def _differences(
    header: HeaderDescriptor, partner: HeaderDescriptor | None
) -> list[tuple[FieldCode, NatureCode]]:
    if partner is None:
        return [(FieldCode.WHOLE_HEADER, NatureCode.PROXIED)]
    if header.type != partner.type:  # aligned all the same: IPv4 and IPv6
        return [(FieldCode.WHOLE_HEADER, NatureCode.PROTOCOL)]
    changed = [
        (field.code, field.nature)
        for field in _FIELDS.get(header.type, ())
        if field.of(header) != field.of(partner)
    ]
    return changed or [(FieldCode.WHOLE_HEADER, NatureCode.PROXIED)]


def _is_proxied(sent: Description, natures: _Natures, added: tuple[HeaderDescriptor, ...]) -> bool:
    for index, field in natures:
        if isinstance(sent[index], HttpHeader) and field in _SIGNS:
            return True
    return any(isinstance(header, HttpHeader) and header.intermediaries for header in added)


def from_items(
    items: Iterable[TranslationItem], sent: Description, observed: Description
) -> tuple[Translation, ...]:
    """Return what the items of a peer say, with the values from both descriptions.

    `observed` may be empty if it is not known. Raises Drop(POORLY_FORMED) for an item whose
    header or field is not there.
    """
    partners, added = _align(sent, observed)
    rest = iter(added)
    return tuple(_with_values(item, sent, partners, rest) for item in items)


def _with_values(
    item: TranslationItem,
    sent: Description,
    partners: _Partners,
    added: Iterator[HeaderDescriptor],
) -> Translation:
    before = after = None
    if item.index < len(sent):
        before, after = sent[item.index], partners[item.index]
    elif item.index == NOT_IN_SENT:
        after = next(added, None)
    header = before or after
    if header is None:
        raise poorly_formed(f"translation of header {item.index}, which is not there")
    return Translation(
        item.index,
        item.field,
        item.nature,
        _value(before, item.field),
        _value(after, item.field),
        header.type,
    )


def _value(header: HeaderDescriptor | None, code: FieldCode) -> str:
    if header is None:
        return ""
    if code is FieldCode.WHOLE_HEADER:
        return show_header(header)
    for field in _FIELDS.get(header.type, ()):
        if field.code is code:
            return field.show(field.of(header))
    raise poorly_formed(f"translation of {code.name}, which header type {header.type} has not")


def show_header(header: HeaderDescriptor) -> str:
    """Return the fields of a header as text for people, without its type."""
    match header:
        case EspHeader(spi) | AhHeader(spi):
            return f"{spi:#010x}"
        case TlsHeader(certificate, name):
            return f"{name} {certificate.hex()}".lstrip()
        case UnknownHeader(_, value):
            return f"{len(value)} octets"
    separator = ", " if isinstance(header, HttpHeader) else " > "
    texts = (field.show(field.of(header)) for field in _FIELDS[header.type])
    return separator.join(filter(None, texts))


def as_json(translation: Translation) -> dict[str, str]:
    """Return {header, field, nature, sent, observed}: names in lower case, with underscores."""
    return {
        "header": _header_name(translation.header),
        "field": translation.field.name.lower(),
        "nature": translation.nature.name.lower(),
        "sent": translation.sent,
        "observed": translation.observed,
    }


def describe(translation: Translation) -> str:
    """Return one line for people."""
    sent, observed = translation.sent, translation.observed
    what = _spaced(translation.field.name)
    if translation.field is FieldCode.WHOLE_HEADER:
        what = f"{_header_name(translation.header)} header"
    if translation.field in _CAN_BE_ABSENT and not (sent and observed):
        text = f"{what} {'added' if observed else 'removed'}: {sent or observed}"
    else:
        text = f"{what} {sent or '?'} -> {observed or '?'}"
    return (
        text if translation.nature in _EVIDENT else f"{text} ({_spaced(translation.nature.name)})"
    )


def describe_all(translations: Iterable[Translation]) -> list[str]:
    """Return lines for people; an address and a port that changed together share one."""
    lines: list[str] = []
    addresses: dict[FieldCode, tuple[int, Translation]] = {}
    for each in translations:
        if each.nature is NatureCode.ADDRESS_AND_PORT:
            if each.field in _ADDRESS_OF and _ADDRESS_OF[each.field] in addresses:
                line, address = addresses.pop(_ADDRESS_OF[each.field])
                sent = endpoint_text(address.sent, each.sent)
                observed = endpoint_text(address.observed, each.observed)
                lines[line] = f"{_spaced(address.field.name)} and port {sent} -> {observed}"
                continue
            addresses[each.field] = len(lines), each
        lines.append(describe(each))
    return lines


def endpoint_text(address: str, port: str) -> str:
    """Write an address and a port as people do."""
    if not address and not port:
        return "?"
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _header_name(header_type: int) -> str:
    return _HEADER_NAMES.get(header_type, f"unknown_{header_type}")


def _spaced(name: str) -> str:
    return name.lower().replace("_", " ")
