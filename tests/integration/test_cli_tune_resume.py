"""`ct-guard tune` that is interrupted, or runs out of room, and goes on with --resume."""

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ct_guard.errors import OutputExistsError, TuningError, UsageError
from ct_guard.files.locking import alone
from ct_guard.store import load_manifest
from ct_guard.tuning import Progress
from ct_guard.workflows.curves import write_log
from tests.full_disks import files_end_at
from tests.integration.test_cli_tune import QUICK, tune, write
from tests.unit.tuning.rows import graded
from tests.unit.tuning.test_full_disks import full


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "graded.jsonl", graded(240))


class Interrupted(OSError):
    pass


def interrupted(monkeypatch: pytest.MonkeyPatch, *command: str | Path, at: int = 4) -> None:
    """A run that ends between the checkpoint of step `at` and its line in the log."""
    from ct_guard.workflows.curves import write_line

    def interrupt(path: Path, progress: Progress) -> None:
        if progress.step == at:
            raise Interrupted
        write_line(path, progress)

    with monkeypatch.context() as patched:
        patched.setattr("ct_guard.workflows.curves.write_line", interrupt)
        with pytest.raises(Interrupted):
            tune(*command)


def logged(target: Path) -> list[dict[str, Any]]:
    """The lines of an estimator's log, but for how long they took."""
    lines = map(json.loads, Path(f"{target}.log.jsonl").read_text().splitlines())
    return [{name: line[name] for name in line if name != "rows_per_second"} for line in lines]


def test_two_runs_to_one_directory_do_not_share_its_checkpoint(
    source: Path, tiny_base: Path, tmp_path: Path
) -> None:
    with alone(tmp_path / "mine"), pytest.raises(UsageError, match="another run is writing it"):
        tune(source, "-b", tiny_base, *QUICK, "-o", tmp_path / "mine")
    assert not (tmp_path / "mine.run").exists()


@pytest.mark.parametrize("at", [4, 8])
def test_an_interrupted_run_goes_on_and_is_not_lost_by_mistake(
    at: int, source: Path, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = (source, "-b", tiny_base, *QUICK)
    tune(*command, "-o", tmp_path / "whole")
    interrupted(monkeypatch, *command, "-o", tmp_path / "part", at=at)
    assert not (tmp_path / "part").exists()
    with pytest.raises(OutputExistsError, match="--resume"):
        tune(*command, "-o", tmp_path / "part")
    tune(*command, "-o", tmp_path / "part", "--resume")
    name = "adapter/adapter_model.safetensors"
    whole, part = (load_manifest(tmp_path / one) for one in ("whole", "part"))
    assert whole.files[name] == part.files[name]
    assert whole.calibrators == part.calibrators
    assert logged(tmp_path / "part") == logged(tmp_path / "whole")
    assert [line["step"] for line in logged(tmp_path / "part")] == [0, 4, 8]


def test_a_torn_line_of_the_log_is_written_anew_and_the_curves_are_whole(
    source: Path, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[int]] = []
    monkeypatch.setattr(
        "ct_guard.workflows.curves.draw_curves",
        lambda path, history: drawn.append([progress.step for progress in history]),
    )
    target = tmp_path / "mine"
    command = (source, "-b", tiny_base, *QUICK, "-o", target, "--plot", tmp_path / "curves.svg")
    interrupted(monkeypatch, *command)
    Path(f"{target}.log.jsonl").write_text('{"step": 4, "st')
    assert tune(*command, "--resume").exit_code == 0
    assert [line["step"] for line in logged(target)] == [0, 4, 8]
    assert drawn == [[0, 4, 8]]


def test_a_run_goes_on_in_the_number_format_that_it_began_in(
    source: Path, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = (source, "-b", tiny_base, *QUICK, "-o", tmp_path / "mine")
    interrupted(monkeypatch, *command)
    with pytest.raises(TuningError, match=r"differs in number format \(--dtype, --quantization\)"):
        tune(*command, "--resume", "--dtype", "bfloat16")
    assert tune(*command, "--resume").exit_code == 0


def test_a_run_that_was_killed_at_its_first_checkpoint_can_begin_again(
    source: Path, tiny_base: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.run").mkdir()
    (tmp_path / "mine.run" / ".checkpoint.safetensors.1-1.tmp").write_bytes(b"half")
    tune(source, "-b", tiny_base, *QUICK, "-o", tmp_path / "mine")
    assert load_manifest(tmp_path / "mine").name == "mine"
    assert not (tmp_path / "mine.run").exists()


def test_a_full_disk_leaves_the_old_estimator_whole(
    source: Path, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = (source, "-b", tiny_base, *QUICK, "-o", tmp_path / "mine")
    tune(*command)
    old = load_manifest(tmp_path / "mine")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        tune(*command)
    copy = shutil.copyfile

    def half(source: Path, target: Path) -> None:
        copy(source, target)
        if Path(target).suffix == ".safetensors":
            Path(target).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ct_guard.store.directory.shutil.copyfile", half)
    with pytest.raises(TuningError, match=r"No space left on device: make room; .* --resume"):
        tune(*command, "--overwrite", "--seed", "1")
    assert load_manifest(tmp_path / "mine") == old  # verifies every file against its hash
    assert (tmp_path / "mine.run" / "checkpoint.safetensors").exists()  # --resume saves it yet


@pytest.mark.parametrize(
    ("method", "written", "file"),
    [
        ("query", "ct_guard.workflows.curves.asdict", "mine.log.jsonl"),
        ("query", "peft.LoraConfig.save_pretrained", "mine.run/adapter"),
        ("probe", "ct_guard.tuning.trained.dump_probe", "mine.run/adapter/probe.safetensors"),
    ],
)
def test_a_full_disk_names_the_file_and_resuming_goes_on(
    method: str,
    written: str,
    file: str,
    source: Path,
    tiny_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = (source, "-b", tiny_base, *QUICK, "--method", method, "-o", tmp_path / "mine")
    with monkeypatch.context() as patched:
        patched.setattr(written, full)
        said = rf"{tmp_path / file}: cannot be written: No space left on device: make room; the"
        with pytest.raises(TuningError, match=f"{said} same command with --resume goes on"):
            tune(*command)
    assert not (tmp_path / "mine").exists()
    assert tune(*command, "--resume").exit_code == 0
    started = [] if method == "probe" else [0]
    assert [line["step"] for line in logged(tmp_path / "mine")] == [*started, 4, 8]
    assert load_manifest(tmp_path / "mine").method == method


def test_a_log_that_cannot_be_written_anew_stays_as_it_was(tmp_path: Path) -> None:
    log = tmp_path / "mine.log.jsonl"
    history = [Progress(step, 9, 0.7, 0.6, 0.8, 10.0) for step in (3, 6, 9)]
    write_log(log, history[:1])
    old = log.read_bytes()
    with files_end_at(200), pytest.raises(TuningError, match=rf"{log}: cannot .*: make room; .*"):
        write_log(log, history)
    assert log.read_bytes() == old
    assert list(tmp_path.iterdir()) == [log]
