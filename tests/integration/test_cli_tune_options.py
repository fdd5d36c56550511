"""What the options and recipes of `ct-guard tune` come to, and which do not go together."""

import json
from pathlib import Path

import pytest

from ct_guard.errors import MissingExtraError, TuningError, UsageError
from ct_guard.store import load_manifest
from ct_guard.tuning import RECIPES, TuningConfig
from ct_guard.workflows.recipes import OF_PAPER
from tests.integration.test_cli_tune import QUICK, tune, write
from tests.unit.tuning.rows import graded

PAPER = ("--recipe", "paper", "--quantization", "none")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "graded.jsonl", graded(240))


def test_the_papers_recipe_is_the_papers() -> None:
    assert TuningConfig(**RECIPES["paper"]) == TuningConfig(
        activation="all", rank=8, alpha=32, dropout=0.1, targets=None, learning_rate=1e-4,
        batch_size=4, steps=5000, warmup=0, weight_decay=0.0, kl="jsd", kappa=1.0, patience=0,
        keep="last",
    )  # fmt: skip
    assert OF_PAPER == {"quantization": "8bit", "calibrator": "temperature"}


def test_a_base_in_8_bits_says_what_to_install(
    source: Path, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ct_guard.backends.loading.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"ct-guard\[quant\]"):
        tune(source, "-b", tiny_base, "-o", tmp_path / "x", "--recipe", "paper")


@pytest.mark.parametrize(
    ("given", "style"),
    [
        ((), "chat_turn"),
        (PAPER, "chat_user"),
        ((*PAPER, "--style", "chat_turn"), "chat_turn"),
        ((*PAPER, "--style", "raw"), "raw"),
    ],
)
def test_the_papers_recipe_asks_a_chat_model_in_the_papers_style(
    given: tuple[str, ...], style: str, source: Path, tiny_base: Path, tmp_path: Path
) -> None:
    result = tune(source, "-b", tiny_base, *QUICK, "-o", tmp_path / "mine", *given)
    assert result.exit_code == 0, result.output
    assert load_manifest(tmp_path / "mine").style == style


def test_the_papers_recipe_keeps_the_last_step_unless_told_otherwise(
    source: Path, tiny_base: Path, tmp_path: Path
) -> None:
    command = (source, "-b", tiny_base, *QUICK, *PAPER)
    said = tune(*command, "-o", tmp_path / "last").output
    assert "Last step 8: validation log loss" in said
    assert load_manifest(tmp_path / "last").figures["last step"] == 8
    said = tune(*command, "-o", tmp_path / "best", "--keep", "best").output
    assert "Best step " in said
    assert "best step" in load_manifest(tmp_path / "best").figures
    with pytest.raises(UsageError, match="use patience 0, or keep the best"):
        tune(*command, "-o", tmp_path / "x", "--patience", "3")


def test_a_recipe_gives_way_to_options_and_asks_for_nothing_else(
    source: Path, tiny_base: Path, tmp_path: Path
) -> None:
    result = tune(
        source, "-b", tiny_base, *QUICK, *PAPER, "-o", tmp_path / "mine", "--activation", "query"
    )
    assert result.exit_code == 0, result.output
    assert load_manifest(tmp_path / "mine").activation == "query"


@pytest.mark.parametrize(
    ("targets", "found"),
    [
        (
            (),
            {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"},
        ),
        (("--targets", "o_proj, down_proj"), {"o_proj", "down_proj"}),
        (
            ("--targets", "all-linear"),
            {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"},
        ),
    ],
)
def test_the_layers_that_get_a_lora_are_those_that_were_named(
    targets: tuple[str, ...], found: set[str], source: Path, tiny_base: Path, tmp_path: Path
) -> None:
    tune(source, "-b", tiny_base, *QUICK, "-o", tmp_path / "mine", *targets)
    config = json.loads((tmp_path / "mine" / "adapter" / "adapter_config.json").read_text())
    assert {name.rpartition(".")[2] for name in config["target_modules"]} == found
    assert config["alora_invocation_tokens"]  # it acts on the query alone


@pytest.mark.parametrize("recipe", ["default", "small", "paper"])
def test_a_probe_takes_any_recipe(
    recipe: str, source: Path, tiny_base: Path, tmp_path: Path
) -> None:
    result = tune(
        source, "-b", tiny_base, "-o", tmp_path / "mine", "--method", "probe", "--recipe", recipe,
        "--quantization", "none", "--calibrator", "none", "--steps", "4", "--evaluate-every", "2",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert load_manifest(tmp_path / "mine").activation is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        *(
            (f"--method probe {option}", f"{option.split()[0]} is about a LoRA, and the method")
            for option in (
                "--activation all", "--rank 4", "--alpha 8", "--dropout 0", "--targets q_proj",
                "--kl jsd", "--kappa 1", "--gradient-checkpointing",
            )
        ),
        ("--kl jsd", "--kl is for activation all: the method query with activation query"),
        ("--method hybrid --kl jsd", "the method hybrid with activation query"),
        ("--recipe paper --activation query --kl jsd", "--kl is for activation all"),
        ("--activation all --kappa 0 --kl jsd", "--kl is of no use with --kappa 0"),
        ("--method hybrid --label-orders both", "for the method query, not for hybrid"),
        ("--question-prior", "for the method hybrid, not for query"),
        ("--layer rows.jsonl", "--layer is for --method hybrid: leave it out"),
        ("--calibrator none --calibration rows.jsonl", "--calibration is for a --calibrator"),
        ("--method lora_probe --activation query", "--activation query is not for lora_probe"),
        ("--revision main", "--revision is for a base of the hub's"),
        (
            "--calibration a.jsonl --validation b.jsonl --held-out 0.2",
            "--held-out is for parts that are drawn",
        ),
    ],
)  # fmt: skip
def test_an_option_that_would_be_ignored_is_refused(
    given: str, said: str, tiny_base: Path, tmp_path: Path
) -> None:
    refused = tune("graded.jsonl", "-b", tiny_base, "-o", tmp_path / "x", *given.split())
    assert refused.exit_code == 2
    assert said in refused.output
    assert "leave it out" in refused.output or "not for" in refused.output


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--kappa 1", "leave kappa out"),
        ("--gradient-checkpointing", "drops the cache that activation 'query' is tuned over"),
        ("--weight-decay nan", "weight_decay is nan and must be finite"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_any_work(
    given: str, said: str, tiny_base: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said):
        tune("graded.jsonl", "-b", tiny_base, "-o", tmp_path / "x", *given.split())


@pytest.mark.parametrize("rate", ["1e20", "1e38"])
def test_a_probe_that_diverges_is_told_to_learn_more_slowly(
    rate: str, source: Path, tiny_base: Path, tmp_path: Path
) -> None:
    with pytest.raises(TuningError, match=r"at step 1: lower the learning rate \(1e\+"):
        tune(
            source, "-b", tiny_base, "-o", tmp_path / "x", "--method", "probe", "--warmup", "0",
            "--steps", "4", "--evaluate-every", "1", "--learning-rate", rate,
        )  # fmt: skip
    assert not (tmp_path / "x").exists()
