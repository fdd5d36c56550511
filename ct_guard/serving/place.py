"""Where a server listens."""

import socket

__all__ = ["taken"]

BACKLOG = 2048
"""Connections that wait to be accepted."""


def taken(host: str, port: int) -> socket.socket:
    """The place, port 0 being any that is free. Raises OSError where it cannot be had.

    What is sent leaves at once: head and body of a reply, and the events of a stream, are packets
    of their own, and each would wait until the client has acknowledged the one before it, for 40 ms
    (RFC 896 against RFC 1122). Event loops see to that only where a socket names its protocol,
    which `create_server` leaves open; connections have it from the socket that accepts them.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    place = socket.create_server((host, port), family=family, backlog=BACKLOG)
    place.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return place
