"""`probe` and `lora_probe` exported to GGUF judge as they do on transformers."""

from pathlib import Path

import numpy as np
import pytest

from ct_guard.backends.fingerprint import fingerprint
from ct_guard.backends.llama_cpp import context
from ct_guard.backends.llama_cpp.library import library
from ct_guard.errors import BackendError
from ct_guard.estimators import load_estimator
from ct_guard.export import export_estimator
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

ROWS = [
    QuestionAnswer(question=question, answer=answer)
    for question in ("Who?", "What is 2 plus 2?")
    for answer in ("Ada", "It is 4, of course.", "4")
]


def exported(folder: Path, method: str, base: Path, lora: Path | None) -> Path:
    random = np.random.default_rng(3)
    tensors, inputs = {}, 48
    for at, outputs in enumerate(PROBE_SIZES):
        tensors[f"{2 * at}.weight"] = random.normal(size=(outputs, inputs)) / np.sqrt(inputs)
        tensors[f"{2 * at}.bias"] = random.normal(size=outputs) / 10
        inputs = outputs
    manifest = Manifest(
        name=method,
        method=method,
        base=BaseModelRef(id=str(base), fingerprint=fingerprint(base)),
        activation="all" if lora is not None else None,
        probe=PROBE,
    )
    save_estimator(
        folder / "made", manifest, adapter=lora, files={PROBE: dump_probe(ProbeHead.of(tensors))}
    )
    export_estimator(folder / "made", folder / "exported", base=base, kind="f32")
    return folder / "exported"


@pytest.mark.parametrize("method", ["probe", "lora_probe"])
def test_an_exported_probe_gives_the_same_logits(
    method: str, tiny_base: Path, tiny_adapter: Path, tmp_path: Path
) -> None:
    lora = tiny_adapter if method == "lora_probe" else None
    folder = exported(tmp_path, method, tiny_base, lora)
    ours = load_estimator(folder, backend="llama_cpp", threads=1, kv_type="f32")
    theirs = load_estimator(folder, base=tiny_base, device="cpu")
    found = [made.logit for made in ours.score(ROWS)]
    assert found == pytest.approx([made.logit for made in theirs.score(ROWS)], abs=1e-4)
    assert len(set(found)) == len(ROWS)
    ours.close()
    theirs.close()


def test_a_model_without_hidden_states_is_refused_with_a_way_out(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """llama.cpp answers with a null pointer where a model gives no embeddings of a token."""
    real = library()

    class Without:
        def __getattr__(self, name: str) -> object:
            return (lambda *_: None) if name == "llama_get_embeddings_ith" else getattr(real, name)

    monkeypatch.setattr(context, "library", Without)
    folder = exported(tmp_path, "probe", tiny_base, None)
    with pytest.raises(BackendError, match=r"no hidden states.*transformers backend"):
        load_estimator(folder, backend="llama_cpp", threads=1)
