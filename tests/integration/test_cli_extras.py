"""Every command without the libraries that it needs: one line that says what to install."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HIDDEN = """
import sys
from ct_guard.cli import EXTRAS, main
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in EXTRAS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("extras")
    rows = [
        {"question": f"Is {n} even?", "answer": "yes", "correct": n % 2 == 0, "gold": ["yes"]}
        | {"logit": 1.0 - n % 2, "confidence": 0.7, "status": "ok"}
        for n in range(40)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["tune", "rows.jsonl", "-b", "mini", "-o", "made"], "torch"),
        (["score", "rows.jsonl", "-o", "scored.jsonl"], "torch"),
        (["score", "rows.jsonl", "-o", "scored.jsonl", "--backend", "llama_cpp"], "gguf"),
        (["score", "rows.jsonl", "-o", "scored.parquet"], "parquet"),
        (["score", "rows.jsonl", "-o", "scored.jsonl", "--engine", "ray"], "ray"),
        (["grade", "rows.jsonl", "--model", "mini", "-o", "graded.jsonl"], "torch"),
        (["evaluate", "rows.jsonl", "--plot", "curves.png"], "report"),
        (["export", "gguf", "mini", "-o", "exported"], "gguf"),
        (["serve", "--port", "0"], "serve"),
        (["push", "mini", "somebody/something"], "torch"),
        (["pull", "somebody/something"], "torch"),
    ],
)
def test_a_command_without_its_libraries_says_what_to_install(
    folder: Path, arguments: list[str], extra: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HIDDEN, *arguments], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].endswith(f"pip install 'ct-guard[{extra}]'")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["inspect", "mini"], ["doctor"], ["evaluate", "rows.jsonl"]])
def test_a_command_that_needs_none_of_them_works(folder: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HIDDEN, *arguments], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
