"""Workers on a Ray cluster: the same rows in the same order, whatever becomes of the workers."""

import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ct_guard import ScoreConfig, score
from ct_guard.errors import FieldError, MismatchError, MissingExtraError, PolicyError
from ct_guard.workflows.engines import Local
from ct_guard.workflows.engines.ray_pool import RayPool
from ct_guard.workflows.runs import Reading, score_file, select
from tests.ray_workers import mortal, refusing, unfit

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'ct-guard[ray]'")
    pytest.importorskip("ray.data", reason="Ray Data is not: pip install 'ct-guard[ray]'")
    ray.init(num_cpus=2, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    yield ray
    ray.shutdown()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    words = ["sure", "unsure", "perhaps"]
    rows = [{"question": "q", "answer": f"{words[n % 3]} {n}", "n": n} for n in range(47)]
    rows[30]["answer"] = "sure to kill"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "no row\n")
    return path


def pool(tmp_path: Path) -> RayPool:
    return RayPool(partial(mortal, tmp_path / "killed"), workers=2, chunk_rows=4)


def locally(source: Path, output: Path, killed: Path, reading: Reading | None = None) -> bytes:
    killed.touch()
    score_file(Local(mortal(killed)[0]), reading or Reading.of(str(source)), output)
    return output.read_bytes()


def test_a_killed_worker_changes_nothing_in_the_output(
    cluster: Any, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    heard: list[int] = []
    with pool(tmp_path) as workers:
        assert workers.about.remarks == ("it may be killed",)
        done = score_file(workers, Reading.of(str(source)), output, on_rows=heard.append)
    assert (tmp_path / "killed").exists()
    assert (done.rows, done.failed) == (48, 1)
    assert heard == [4] * 12
    assert output.read_bytes() == locally(source, tmp_path / "local.jsonl", tmp_path / "killed")


def test_a_run_that_was_stopped_goes_on_with_workers(
    cluster: Any, source: Path, tmp_path: Path
) -> None:
    output, killed = tmp_path / "out.jsonl", tmp_path / "killed"
    killed.touch()
    reading = select(Reading.of(str(source)), sample=30, seed=1)

    class Stopped(BaseException):
        pass

    def stop(rows: int) -> None:
        raise Stopped

    with pool(tmp_path) as workers, pytest.raises(Stopped):
        score_file(workers, reading, output, on_rows=stop)
    resumed: list[int] = []
    with pool(tmp_path) as workers:
        score_file(workers, reading, output, resume=True, on_resumed=resumed.append)
    assert resumed == [4]
    assert output.read_bytes() == locally(source, tmp_path / "local.jsonl", killed, reading)


def test_what_a_worker_raises_is_raised_here(cluster: Any, source: Path, tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match="give the right one with `base`"):
        RayPool(unfit, workers=1).__enter__()
    output = tmp_path / "out.jsonl"
    with (
        RayPool(refusing, workers=1) as workers,
        pytest.raises(PolicyError, match="give another `policy`"),
    ):
        score_file(workers, Reading.of(str(source)), output)
    assert not output.exists()


def test_without_ray_it_says_what_to_install(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ct-guard\[ray\]'"):
        score(source, tmp_path / "out.jsonl", ScoreConfig(engine="ray"))
    with pytest.raises(FieldError, match="name a file, no pipe"):
        score("-", tmp_path / "out.jsonl", ScoreConfig(engine="ray"))
    assert not (tmp_path / "out.jsonl").exists()
