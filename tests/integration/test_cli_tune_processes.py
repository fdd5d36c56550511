"""`accelerate launch -m ct_guard tune`: several processes take the steps of one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ct_guard.store import load_manifest
from tests.integration.test_cli_tune import QUICK, tune, write
from tests.unit.tuning.rows import graded

TWO = (
    "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1",
    "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0", "-m",
)  # fmt: skip


def tune_by_two(*arguments: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, *TWO, "ct_guard", "tune", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("activation", ["query", "all"])
def test_two_processes_take_the_steps_of_one(
    activation: str, tiny_base: Path, tmp_path: Path
) -> None:
    source = write(tmp_path / "graded.jsonl", graded(240))
    command = (source, "-b", tiny_base, *QUICK, "--dropout", "0", "--activation", activation)
    assert tune(*command, "-o", tmp_path / "one").exit_code == 0
    tune_by_two(*command, "-o", tmp_path / "two")
    one, two = (
        load_file(tmp_path / name / "adapter" / "adapter_model.safetensors")
        for name in ("one", "two")
    )
    assert one.keys() == two.keys()
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=1e-3, atol=1e-5)
    figures = [load_manifest(tmp_path / name).figures for name in ("one", "two")]
    loss = "validation log loss"
    assert figures[0][loss] == pytest.approx(figures[1][loss], abs=1e-4)
    log = (tmp_path / "two.log.jsonl").read_text().splitlines()
    assert len(log) == (3 if activation == "query" else 2)  # its start is an evaluation, too
