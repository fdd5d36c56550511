"""`probe` and `lora_probe`: an MLP over the last hidden state of the answer, checked against the
same arithmetic in float64."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ct_guard.backends import KV, Capabilities
from ct_guard.errors import CtGuardError, ManifestError, MismatchError
from ct_guard.estimators import Estimator, load_estimator
from ct_guard.records import QuestionAnswer
from ct_guard.store import (
    PROBE,
    PROBE_SIZES,
    BaseModelRef,
    Manifest,
    ProbeHead,
    dump_probe,
    save_estimator,
)
from ct_guard.testing import FakeBackend

SIZE = 48
ROWS = [
    QuestionAnswer(question="Who?", answer="Ada"),
    QuestionAnswer(question="What is 2 plus 2?", answer="It is 4, of course."),
    QuestionAnswer(question="Who?", answer="Bob, or so they say."),
]


def head(inputs: int = SIZE) -> ProbeHead:
    random = np.random.default_rng(3)
    tensors = {}
    for at, outputs in enumerate(PROBE_SIZES):
        tensors[f"{2 * at}.weight"] = random.normal(size=(outputs, inputs)) / np.sqrt(inputs)
        tensors[f"{2 * at}.bias"] = random.normal(size=outputs) / 10
        inputs = outputs
    return ProbeHead.of(tensors)


def saved(
    folder: Path, method: str, base: str, lora: Path | None = None, inputs: int = SIZE
) -> Path:
    manifest = Manifest(
        name=method,
        method=method,
        base=BaseModelRef(id=base),
        activation="all" if lora is not None else None,
        probe=PROBE,
    )
    save_estimator(folder, manifest, adapter=lora, files={PROBE: dump_probe(head(inputs))})
    return folder


def by_hand(estimator: Estimator, rows: list[QuestionAnswer], lora: Path | None) -> list[float]:
    """Each answer alone, through the model as it is loaded from disk, and the head in float64."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(
        estimator.manifest.base.id, dtype=torch.float64
    )
    if lora is not None:
        model = PeftModel.from_pretrained(model, lora).double()
    values = []
    for row in rows:
        made = estimator.render(row)
        with torch.inference_mode():
            out = model(torch.tensor([[*made.context, *made.answer]]), output_hidden_states=True)
        x = out.hidden_states[-1][0, -1].numpy()
        tensors = head().tensors()
        for at in range(4):
            x = tensors[f"{2 * at}.weight"].astype(np.float64) @ x + tensors[f"{2 * at}.bias"]
            x = np.maximum(x, 0) if at < 3 else x
        values.append(float(x[1] - x[0]))
    return values


@pytest.mark.parametrize("method", ["probe", "lora_probe"])
def test_the_score_is_the_heads_margin(
    method: str, tiny_base: Path, tiny_adapter: Path, tmp_path: Path
) -> None:
    lora = tiny_adapter if method == "lora_probe" else None
    estimator = load_estimator(saved(tmp_path / "e", method, str(tiny_base), lora), device="cpu")
    found = estimator.score(ROWS)
    assert [c.status for c in found] == ["ok"] * 3
    assert [c.logit for c in found] == pytest.approx(by_hand(estimator, ROWS, lora), abs=1e-5)


def test_the_adapter_is_in_the_hidden_state(
    tiny_base: Path, tiny_adapter: Path, tmp_path: Path
) -> None:
    plain = load_estimator(saved(tmp_path / "p", "probe", str(tiny_base)), device="cpu")
    tuned = load_estimator(
        saved(tmp_path / "l", "lora_probe", str(tiny_base), tiny_adapter), device="cpu"
    )
    assert abs(plain.score(ROWS)[0].logit - tuned.score(ROWS)[0].logit) > 1e-3  # type: ignore[operator]


def test_an_answer_just_generated_is_read_again(tmp_path: Path) -> None:
    estimator = load_estimator(
        saved(tmp_path / "e", "probe", "fake", inputs=8), backend=FakeBackend()
    )
    row = QuestionAnswer(question="Who?", answer="Ada")
    kv = KV((1, 2), object(), 1, np.zeros(1, np.float32))
    assert estimator.score_generated(row, kv) == estimator.score([row])[0]


def refused(folder: Path, error: type[CtGuardError], match: str, backend: FakeBackend) -> None:
    with pytest.raises(error, match=match) as caught:
        load_estimator(folder, backend=backend)
    assert "\n" not in str(caught.value)


def test_a_head_for_another_size_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "e", "probe", "fake", inputs=9)
    refused(folder, MismatchError, "size 9, this base model has 8", FakeBackend())


def test_a_backend_without_hidden_states_is_refused(tmp_path: Path) -> None:
    class Blind(FakeBackend):
        capabilities = Capabilities(
            activations=frozenset({"all"}),
            kv_handles=True,
            answer_logprobs=True,
            hidden_states=False,
            generates=True,
        )

    folder = saved(tmp_path / "e", "probe", "fake", inputs=8)
    refused(folder, MismatchError, "hidden states.*`backend` transformers", Blind())


def test_a_head_and_a_method_that_do_not_fit(tmp_path: Path) -> None:
    no_head = Manifest(name="e", method="probe", base=BaseModelRef(id="fake"))
    save_estimator(tmp_path / "none", no_head)
    refused(tmp_path / "none", ManifestError, "its head do not fit", FakeBackend())
    unused = no_head.model_copy(update={"method": "zero-shot", "probe": PROBE})
    save_estimator(tmp_path / "unused", unused, files={PROBE: dump_probe(head(8))})
    refused(tmp_path / "unused", ManifestError, "its head do not fit", FakeBackend())


def test_a_head_that_the_manifest_does_not_hash(tmp_path: Path) -> None:
    manifest = Manifest(name="e", method="probe", base=BaseModelRef(id="fake"), probe=PROBE)
    save_estimator(tmp_path / "e", manifest)
    refused(tmp_path / "e", ManifestError, "hashes no probe.safetensors", FakeBackend())


def test_a_lora_probe_that_acts_on_the_query_only(tmp_path: Path, tiny_adapter: Path) -> None:
    manifest = Manifest(
        name="e", method="lora_probe", base=BaseModelRef(id="fake"), activation="query", probe=PROBE
    )
    files = {PROBE: dump_probe(head(8))}
    save_estimator(tmp_path / "e", manifest, adapter=tiny_adapter, files=files)
    refused(tmp_path / "e", ManifestError, "'all'", FakeBackend())
