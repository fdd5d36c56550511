"""Certificates are verified, and `SSL_CERT_FILE` names an authority of one's own.

`tls/authority.pem` is such an authority, `tls/server.pem` a key and its certificate for 127.0.0.1;
both end in a hundred years.
"""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from ct_guard.backends.server import Ask, Patience, Pool
from ct_guard.errors import ServerError
from ct_guard.testing import FakeBackend
from tests.served import ServedModel, serving

TLS = Path(__file__).with_name("tls")
VERSION: Ask[str] = Ask("/version", lambda reply: str(reply["version"]))


@pytest.fixture
def server() -> Iterator[ServedModel]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "server.pem")
    with serving("vllm", FakeBackend(), tls=context) as running:
        yield running


def asked(url: str) -> str:
    pool = Pool(url, patience=Patience(total=5.0, retries=0))
    try:
        return pool.one(VERSION)
    finally:
        pool.close()


def test_a_server_whose_authority_is_named_is_believed(
    server: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "authority.pem"))
    assert server.url.startswith("https://")
    assert asked(server.url)


def test_one_of_an_unknown_authority_is_refused_and_the_way_out_named(
    server: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with pytest.raises(ServerError, match=r"cannot be verified.*SSL_CERT_FILE"):
        asked(server.url)
    assert server.keys == []  # nothing was sent


def test_a_certificate_of_another_host_is_refused(
    server: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "authority.pem"))
    with pytest.raises(ServerError, match=r"cannot be verified.*localhost"):
        asked(f"https://localhost:{server.server_port}")


def test_an_authority_that_is_no_file_is_named(
    server: ServedModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(ServerError, match=r"SSL_CERT_FILE.*none\.pem"):
        asked(server.url)
