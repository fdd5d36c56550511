"""Whether a certificate still stands, by the file on disk."""

from pathlib import Path

import pytest

from ct_guard.certificates import Certificate, Void
from ct_guard.guard.validity import Validity
from ct_guard.store import BaseModelRef, Manifest, write_manifest

STANDS = Certificate(alpha=0.1, delta=0.1, threshold=0.5, n=100, answered=50, errors=1)
OTHER = STANDS.model_copy(update={"threshold": 0.6})
VOID = STANDS.model_copy(update={"void": Void(at="2026-01-01T00:00:00+00:00", reason="wrong")})


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def write(folder: Path, *certificates: Certificate) -> None:
    base = BaseModelRef(id="base")
    write_manifest(
        folder, Manifest(name="e", method="likelihood", base=base, certificates=certificates)
    )


def test_a_mark_is_seen_within_a_period(tmp_path: Path) -> None:
    write(tmp_path, STANDS)
    clock = Clock()
    validity = Validity(tmp_path, period=1.0, clock=clock)
    assert validity.why_void(STANDS) == ""
    write(tmp_path, VOID, OTHER)
    assert validity.why_void(STANDS) == ""
    clock.now += 1.0
    assert validity.why_void(STANDS) == validity.why_void(VOID) == "wrong"
    assert validity.why_void(OTHER) == ""


def test_what_is_void_stays_so_when_another_takes_its_place(tmp_path: Path) -> None:
    """The guard still holds the old one."""
    clock = Clock()
    validity = Validity(tmp_path, period=1.0, clock=clock)
    write(tmp_path, VOID)
    assert validity.why_void(STANDS)
    write(tmp_path, OTHER)
    clock.now += 1.0
    assert validity.why_void(STANDS) == "wrong"
    assert validity.why_void(OTHER) == ""


@pytest.mark.parametrize("content", ["", "[]", '{"certificates": 7}', '{"certificates": [7]}'])
def test_what_cannot_be_read_changes_nothing_and_is_logged_once(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, VOID)
    clock = Clock()
    validity = Validity(tmp_path, period=1.0, clock=clock)
    assert validity.why_void(STANDS) == "wrong"
    (tmp_path / "manifest.json").write_text(content)
    for _ in range(3):
        clock.now += 1.0
        assert validity.why_void(STANDS) == "wrong"
    assert len(caplog.records) == 1


def test_without_a_directory_nothing_is_known() -> None:
    assert Validity(None).why_void(STANDS) == ""
