"""HTTP/1.1 messages as clients and servers of the carriers write them, by hand."""

UPGRADE = (
    b"GET /.well-known/masque/udp/y/4500/ HTTP/1.1\r\nHost: y.example\r\n"
    b"Connection: Upgrade\r\nUpgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n\r\n"
)
POST = b"POST /p HTTP/1.1\r\nHost: y.example\r\nContent-Length: 4\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"


def heads(octets):
    """Name and value of the fields in a head."""
    lines = octets.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    return dict(line.decode().lower().split(": ", 1) for line in lines)


ID = bytes(range(16))
NAMED = f"Channel: {ID.hex()}\r\n".encode()


def posted(body, fields=b"", line=b"POST /mobsec HTTP/1.1"):
    """A request of http-post."""
    length = f"Content-Length: {len(body)}\r\n\r\n".encode()
    return line + b"\r\nHost: y.example\r\n" + fields + length + body


def post_answer(body, fields=NAMED, status=b"200 OK"):
    """An answer of http-post."""
    length = f"Content-Length: {len(body)}\r\n\r\n".encode()
    return b"HTTP/1.1 " + status + b"\r\n" + fields + length + body
