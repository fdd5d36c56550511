"""The socket that a server listens on: what it sends leaves at once."""

import socket

import pytest

from ct_guard.serving import listening_socket


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_no_connection_waits_until_what_was_sent_before_is_acknowledged(host: str) -> None:
    try:
        place = listening_socket(host, 0)
    except OSError as error:
        pytest.skip(f"this machine has no {host}: {error}")
    with place, socket.create_connection(place.getsockname()[:2]):
        connection, _ = place.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_place_that_is_taken_is_refused() -> None:
    with listening_socket("127.0.0.1", 0) as place, pytest.raises(OSError, match="in use"):
        listening_socket("127.0.0.1", place.getsockname()[1])
