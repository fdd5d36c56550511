"""The paper's adapters and checkpoints, on look-alikes, against the reference's arithmetic written
again here in float64: string, label ids, padding token, LoRA, softmax, temperature and MLP.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ct_guard.backends import GenerationSettings
from ct_guard.errors import BackendError, MismatchError
from ct_guard.estimators import Estimator, load_estimator
from ct_guard.records import QuestionAnswer
from ct_guard.store import PUBLISHED, import_checkpoint
from ct_guard.store.published import published
from tests.lookalikes import ALPHA, RANK, make_adapter, make_base, make_classifier
from tests.present import present

ANSWERS = (
    "a letter", "It is 4.", "42", "really?!", "two\nlines", "one line\n", "i", " spaces before",
    "a much longer answer than the others are, for the padding of the rest",
)  # fmt: skip
CHOICES = "Which?\n\nChoices:\n  (a): here\n  (b): there"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CT_GUARD_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def base_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    made: dict[tuple[str, str], Path] = {}

    def base_of_(family: str, tokenizer: str) -> Path:
        key = (family, tokenizer)
        if key not in made:
            folder = tmp_path_factory.mktemp("-".join(key))
            made[key] = make_base(folder, family=family, tokenizer=tokenizer)
        return made[key]

    return base_of_


def rows(question: str) -> list[QuestionAnswer]:
    return [QuestionAnswer(question=question, answer=answer) for answer in ANSWERS]


class Reference:
    """What the reference does with a checkpoint, in float64 and one padded batch."""

    def __init__(self, base: Path, checkpoint: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(base, padding_side="left")
        self.tokenizer.add_special_tokens({"pad_token": "[PAD]"})
        self.model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float64)
        self.model.resize_token_embeddings(len(self.tokenizer), mean_resizing=False)
        part: Any
        for part in (self.model.get_input_embeddings(), self.model.get_output_embeddings()):
            part.weight.data[-1:] = part.weight.data[:-1].mean(dim=0, keepdim=True)
        self.checkpoint = checkpoint
        lora = checkpoint / "adapter_model.safetensors"
        tensors = load_file(lora) if lora.exists() else {}
        for name, a in tensors.items():
            if name.endswith("lora_A.weight"):
                b = tensors[name.replace("lora_A", "lora_B")].double()
                place = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
                weight: Any = self.model.get_submodule(place).weight
                weight.data += ALPHA / RANK * (b @ a.double())

    def _run(self, texts: list[str]) -> Any:
        inputs = self.tokenizer(texts, padding=True, return_tensors="pt")
        assert (inputs["attention_mask"][:, 0] == 0).any(), "rows are padded on the left"
        with torch.inference_mode():
            return self.model(**inputs, output_hidden_states=True)

    def query(self, context: str, log_temperature: float = 0.0) -> list[float]:
        query = "\n\nIs the proposed answer correct?\nChoices:\n(i): no\n(ii): yes\nAnswer:"
        logits = self._run([(context + " " + answer + query).strip() for answer in ANSWERS]).logits
        labels = [self.tokenizer(label).input_ids[-1] for label in ("i", "ii")]
        pairs = logits[:, -1, labels] / math.exp(log_temperature)
        return list(pairs.softmax(-1)[:, 1].tolist())

    def probe(self, context: str) -> list[float]:
        state = torch.load(self.checkpoint / "classifier_model.bin", weights_only=True)
        x = self._run([(context + " " + answer).strip() for answer in ANSWERS]).hidden_states[-1][
            :, -1
        ]
        for at in (0, 2, 4, 6):
            x = x @ state[f"{at}.weight"].double().T + state[f"{at}.bias"].double()
            x = x.clamp(min=0) if at < 6 else x
        return list(x.softmax(-1)[:, 1].tolist())


def scored(estimator: Estimator, question: str) -> list[float]:
    found = estimator.score(rows(question))
    assert [c.status for c in found] == ["ok"] * len(ANSWERS)
    assert not any(c.read_apart for c in found)
    return [c.p for c in found if c.p is not None]


@pytest.mark.parametrize("id_", PUBLISHED)
def test_every_published_adapter_scores_as_the_reference(
    id_: str, base_of: Callable[[str, str], Path], tmp_path: Path
) -> None:
    known = PUBLISHED[id_]
    base = base_of("mistral" if "Mistral" in id_ else "llama", "sentencepiece")
    folder = make_adapter(tmp_path / known.name, base=known.base, calibrated=id_.endswith("-oe"))
    question, context = (
        ("Who?", "Question: Who?\nAnswer:")
        if known.answers == "open-ended"
        else (CHOICES, "Question:\nWhich?\n\nChoices:\n  (a): here\n  (b): there\nAnswer:")
    )
    estimator = load_estimator(folder, base=base, device="cpu")
    manifest = estimator.manifest
    assert (manifest.name, manifest.base.id) == (known.name, known.base)
    assert (manifest.method, manifest.activation) == ("query", "all")
    assert (manifest.boundary, manifest.style) == ("joint", known.style)
    expected = Reference(base, folder).query(context)
    assert scored(estimator, question) == pytest.approx(expected, abs=1e-5)
    assert max(expected) - min(expected) > 1e-3


def test_the_comparison_would_show_any_tensor_that_is_left_out(
    base_of: Callable[[str, str], Path], tmp_path: Path
) -> None:
    base = base_of("llama", "sentencepiece")
    folder = make_classifier(tmp_path / "mine")
    make_adapter(folder, base=str(base), calibrated=False)
    lora, head = folder / "adapter_model.safetensors", folder / "classifier_model.bin"
    context = "Question: Who?\nAnswer:"

    def moved(before: list[float], after: list[float]) -> float:
        return max(abs(x - y) for x, y in zip(before, after, strict=True))

    whole = Reference(base, folder)
    query, probe = whole.query(context), whole.probe(context)
    tensors = load_file(lora)
    for name in tensors:
        save_file({**tensors, name: torch.zeros_like(tensors[name])}, lora)
        assert moved(query, Reference(base, folder).query(context)) > 1e-4, name
    save_file(tensors, lora)
    state = torch.load(head, weights_only=True)
    for name in state:
        torch.save({**state, name: torch.zeros_like(state[name])}, head)
        assert moved(probe, whole.probe(context)) > 1e-4, name


@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_a_byte_level_tokenizer_agrees_too(
    family: str, base_of: Callable[[str, str], Path], tmp_path: Path
) -> None:
    base = base_of(family, "bytes")
    folder = make_adapter(tmp_path / "mine", base=str(base), calibrated=True)
    expected = Reference(base, folder).query("Question: Who?\nAnswer:")
    found = scored(load_estimator(folder, device="cpu"), "Who?")
    assert found == pytest.approx(expected, abs=1e-5)


def test_where_the_query_would_merge_with_the_answer_it_is_read_apart_and_flagged(
    base_of: Callable[[str, str], Path], tmp_path: Path
) -> None:
    base = base_of("llama", "merging")
    folder = make_adapter(tmp_path / "mine", base=str(base), calibrated=True)
    estimator = load_estimator(folder, device="cpu")
    backend = present(estimator.backend)
    found = estimator.score(rows("Who?"))
    assert [c.read_apart for c in found] == [answer.endswith(".") for answer in ANSWERS]
    expected = Reference(base, folder).query("Question: Who?\nAnswer:")
    for confidence, p, answer in zip(found, expected, ANSWERS, strict=True):
        if not answer.endswith("."):
            assert confidence.p == pytest.approx(p, abs=1e-5)
        assert tuple(present(estimator.query).ids) == tuple(
            backend.encoder.encode("\n\nIs the proposed answer correct?\nChoices:\n(i): no\n"
                           "(ii): yes\nAnswer:")
        )  # fmt: skip


@pytest.mark.parametrize(
    "name", ["temperature_model.safetensors", "temperature_model.pt", "query_temperature_head.bin"]
)
def test_a_temperature_file_is_the_calibrator(
    name: str, base_of: Callable[[str, str], Path], tmp_path: Path
) -> None:
    base = base_of("llama", "sentencepiece")
    folder = make_adapter(tmp_path / "mine", base=str(base), calibrated=True)
    shape = () if name.startswith("temperature_model") else (1,)
    state = {"log_temperature": torch.full(shape, 0.75)}
    save_file(state, folder / name) if name.endswith("safetensors") else torch.save(
        state, folder / name
    )
    estimator = load_estimator(folder, device="cpu")
    assert estimator.is_calibrated_for(None)
    assert estimator.manifest.found["temperature"] == f"{math.exp(0.75):.4g}, from {name}"
    expected = Reference(base, folder).query("Question: Who?\nAnswer:", 0.75)
    assert scored(estimator, "Who?") == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("family", ["llama", "mistral"])
@pytest.mark.parametrize("method", ["probe", "lora_probe"])
def test_classifier_checkpoints_are_probes(
    method: str, family: str, base_of: Callable[[str, str], Path], tmp_path: Path
) -> None:
    base = base_of(family, "sentencepiece")
    folder = make_classifier(tmp_path / "mine")
    make_adapter(folder, base=str(base), calibrated=False, tuned=method == "lora_probe")
    estimator = load_estimator(folder, device="cpu")
    assert estimator.manifest.method == method
    expected = Reference(base, folder).probe("Question: Who?\nAnswer:")
    assert scored(estimator, "Who?") == pytest.approx(expected, abs=1e-5)


def test_a_classifier_alone_takes_its_base_from_the_caller(
    base_of: Callable[[str, str], Path], tmp_path: Path
) -> None:
    base = base_of("llama", "sentencepiece")
    folder = make_classifier(tmp_path / "mine")
    estimator = load_estimator(folder, base=base, device="cpu")
    expected = Reference(base, folder).probe("Question: Who?\nAnswer:")
    assert scored(estimator, "Who?") == pytest.approx(expected, abs=1e-5)


def test_embeddings_that_grew_by_the_padding_token_are_left_out_and_named(
    base_of: Callable[[str, str], Path], tmp_path: Path
) -> None:
    base = base_of("llama", "sentencepiece")
    folder = make_adapter(tmp_path / "mine", base=str(base), calibrated=True)
    plain = scored(load_estimator(folder, device="cpu"), "Who?")
    reference = Reference(base, folder).model
    tensors = load_file(folder / "adapter_model.safetensors")
    for name, part in (
        ("model.embed_tokens", reference.get_input_embeddings()),
        ("lm_head", reference.get_output_embeddings()),
    ):
        tensors[f"base_model.model.{name}.weight"] = part.weight.detach().float().contiguous()
    save_file(tensors, folder / "adapter_model.safetensors")
    estimator = load_estimator(folder, device="cpu")
    assert "left out" in estimator.manifest.found["embeddings"]
    assert scored(estimator, "Who?") == plain


def test_a_base_saved_with_the_added_padding_token_serves_as_well(
    base_of: Callable[[str, str], Path], tmp_path: Path
) -> None:
    base = base_of("llama", "sentencepiece")
    folder = make_adapter(tmp_path / "mine", base=str(base), calibrated=True)
    reference = Reference(base, tmp_path)  # no LoRA in that directory
    reference.model.float().save_pretrained(tmp_path / "resized")
    reference.tokenizer.save_pretrained(tmp_path / "resized")
    resized = load_estimator(folder, base=tmp_path / "resized", device="cpu")
    expected = Reference(base, folder).query("Question: Who?\nAnswer:")
    assert scored(resized, "Who?") == pytest.approx(expected, abs=1e-5)


def test_weights_saved_by_torch_are_the_same_estimator(
    base_of: Callable[[str, str], Path], tmp_path: Path
) -> None:
    base = base_of("llama", "sentencepiece")
    folder = make_adapter(tmp_path / "mine", base=str(base), calibrated=True)
    before = scored(load_estimator(folder, device="cpu"), "Who?")
    weights = folder / "adapter_model.safetensors"
    torch.save(load_file(weights), folder / "adapter_model.bin")
    weights.unlink()
    assert scored(load_estimator(folder, device="cpu"), "Who?") == before


def test_an_answer_just_generated_is_read_as_one_text(
    base_of: Callable[[str, str], Path], tmp_path: Path
) -> None:
    base = base_of("llama", "sentencepiece")
    folder = make_adapter(tmp_path / "mine", base=str(base), calibrated=True)
    estimator = load_estimator(folder, device="cpu")
    backend = present(estimator.backend)
    prompt = tuple(backend.encoder.encode("Question: Who?\nAnswer:"))
    kv = backend.generate([prompt], GenerationSettings(max_tokens=4))[0].kv
    assert kv is not None
    row = QuestionAnswer(question="Who?", answer="a letter")
    assert estimator.score_generated(row, kv) == estimator.score([row])[0]


def test_the_same_files_are_imported_once(tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "mine", base="b", calibrated=True)
    first = import_checkpoint(folder, tmp_path / "c")
    stamp = (first / "manifest.json").stat().st_mtime_ns
    assert import_checkpoint(folder, tmp_path / "c") == first
    assert (first / "manifest.json").stat().st_mtime_ns == stamp
    make_classifier(folder)
    assert import_checkpoint(folder, tmp_path / "c") != first


@pytest.mark.parametrize("tail", ["", "model", "-model", " model"])
def test_the_word_model_behind_an_id_changes_nothing(tail: str) -> None:
    assert len(PUBLISHED) == 12
    for id_, known in PUBLISHED.items():
        assert published(id_ + tail) is known
    assert published("calibration-tuning/Llama-3-8b-ct-oe") is None


def test_a_lora_that_does_not_fit_the_base_is_refused(
    base_of: Callable[[str, str], Path], tmp_path: Path
) -> None:
    base = base_of("llama", "sentencepiece")
    folder = make_adapter(tmp_path / "mine", base=str(base), calibrated=True)
    path = folder / "adapter_model.safetensors"
    cut = {
        name: value[:, :-1].contiguous() if "lora_A" in name else value
        for name, value in load_file(path).items()
    }
    save_file(cut, path)
    with pytest.raises(MismatchError, match="does not fit this base model") as caught:
        load_estimator(folder, device="cpu")
    assert "\n" not in str(caught.value)


def test_a_snapshot_of_another_revision_is_refused(
    base_of: Callable[[str, str], Path], tmp_path: Path
) -> None:
    snapshots = tmp_path / "models--some--base" / "snapshots"
    snapshots.mkdir(parents=True)
    for commit in ("a" * 40, "b" * 40):
        (snapshots / commit).symlink_to(base_of("llama", "sentencepiece"))
    folder = make_adapter(tmp_path / "mine", base="some/base", calibrated=True)
    config = (folder / "adapter_config.json").read_text()
    (folder / "adapter_config.json").write_text(
        config.replace('"revision": null', '"revision": "' + "a" * 40 + '"')
    )
    assert load_estimator(folder, base=snapshots / ("a" * 40), device="cpu")
    with pytest.raises(MismatchError, match=r"revision b+.*with `base`"):
        load_estimator(folder, base=snapshots / ("b" * 40), device="cpu")


def test_a_base_that_was_never_fetched_says_how_to_get_it(tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "mine", base="some/base-of-mine", calibrated=True)
    with pytest.raises(BackendError, match=r"base-of-mine.*hf download.*its directory") as caught:
        load_estimator(folder, device="cpu")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_names_no_base(tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match="names no base model: give it with `base`"):
        load_estimator(make_classifier(tmp_path / "mine"), device="cpu")
