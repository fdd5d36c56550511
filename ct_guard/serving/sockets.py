"""The socket that a server listens on."""

import socket

__all__ = ["listening_socket"]

BACKLOG = 2048
"""Connections that wait to be accepted."""


def listening_socket(host: str, port: int) -> socket.socket:
    """Bound to a host and a port, 0 being any that is free. Raises OSError where it cannot be had.

    What is sent leaves at once: head and body of a reply, and the events of a stream, are packets
    of their own, and each would wait until the client has acknowledged the one before it, for 40 ms
    (RFC 896 against RFC 1122). Event loops see to that only where a socket names its protocol,
    which `create_server` leaves open; connections have it from the socket that accepts them.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
