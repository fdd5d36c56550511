"""Keys never stand in what is written."""

from pathlib import Path

import pytest

from ct_guard.errors import UsageError
from ct_guard.remote import key_in, without_credentials, without_secrets


@pytest.mark.parametrize(
    "name",
    ["OPENAI_API_KEY", "HF_TOKEN", "APIKEY", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY", "my_key"],
)
def test_the_values_of_secret_variables_are_hidden(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "abcdefgh-1234")
    assert without_secrets("wrong key abcdefgh-1234!") == "wrong key ***!"


@pytest.mark.parametrize(
    ("name", "value"),
    [("TOKENIZERS_PARALLELISM", "something"), ("MONKEY", "something"), ("A_KEY", "some")],
)
def test_other_text_is_left_alone(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert without_secrets(f"{value} is said") == f"{value} is said"


def test_a_key_within_another_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONG_KEY", "abcdefgh-1234")
    assert without_secrets("abcdefgh-1234", "abcdefgh") == "***"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no file ftp://me:hunter2@host/v1: check it", "no file ftp://***@host/v1: check it"),
        ("'https://hunter2@host'", "'https://***@host'"),
        ("postgres://me:p/s@ss@host and x@y.z", "postgres://***@host and x@y.z"),
        ("http://host/v1, me@host", "http://host/v1, me@host"),
    ],
)
def test_the_credentials_of_a_url_are_hidden(text: str, shown: str) -> None:
    assert without_credentials(text) == shown


def test_a_key_is_all_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("sk-abc-123456789\n")
    assert key_in(path) == "sk-abc-123456789"


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"two words", b"two\nlines", b"k\xff", b"k" * 20000]
)
def test_a_file_that_holds_no_key_alone_is_not_shown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        key_in(path)
    assert str(caught.value) == f"{path} is not a key alone: it should hold nothing but the key"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        key_in(tmp_path / "key")
