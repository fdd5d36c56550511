"""Files cut off anywhere and with flipped bits: an error of ours, or a model that computes.

What remains, because no check can know better: a flipped bit in a weight, in a token's text that
stays distinct, or in a number that stays plausible (an epsilon, a rope base) gives other logits.
The manifest's SHA-256 notices it in an adapter, the fingerprint does not in a GGUF base.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ct_guard.backends.gguf_file import validate_adapter, validate_base
from ct_guard.errors import BackendError, MismatchError

WORKER = Path(__file__).with_name("load_damaged.py")
_spec = importlib.util.spec_from_file_location("load_damaged", WORKER)
assert _spec is not None
assert _spec.loader is not None
load_damaged = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(load_damaged)


def test_validation_alone_answers_every_damage_with_one_line(
    tiny_gguf: Path, tiny_adapter: Path, tmp_path: Path
) -> None:
    adapter = tiny_adapter / "adapter.gguf"
    base = validate_base(tiny_gguf)
    refused = []
    for seed in range(600):
        source = (tiny_gguf, adapter)[seed % 2]
        path = tmp_path / source.name
        data = load_damaged.damaged(source.read_bytes(), load_damaged.header_size(source), seed)
        path.write_bytes(data)
        try:
            if source == tiny_gguf:
                validate_base(path)
            else:
                validate_adapter(path, base)
        except (BackendError, MismatchError) as error:
            refused.append(str(error))
    assert all(str(tmp_path) in message and "\n" not in message for message in refused)
    assert (
        500 < len(refused) < 600
    )  # most damage is seen; some leaves a file that is only different


@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.999])
def test_a_truncated_base_is_refused_wherever_it_ends(
    keep: float, tiny_gguf: Path, tmp_path: Path
) -> None:
    data = tiny_gguf.read_bytes()
    (tmp_path / "cut.gguf").write_bytes(data[: int(keep * len(data))])
    with pytest.raises(BackendError, match=r"cut\.gguf"):
        validate_base(tmp_path / "cut.gguf")


def test_no_damage_that_passes_aborts_llama_cpp(
    tiny_gguf: Path, tiny_adapter: Path, tmp_path: Path
) -> None:
    adapter = tiny_adapter / "adapter.gguf"
    done = subprocess.run(
        [sys.executable, WORKER, tiny_gguf, adapter, tmp_path, "10000", "1200"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    last = done.stdout.splitlines()[-1] if done.stdout else "nothing"
    assert done.returncode == 0, (
        f"died with {done.returncode} after {last!r}: {done.stderr[-2000:]}"
    )
    assert int(last.split()[1]) > 30  # files that reached llama.cpp and were computed with
