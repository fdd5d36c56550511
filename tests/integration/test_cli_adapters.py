"""`ct-guard adapters` and `ct-guard inspect` of an adapter that another program wrote."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ct_guard.cli import cli
from ct_guard.store import PUBLISHED
from tests.lookalikes import make_adapter


def run(*arguments: str) -> str:
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_the_twelve_are_listed() -> None:
    lines = run("adapters").splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(PUBLISHED)
    assert [entry["id"] for entry in json.loads(run("adapters", "--json"))] == list(PUBLISHED)


def test_inspect_names_what_was_found_and_what_is_assumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setenv("CT_GUARD_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "Llama-2-7b-chat-hf-ct-choice"
    make_adapter(folder, base="/scratch/author/llama", calibrated=True)
    torch.save({"log_temperature": torch.zeros(1)}, folder / "query_temperature_head.bin")
    shown = " ".join(run("inspect", str(folder)).split())
    for text in (
        "base meta-llama/Llama-2-7b-chat-hf",
        "context style raw_choice, boundary joint",
        "acts on all tokens",
        "calibrator every model: temperature (temperature=1), labels not recorded",
        "found adapter: CALIBRATED_LORA, rank 4, from adapter_config.json",
        "found base: /scratch/author/llama, from adapter_config.json",
        "found temperature: 1, from query_temperature_head.bin",
        "assumed base: meta-llama/Llama-2-7b-chat-hf, by the adapter's id",
        "assumed boundary: joint, as in the reference",
        "assumed labels: the last ids of 'i' and 'ii'",
    ):
        assert text in shown
