"""What does not fit is refused before anything is scored, in one line."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ct_guard.backends import Adapter, Capabilities, Item, ScoreBatch, Want
from ct_guard.errors import (
    CtGuardError,
    EstimatorError,
    ManifestError,
    MismatchError,
    SelfTestError,
    UsageError,
)
from ct_guard.estimators import load_estimator
from ct_guard.query import Query
from ct_guard.records import CalibratorState, QuestionAnswer
from ct_guard.store import MANIFEST, BaseModelRef, Manifest, load_manifest, save_estimator
from ct_guard.testing import FakeBackend


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lora = tmp_path / "lora"
    lora.mkdir()
    (lora / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (lora / "adapter_model.safetensors").write_bytes(b"weights")
    base = BaseModelRef(id="fake", fingerprint="fake")
    manifest = Manifest(name="e", method="query", base=base, activation="query")
    save_estimator(tmp_path / "e", manifest, adapter=lora)
    return tmp_path / "e"


def edit(folder: Path, **changes: Any) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def refused(
    folder: Path, error: type[CtGuardError], match: str, backend: Any = None, **options: Any
) -> None:
    with pytest.raises(error, match=match) as caught:
        load_estimator(folder, backend=backend or FakeBackend(), **options)
    assert "\n" not in str(caught.value)


def test_what_fits_is_loaded(folder: Path) -> None:
    estimator = load_estimator(folder, backend=FakeBackend())
    assert estimator.name == "e"
    assert estimator.adapter is not None
    assert (estimator.adapter.path, estimator.adapter.activation) == (folder / "adapter", "query")
    assert load_estimator(estimator) is estimator
    assert len(estimator.fingerprint) == 16


def test_the_fingerprint_changes_with_the_manifest(folder: Path) -> None:
    before = load_estimator(folder, backend=FakeBackend()).fingerprint
    assert load_estimator(folder, backend=FakeBackend()).fingerprint == before
    edit(folder, figures={"auroc": 0.5})
    assert load_estimator(folder, backend=FakeBackend()).fingerprint != before


def test_a_query_of_other_words(folder: Path) -> None:
    edit(folder, query_hash="0" * 64)
    refused(folder, MismatchError, "another uncertainty query")


def test_templates_of_another_day(folder: Path) -> None:
    edit(folder, template_date="2020-01-01")
    refused(folder, MismatchError, "on the day 2020-01-01")


def test_another_base_model(folder: Path) -> None:
    edit(folder, base={"id": "llama", "fingerprint": "1234"})
    refused(folder, MismatchError, r"made for the base model 'llama' \(1234\).*\(fake\)")


def test_an_unknown_method(folder: Path) -> None:
    edit(folder, method="astrology")
    refused(folder, ManifestError, "unknown method 'astrology'.*query, zero-shot")


def test_an_unknown_backend(folder: Path) -> None:
    refused(folder, UsageError, "unknown backend 'abacus': there are", "abacus")


def test_an_adapter_without_its_activation(folder: Path) -> None:
    edit(folder, activation=None)
    refused(folder, ManifestError, "an adapter and its activation go together")


def test_an_activation_without_an_adapter(folder: Path) -> None:
    edit(folder, adapter=None, method="zero-shot")
    refused(folder, ManifestError, "an adapter and its activation go together")


@pytest.mark.parametrize("method", ["zero-shot", "likelihood", "perplexity"])
def test_a_method_that_has_no_adapter(folder: Path, method: str) -> None:
    edit(folder, method=method)
    refused(folder, ManifestError, f"the method '{method}' and its adapter do not fit")


def test_a_method_that_needs_an_adapter(folder: Path) -> None:
    edit(folder, adapter=None, activation=None)
    refused(folder, ManifestError, "the method 'query' and its adapter do not fit")


def test_a_question_prior_of_a_method_that_reads_none(folder: Path) -> None:
    (folder / "prior.json").write_text("{}")
    digest = hashlib.sha256(b"{}").hexdigest()
    edit(folder, prior="prior.json", files=load_manifest(folder).files | {"prior.json": digest})
    refused(folder, ManifestError, "the method 'query' reads no question prior")


@pytest.mark.parametrize("ids", [[-1, 5], [5, 10**6]])
def test_labels_outside_the_vocabulary(folder: Path, ids: list[int]) -> None:
    edit(folder, label_ids=ids)
    refused(folder, MismatchError, "not in the base model's vocabulary")


def test_a_budget_without_room_beside_the_query(folder: Path) -> None:
    edit(folder, budget=20)
    refused(folder, MismatchError, "a budget of 20 tokens leaves no room")


def test_an_activation_that_the_backend_cannot_do(folder: Path) -> None:
    class OnlyAll(FakeBackend):
        capabilities = Capabilities(
            activations=frozenset({"all"}),
            kv_handles=False,
            answer_logprobs=False,
            hidden_states=False,
            generates=False,
        )

    refused(folder, MismatchError, "acts on 'query' tokens", OnlyAll())


def test_a_joint_boundary_goes_with_raw_styles(folder: Path) -> None:
    edit(folder, boundary="joint", style="chat_turn")
    refused(folder, ManifestError, "boundary 'joint'")


def test_a_calibrator_that_this_version_does_not_know(folder: Path) -> None:
    edit(folder, calibrators={"*": {"kind": "entrails", "params": {}, "n": 10}})
    refused(folder, ManifestError, "calibrator '\\*'.*entrails")


def test_a_calibrator_without_its_parameters(folder: Path) -> None:
    state = CalibratorState(kind="platt", params={"a": 1.0}, n=10)
    edit(folder, calibrators={"m": state.model_dump()})
    refused(folder, ManifestError, "calibrator 'm'.*'b'")


def test_labels_that_are_one_token(folder: Path) -> None:
    edit(folder, label_ids=[5, 5])
    refused(folder, MismatchError, "same token id 5")


def test_an_engine_that_ignores_the_adapter(folder: Path) -> None:
    class Ignores(FakeBackend):
        def score(
            self,
            items: Sequence[Item],
            query: Query,
            adapter: Adapter | None,
            want: frozenset[Want],
        ) -> ScoreBatch:
            return super().score(items, query, None, want)

    refused(folder, SelfTestError, "ignored", Ignores())


def test_a_base_beside_the_estimator_that_is_gone(folder: Path) -> None:
    edit(folder, base={"id": "./base"})
    refused(folder, MismatchError, "give it with `base`", "transformers")


def test_damage(folder: Path) -> None:
    (folder / "adapter/adapter_model.safetensors").write_bytes(b"other")
    refused(folder, ManifestError, "differs from its hash")


def test_no_such_place(tmp_path: Path) -> None:
    refused(tmp_path / "nothing", EstimatorError, "no estimator at")


def test_a_real_estimator_loads_and_scores(tiny_estimator: Path, tiny_base: Path) -> None:
    row = QuestionAnswer(question="Who?", answer="Ada")
    estimator = load_estimator(tiny_estimator, device="cpu")
    elsewhere = load_estimator(tiny_estimator, base=tiny_base, device="cpu", batch_size=2)
    [found], [again] = estimator.score([row]), elsewhere.score([row])
    assert found.status == "ok"
    assert found.calibrated
    assert found.p == pytest.approx(again.p, abs=1e-5)
    estimator.close()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"use_dora": True}, "use_dora is True.*merge what it adds into the base"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save is .*'lm_head'.*tune again"),
        ({"peft_type": "LOHA"}, "peft_type is 'LOHA'.*make one with 'ct-guard tune'"),
        ({"bias": "all"}, "bias is 'all'.*tune again"),
    ],
)
def test_an_adapter_that_is_no_plain_lora(
    tiny_estimator: Path, tmp_path: Path, changes: dict[str, Any], match: str
) -> None:
    whole = load_manifest(tiny_estimator)
    files: dict[str, Path | bytes] = {name: tiny_estimator / name for name in whole.files}
    name = "adapter/adapter_config.json"
    config = json.loads((tiny_estimator / name).read_text())
    files[name] = json.dumps({**config, **changes}).encode()
    save_estimator(tmp_path / "other", whole, files=files)
    refused(tmp_path / "other", MismatchError, match, "transformers")


def test_a_base_with_other_weights_is_refused(tiny_estimator: Path, tmp_path: Path) -> None:
    import shutil

    manifest = json.loads((tiny_estimator / MANIFEST).read_text())
    other = tmp_path / "other"
    shutil.copytree(manifest["base"]["id"], other)
    with (other / "tokenizer.json").open("a") as file:
        file.write(" ")
    refused(tiny_estimator, MismatchError, "this base is another", "transformers", base=other)
