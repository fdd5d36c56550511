"""The doctor finds what is there, and what is not, without ever failing for it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from ct_guard.backends.machine import memory
from ct_guard.cli.doctor import command
from ct_guard.doctor import examine
from ct_guard.errors import UsageError
from ct_guard.query import TEMPLATE_DATE
from ct_guard.store import MINI

ITEMS = ["Python", "CPU", "memory", "disk cache", "torch", "transformers", "llama.cpp", "extras"]


def test_every_item_has_a_value_and_one_line_of_advice() -> None:
    findings = examine()
    assert [finding.item for finding in findings] == ITEMS
    for finding in findings:
        assert finding.value
        assert finding.advice
        assert "\n" not in finding.value + finding.advice
    by_item = {finding.item: finding for finding in findings}
    assert torch.__version__ in by_item["torch"].value
    assert "llama-cpp-python" in by_item["llama.cpp"].value


def test_memory_is_what_the_machine_has() -> None:
    found = memory()
    assert 1e8 < found.available <= found.total < 1e14


@pytest.mark.parametrize("name", ["mini", "mini:query", str(MINI / "base"), str(MINI / "query")])
def test_a_model_in_both_forms(name: str) -> None:
    hugging_face, gguf = [finding for finding in examine(name) if finding.item == "model"]
    assert (hugging_face.ok, gguf.ok) == (True, True)
    assert "float32" in hugging_face.value
    assert "model.gguf" in gguf.value


def test_the_memory_of_a_model_is_its_weights_and_its_cache() -> None:
    (finding,) = [
        finding for finding in examine(str(MINI / "base" / "model.gguf")) if finding.item == "model"
    ]
    config = json.loads((MINI / "base" / "config.json").read_text())
    heads, size = config["num_key_value_heads"], config["head_dim"]
    cache = 2 * config["num_hidden_layers"] * heads * size * config["max_position_embeddings"] * 2
    assert f"{cache / 1e6:,.1f} MB" in finding.value


def test_a_model_that_is_not_here() -> None:
    with pytest.raises(UsageError, match="no model 'some/model' on this machine"):
        examine("some/model")


def huge(folder: Path) -> Path:
    """A checkpoint whose header claims a hundred billion parameters in float16."""
    header = {
        "w": {"dtype": "F16", "shape": [100_000, 1_000_000], "data_offsets": [0, 200 * 10**9]}
    }
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    (folder / "config.json").write_text(json.dumps({"num_hidden_layers": 80, "hidden_size": 8192,
                                                    "num_attention_heads": 64}))  # fmt: skip
    return folder


def test_a_model_that_does_not_fit_ends_with_code_3(tmp_path: Path) -> None:
    ran = CliRunner().invoke(command, ["--model", str(huge(tmp_path))])
    assert ran.exit_code == 3
    assert "does not fit" in ran.output
    assert "--type q8_0" in ran.output


def test_a_damaged_file_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF" + bytes(100))
    ran = CliRunner().invoke(command, ["--model", str(tmp_path)])
    assert ran.exit_code == 3
    assert "fetch or export it again" in ran.output


def test_json_has_the_same_findings() -> None:
    ran = CliRunner().invoke(command, ["--json", "--model", "mini"])
    assert ran.exit_code == 0
    found = json.loads(ran.output)
    assert [finding["item"] for finding in found] == [*ITEMS, "model", "model"]
    assert set(found[0]) == {"item", "value", "advice", "ok"}


def test_libraries_that_are_absent_are_reported() -> None:
    """In an interpreter that cannot import them."""
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('torch', 'llama_cpp', 'gguf', 'psutil', 'huggingface_hub'):\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "sys.argv = ['ct-guard', 'doctor', '--model', 'mini']\n"
        "from ct_guard.cli import main\n"
        "main()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Traceback" not in ran.stderr
    assert "pip install 'ct-guard[torch]'" in ran.stdout
    assert "pip install 'ct-guard[gguf]'" in ran.stdout
    assert ran.returncode == 3  # the GGUF file of mini cannot be judged


def test_a_chat_template_that_reads_the_clock_is_named(tmp_path: Path) -> None:
    model = tmp_path / "dated"
    shutil.copytree(MINI / "base", model)
    assert "chat template" not in [finding.item for finding in examine(str(model))]
    (model / "chat_template.jinja").write_text("{{ strftime_now('%d %b %Y') }}")
    (finding,) = [found for found in examine(str(model)) if found.item == "chat template"]
    assert finding.ok
    assert TEMPLATE_DATE in finding.advice


@pytest.mark.parametrize("name", ["mini", "mini:query"])
def test_a_models_arithmetic_is_checked_on_each_backend(name: str) -> None:
    found = [one for one in examine(name, check=True) if one.item == "arithmetic"]
    values = [one.value for one in found]
    assert [value.split(",")[0] for value in values] == [
        "transformers in float32",
        "llama_cpp in F32",
    ]
    assert all("noise" in value for value in values)
    assert [one.advice for one in found] == ["right: rows are read together"] * 2


def test_checking_needs_a_model() -> None:
    found = CliRunner().invoke(command, ["--check"])
    assert found.exit_code == 2
    assert "--model" in found.output
