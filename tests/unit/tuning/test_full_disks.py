"""Without room on the disk: what was there stays whole, and the error names the file and the way
on."""

import errno
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ct_guard.backends import Adapter
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.errors import BackendError, TuningError
from ct_guard.store import PROBE
from ct_guard.tuning import tune
from ct_guard.tuning.checkpoint import Run, save_run
from tests.full_disks import files_end_at
from tests.unit.tuning.rows import graded
from tests.unit.tuning.test_runs import CONFIG, Stopped, run, stop_at

NO_ROOM = r"cannot be written: .*: make room; the same command with `resume` goes on"


def full(*arguments: Any, **options: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    "written", ["ct_guard.backends.lora.save_file", "peft.LoraConfig.save_pretrained"]
)
def test_the_old_adapter_stays_whole_and_resuming_saves_the_new_one(
    written: str, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, checkpoint = tmp_path / "a", tmp_path / "checkpoint.safetensors"
    run(tiny_base, folder, replace(CONFIG, steps=3))
    old = contents(folder)
    with monkeypatch.context() as patched:
        patched.setattr(written, full)
        with pytest.raises(TuningError, match=f"{folder}: {NO_ROOM}"):
            run(tiny_base, folder, CONFIG, checkpoint=checkpoint)
    assert contents(folder) == old
    assert len(list(folder.iterdir())) == len(old)
    run(tiny_base, folder, CONFIG, checkpoint=checkpoint, resume=True)
    assert contents(folder) != old


def test_the_old_head_of_a_probe_stays_whole(backend: TransformersBackend, tmp_path: Path) -> None:
    folder = tmp_path / "p"

    def probe(steps: int) -> None:
        tune(
            backend, graded(24), graded(8, offset=500), style="chat_turn", folder=folder,
            config=replace(CONFIG, steps=steps), method="probe",
        )  # fmt: skip

    probe(3)
    old = contents(folder)
    with files_end_at(50_000), pytest.raises(TuningError, match=f"{folder / PROBE}: {NO_ROOM}"):
        probe(6)
    assert contents(folder) == old
    probe(6)
    assert contents(folder) != old


def test_the_old_checkpoint_stays_whole(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Stopped):
        run(tiny_base, tmp_path / "a", CONFIG, checkpoint=checkpoint, on_progress=stop_at(3))
    old = checkpoint.read_bytes()

    def half(tensors: object, path: Path, told: object) -> None:
        Path(path).write_bytes(b"half")
        full()

    monkeypatch.setattr("ct_guard.tuning.checkpoint.save_file", half)
    with pytest.raises(TuningError, match=r"No space left.*`resume` goes on from the one before"):
        run(tiny_base, tmp_path / "a", CONFIG, checkpoint=checkpoint, resume=True)
    assert checkpoint.read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.name]


def test_what_safetensors_says_of_it_is_an_error_of_ours(
    backend: TransformersBackend, tiny_adapter: Path, tmp_path: Path
) -> None:
    weight = torch.zeros(60_000, requires_grad=True)
    optimizer = torch.optim.AdamW([weight])
    checkpoint = tmp_path / "checkpoint.safetensors"
    with files_end_at(100_000), pytest.raises(TuningError, match=r"cannot be written.*make room"):
        save_run(checkpoint, {}, Run(), [weight], optimizer)
    assert list(tmp_path.iterdir()) == []
    adapter = Adapter("mine", tmp_path / "mine", "query")
    shutil.copytree(tiny_adapter, adapter.path)
    backend.add_adapter(adapter)
    old = contents(adapter.path)
    with files_end_at(3_000), pytest.raises(BackendError, match=r"cannot be written.*make room"):
        backend.save_adapter(adapter)
    assert contents(adapter.path) == old
