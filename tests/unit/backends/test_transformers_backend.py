"""The transformers backend against plain forwards of the same model, written independently."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

from ct_guard.backends import Adapter, GenerationSettings, Item, Want
from ct_guard.backends.forward import CACHE
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.errors import BackendError, MismatchError, NonFiniteScoreError, UsageError
from ct_guard.query import Query, build_query
from ct_guard.store.lora_config import in_order
from tests.present import present

LABELS: frozenset[Want] = frozenset({"labels"})
EVERYTHING: frozenset[Want] = frozenset({"labels", "answer_logprobs", "hidden"})


@pytest.fixture
def backend(tiny_base: Path) -> Iterator[TransformersBackend]:
    made = TransformersBackend.load(tiny_base, device="cpu")
    yield made
    made.close()


@pytest.fixture
def query(backend: TransformersBackend) -> Query:
    return build_query("raw", backend.encoder)


@pytest.fixture(scope="module")
def plain(tiny_base: Path) -> Any:
    """The same model, loaded apart from any backend."""
    return AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def peft(tiny_base: Path, tiny_adapter: Path) -> Any:
    base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    return PeftModel.from_pretrained(base, str(tiny_adapter)).eval()


def items(backend: TransformersBackend) -> list[Item]:
    texts = [
        ("Question: What is 2 plus 2?\nAnswer:", " 4"),
        ("Question: What is 2 plus 2?\nAnswer:", " It is 4, of course."),
        ("Q", " a longer answer, because."),
        ("A passage. " * 6 + "Question: Who?\nAnswer:", " x"),
    ]
    return [
        Item(tuple(backend.encoder.encode(c)), tuple(backend.encoder.encode(a))) for c, a in texts
    ]


def ids_of(item: Item) -> tuple[int, ...]:
    assert isinstance(item.context, tuple)
    return (*item.context, *item.answer)


def forward(model: Any, ids: tuple[int, ...], **options: Any) -> Any:
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids]), **options)


def second_adapter(tiny_base: Path, folder: Path, **changes: Any) -> Path:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    settings = {"r": 4, "target_modules": ["q_proj", "v_proj"], "init_lora_weights": False}
    get_peft_model(model, LoraConfig(**{**settings, **changes})).save_pretrained(str(folder))
    return folder


# --- agreement with the model itself -------------------------------------------------------------


def test_base_scores_equal_a_plain_forward(
    backend: TransformersBackend, query: Query, plain: Any
) -> None:
    batch = backend.score(items(backend), query, None, EVERYTHING)
    for row, item in enumerate(items(backend)):
        whole = ids_of(item)
        logits = forward(plain, (*whole, *query.ids)).logits[0, -1]
        assert batch.label_logits is not None
        np.testing.assert_allclose(
            batch.label_logits[row], logits[list(query.label_ids)].numpy(), atol=1e-4
        )
        out = forward(plain, whole, output_hidden_states=True)
        logprobs = out.logits[0].log_softmax(-1)
        start = len(item.context)  # type: ignore[arg-type]
        expected = [float(logprobs[at - 1, whole[at]]) for at in range(start, len(whole))]
        assert batch.answer_logprobs is not None
        np.testing.assert_allclose(batch.answer_logprobs[row], expected, atol=1e-4)
        assert batch.hidden is not None
        np.testing.assert_allclose(
            batch.hidden[row], out.hidden_states[-1][0, -1].numpy(), atol=1e-4
        )


def test_activation_query_is_the_adapter_on_the_query_over_the_base_cache(
    backend: TransformersBackend, query: Query, peft: Any, tiny_adapter: Path
) -> None:
    adapter = Adapter("tuned", tiny_adapter, "query")
    batch = backend.score(items(backend), query, adapter, LABELS)
    assert batch.label_logits is not None
    for row, item in enumerate(items(backend)):
        cache = DynamicCache()
        with peft.disable_adapter():
            forward(peft, ids_of(item), use_cache=True, **{CACHE: cache})
        logits = forward(peft, query.ids, **{CACHE: cache}).logits[0, -1]
        np.testing.assert_allclose(
            batch.label_logits[row], logits[list(query.label_ids)].numpy(), atol=1e-4
        )


def test_activation_all_is_a_plain_peft_forward(
    backend: TransformersBackend, query: Query, peft: Any, tiny_adapter: Path
) -> None:
    adapter = Adapter("tuned", tiny_adapter, "all")
    batch = backend.score(items(backend), query, adapter, LABELS)
    assert batch.label_logits is not None
    for row, item in enumerate(items(backend)):
        logits = forward(peft, (*ids_of(item), *query.ids)).logits[0, -1]
        np.testing.assert_allclose(
            batch.label_logits[row], logits[list(query.label_ids)].numpy(), atol=1e-4
        )


def test_a_shared_context_is_read_once(backend: TransformersBackend, query: Query) -> None:
    context = tuple(backend.encoder.encode("why " * 30))
    answers = [tuple(backend.encoder.encode(text)) for text in (" a", " bb", " ccc")]
    batch = backend.score([Item(context, answer) for answer in answers], query, None, LABELS)
    assert batch.cached_tokens.tolist() == [0, len(context), len(context)]
    own = [len(answer) + len(query.ids) for answer in answers]
    assert batch.prefilled_tokens.tolist() == [len(context) + own[0], *own[1:]]


def test_hidden_states_of_a_live_cache_are_refused(
    backend: TransformersBackend, query: Query
) -> None:
    kv = backend.generate([tuple(backend.encoder.encode("Q"))], GenerationSettings(max_tokens=3))[
        0
    ].kv
    assert kv is not None
    with pytest.raises(UsageError, match="hidden"):
        backend.score([Item(kv, ())], query, None, EVERYTHING)


# --- adapters ------------------------------------------------------------------------------------


def test_two_adapters_do_not_leak_into_each_other_or_into_the_base(
    backend: TransformersBackend, query: Query, tiny_base: Path, tiny_adapter: Path, tmp_path: Path
) -> None:
    rows = items(backend)
    first = Adapter("first", tiny_adapter, "query")
    second = Adapter("second", second_adapter(tiny_base, tmp_path / "b"), "all")

    def labels(adapter: Adapter | None, engine: TransformersBackend = backend) -> Any:
        return engine.score(rows, query, adapter, LABELS).label_logits

    base = labels(None)
    alone = [
        labels(adapter, TransformersBackend.load(tiny_base, device="cpu"))
        for adapter in (first, second)
    ]
    for _ in range(2):
        np.testing.assert_allclose(labels(first), alone[0], atol=1e-5)
        np.testing.assert_allclose(labels(second), alone[1], atol=1e-5)
        np.testing.assert_allclose(labels(None), base, atol=1e-5)


def test_an_adapter_that_names_the_query_acts_where_the_call_says(
    backend: TransformersBackend, query: Query, tiny_adapter: Path, tmp_path: Path
) -> None:
    """Its settings tell other engines; here the manifest says it, in the call."""
    for name in ("first", "second"):
        shutil.copytree(tiny_adapter, tmp_path / name)
        config = tmp_path / name / "adapter_config.json"
        said = json.loads(config.read_bytes()) | {"task_type": "CAUSAL_LM"}
        config.write_bytes(in_order(json.dumps(said).encode(), query.ids))
    for where, name in (("all", "first"), ("query", "second")):
        named = Adapter(name, tmp_path / name, where)  # type: ignore[arg-type]
        plain = Adapter(f"plain-{where}", tiny_adapter, where)  # type: ignore[arg-type]
        one, other = (
            backend.score(items(backend), query, adapter, frozenset({"labels"})).label_logits
            for adapter in (named, plain)
        )
        np.testing.assert_array_equal(one, other)


def test_an_adapter_is_off_while_generating(
    backend: TransformersBackend, query: Query, tiny_adapter: Path
) -> None:
    asked = tuple(backend.encoder.encode("Question: Who?\nAnswer:"))
    before = backend.generate([asked], GenerationSettings(max_tokens=12))[0]
    backend.score(items(backend), query, Adapter("tuned", tiny_adapter, "all"), LABELS)
    after = backend.generate([asked], GenerationSettings(max_tokens=12))[0]
    assert after.ids == before.ids
    np.testing.assert_allclose(after.logprobs, before.logprobs, atol=1e-5)


def test_an_adapter_is_off_again_after_an_error(
    backend: TransformersBackend, query: Query, tiny_adapter: Path
) -> None:
    base = present(backend.score(items(backend), query, None, LABELS).label_logits)
    backend.add_adapter(Adapter("tuned", tiny_adapter, "query"))
    with pytest.raises(KeyError), backend.adapted("tuned"):
        raise KeyError
    np.testing.assert_allclose(
        present(backend.score(items(backend), query, None, LABELS).label_logits), base, atol=1e-5
    )


def test_one_name_is_one_adapter(backend: TransformersBackend, tiny_adapter: Path) -> None:
    backend.add_adapter(Adapter("tuned", tiny_adapter, "query"))
    backend.add_adapter(Adapter("tuned", tiny_adapter, "query"))
    with pytest.raises(UsageError, match="another adapter named 'tuned'"):
        backend.add_adapter(Adapter("tuned", tiny_adapter.parent, "query"))


def test_a_folder_without_safetensors_is_refused(
    backend: TransformersBackend, tmp_path: Path
) -> None:
    with pytest.raises(MismatchError, match=r"adapter_model\.safetensors"):
        backend.add_adapter(Adapter("tuned", tmp_path, "query"))


@pytest.mark.parametrize("first", [True, False])
def test_an_adapter_of_another_base_is_refused_and_leaves_no_trace(
    backend: TransformersBackend,
    query: Query,
    tiny_adapter: Path,
    tiny_base: Path,
    tmp_path: Path,
    first: bool,
) -> None:
    import json

    from safetensors.torch import load_file, save_file

    rows = items(backend)
    base = present(backend.score(rows, query, None, LABELS).label_logits)
    good = Adapter("good", tiny_adapter, "query")
    expected = TransformersBackend.load(tiny_base, device="cpu").score(rows, query, good, LABELS)
    if not first:
        backend.add_adapter(good)
    wrong = second_adapter(tiny_base, tmp_path / "wrong")
    weights = load_file(wrong / "adapter_model.safetensors")
    save_file(
        {name: torch.ones(value.shape[0] + 8, *value.shape[1:]) for name, value in weights.items()},
        wrong / "adapter_model.safetensors",
    )
    with pytest.raises(MismatchError, match="does not fit this base model"):
        backend.add_adapter(Adapter("wrong", wrong, "query"))
    config = json.loads((wrong / "adapter_config.json").read_text())
    config["target_modules"] = ["no_such_module"]
    (wrong / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(MismatchError, match="does not fit this base model"):
        backend.add_adapter(Adapter("absent", wrong, "query"))
    after = present(backend.score(rows, query, None, LABELS).label_logits)
    np.testing.assert_allclose(after, base, atol=1e-5)
    np.testing.assert_allclose(
        present(backend.score(rows, query, good, LABELS).label_logits),
        present(expected.label_logits),
        atol=1e-5,
    )


def test_a_refused_adapter_may_be_repaired_and_loaded(
    backend: TransformersBackend, query: Query, tiny_adapter: Path, tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / "adapter"
    shutil.copytree(tiny_adapter, folder)
    weights = (folder / "adapter_model.safetensors").read_bytes()
    (folder / "adapter_model.safetensors").write_bytes(weights[:100])
    adapter = Adapter("tuned", folder, "query")
    with pytest.raises(MismatchError, match="does not fit"):
        backend.add_adapter(adapter)
    (folder / "adapter_model.safetensors").write_bytes(weights)
    rows = items(backend)
    np.testing.assert_allclose(
        present(backend.score(rows, query, adapter, LABELS).label_logits),
        present(
            backend.score(rows, query, Adapter("other", tiny_adapter, "query"), LABELS).label_logits
        ),
        atol=1e-5,
    )


@pytest.mark.parametrize("change", ["lacks", "has no place for"])
def test_an_adapter_with_other_weights_than_its_layers_is_refused(
    backend: TransformersBackend, tiny_base: Path, tmp_path: Path, change: str
) -> None:
    from safetensors.torch import load_file, save_file

    folder = second_adapter(tiny_base, tmp_path / "a")
    weights = load_file(folder / "adapter_model.safetensors")
    name = min(weights)
    if change == "lacks":
        del weights[name]
    else:
        weights[name.replace("layers.0", "layers.9")] = weights[name].clone()
    save_file(weights, folder / "adapter_model.safetensors")
    with pytest.raises(MismatchError, match=f"does not fit this base model: it {change}"):
        backend.add_adapter(Adapter("tuned", folder, "query"))


def test_an_adapter_in_whole_numbers_is_refused(
    backend: TransformersBackend, tiny_base: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = second_adapter(tiny_base, tmp_path / "a")
    weights = load_file(folder / "adapter_model.safetensors")
    small = {name: (weight * 50).to(torch.int8) for name, weight in weights.items()}
    save_file(small, folder / "adapter_model.safetensors")
    with pytest.raises(MismatchError, match=r"is stored in whole numbers \(I8\)"):
        backend.add_adapter(Adapter("tuned", folder, "query"))


@pytest.mark.parametrize("setting", ["r", "lora_alpha", "lora_dropout", "alpha_pattern"])
def test_an_adapter_with_a_setting_that_is_null_is_refused(
    setting: str, backend: TransformersBackend, tiny_base: Path, tmp_path: Path
) -> None:
    folder = second_adapter(tiny_base, tmp_path / "a")
    config = folder / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {setting: None}))
    with pytest.raises(MismatchError, match="does not fit this base model"):
        backend.add_adapter(Adapter("tuned", folder, "query"))


def test_an_adapter_without_its_settings_is_refused(
    backend: TransformersBackend, tiny_base: Path, tmp_path: Path
) -> None:
    folder = second_adapter(tiny_base, tmp_path / "a")
    (folder / "adapter_config.json").unlink()
    with pytest.raises(MismatchError, match="does not fit") as caught:
        backend.add_adapter(Adapter("tuned", folder, "query"))
    assert "\n" not in str(caught.value)


def test_a_fresh_adapter_takes_the_place_of_one_of_its_name(
    backend: TransformersBackend, query: Query, tiny_adapter: Path
) -> None:
    """Without training, a fresh LoRA changes nothing; the loaded one did."""
    from peft import LoraConfig

    rows, adapter = items(backend), Adapter("tuned", tiny_adapter, "query")
    base = present(backend.score(rows, query, None, LABELS).label_logits)
    loaded = backend.score(rows, query, adapter, LABELS).label_logits
    assert base is not None
    assert loaded is not None
    assert np.abs(loaded - base).max() > 1e-3
    weights = backend.create_adapter(adapter, LoraConfig(r=2, target_modules=["q_proj"]))
    assert {tuple(weight.shape) for weight in weights} == {(2, 48), (48, 2)}
    fresh = present(backend.score(rows, query, adapter, LABELS).label_logits)
    np.testing.assert_allclose(fresh, base, atol=1e-5)


# --- generation ----------------------------------------------------------------------------------


def test_greedy_answers_equal_those_of_generate(backend: TransformersBackend, plain: Any) -> None:
    asked = tuple(backend.encoder.encode("Question: Who?\nAnswer:"))
    made = backend.generate([asked], GenerationSettings(max_tokens=20))[0]
    expected = plain.generate(
        torch.tensor([asked]), max_new_tokens=20, do_sample=False, pad_token_id=0
    )[0, len(asked) :].tolist()
    end = plain.generation_config.eos_token_id
    assert list(made.ids) == (expected[: expected.index(end)] if end in expected else expected)


@pytest.mark.parametrize("temperature", [0.0, 1.7])
def test_logprobs_are_the_base_models_at_temperature_one(
    backend: TransformersBackend, plain: Any, temperature: float
) -> None:
    asked = tuple(backend.encoder.encode("Question: Who?\nAnswer:"))
    made = backend.generate(
        [asked], GenerationSettings(max_tokens=10, temperature=temperature, seed=3)
    )[0]
    logprobs = forward(plain, (*asked, *made.ids)).logits[0].log_softmax(-1)
    expected = [float(logprobs[len(asked) - 1 + at, token]) for at, token in enumerate(made.ids)]
    np.testing.assert_allclose(made.logprobs, expected, atol=1e-4)


def test_a_seed_decides_and_leaves_the_global_generator_alone(
    backend: TransformersBackend,
) -> None:
    asked = tuple(backend.encoder.encode("Q"))

    def sample(seed: int | None) -> tuple[int, ...]:
        return backend.generate(
            [asked], GenerationSettings(max_tokens=12, temperature=1.0, seed=seed)
        )[0].ids

    state = torch.random.get_rng_state()
    assert sample(1) == sample(1)
    assert sample(1) != sample(2)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_samples_without_a_seed_differ(backend: TransformersBackend) -> None:
    asked = tuple(backend.encoder.encode("Q"))
    samples = {
        backend.generate([asked], GenerationSettings(max_tokens=12, temperature=1.0))[0].ids
        for _ in range(4)
    }
    assert len(samples) > 1


def test_sampling_reaches_the_whole_vocabulary(backend: TransformersBackend) -> None:
    """No hidden top-k: at a very high temperature every token is about equally likely."""
    asked = tuple(backend.encoder.encode("Q"))
    made = backend.generate(
        [asked] * 200, GenerationSettings(max_tokens=1, temperature=1e6, seed=0)
    )
    assert len({one.ids for one in made}) > 80


def test_top_p_keeps_the_likely_tokens_only(backend: TransformersBackend) -> None:
    asked = tuple(backend.encoder.encode("Q"))
    made = backend.generate(
        [asked] * 20, GenerationSettings(max_tokens=1, temperature=1.0, top_p=1e-6, seed=0)
    )
    assert {one.ids for one in made} == {
        backend.generate([asked], GenerationSettings(max_tokens=1))[0].ids
    }


def test_generation_ends_before_a_stop_string_and_its_padding_is_no_answer(
    backend: TransformersBackend,
) -> None:
    prompts = [
        tuple(backend.encoder.encode(text)) for text in ("Question: Who?\nAnswer:", "Q: why")
    ]
    free = backend.generate(prompts, GenerationSettings(max_tokens=12))
    stop = backend.encoder.decode(free[0].ids[2:3])
    assert stop
    assert stop not in backend.encoder.decode(free[0].ids[:2])
    ended = backend.generate(prompts, GenerationSettings(max_tokens=12, stop=[stop]))
    alone = [
        backend.generate([one], GenerationSettings(max_tokens=12, stop=[stop]))[0]
        for one in prompts
    ]
    assert [made.ids for made in ended] == [made.ids for made in alone]
    assert ended[0].ids == free[0].ids[:2]
    assert [made.text for made in ended] == [made.text for made in alone]
    assert [made.finish for made in ended] == [made.finish for made in alone]


def test_a_prompt_beyond_the_model_is_refused(backend: TransformersBackend) -> None:
    with pytest.raises(UsageError, match="exceed the model's 1024"):
        backend.generate([(5,) * 1020], GenerationSettings(max_tokens=5))


# --- loading -------------------------------------------------------------------------------------


def test_a_model_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="no base model at") as caught:
        TransformersBackend.load(tmp_path / "nothing")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("of", ["tokenizer", "model"])
def test_code_that_a_base_brings_is_not_run(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    import json
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(tiny_base, folder)
    mark = tmp_path / "mark"
    (folder / "theirs.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    path, changed = (
        (folder / "tokenizer_config.json", {"tokenizer_class": "Theirs",
                                            "auto_map": {"AutoTokenizer": ["theirs.Theirs", None]}})
        if of == "tokenizer"
        else (folder / "config.json", {"model_type": "theirs",
                                       "auto_map": {"AutoConfig": "theirs.Theirs",
                                                    "AutoModelForCausalLM": "theirs.Theirs"}})
    )  # fmt: skip
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(BackendError, match="cannot load the base model") as caught:
        TransformersBackend.load(folder, device="cpu")
    assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_a_model_that_cannot_be_read_is_one_line(tiny_base: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(tiny_base, tmp_path / "copy")
    (tmp_path / "copy" / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(BackendError, match="cannot load the base model") as caught:
        TransformersBackend.load(tmp_path / "copy", device="cpu")
    assert "\n" not in str(caught.value)


def test_an_unknown_device_is_refused(tiny_base: Path) -> None:
    with pytest.raises(UsageError, match="unknown device 'abacus'"):
        TransformersBackend.load(tiny_base, device="abacus")


def test_an_unknown_dtype_is_refused(tiny_base: Path) -> None:
    with pytest.raises(UsageError, match="unknown dtype 'float12'"):
        TransformersBackend.load(tiny_base, device="cpu", dtype="float12")


# --- memory and numbers --------------------------------------------------------------------------


def limit_memory(monkeypatch: pytest.MonkeyPatch, model: Any, most: int) -> list[int]:
    """Make forwards of more than `most` rows run out of memory; returns the sizes tried."""
    sizes: list[int] = []
    model = model.base_model
    whole: Callable[..., Any] = model.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        sizes.append(len(kwargs["input_ids"]))
        if sizes[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(*args, **kwargs)

    monkeypatch.setattr(model, "forward", forward)
    return sizes


def many(backend: TransformersBackend, *, shared: bool) -> list[Item]:
    unlike = [f"{n} {'why ' * n}?" for n in range(12)]  # none begins as another does
    contexts = ["why " * 20] * 12 if shared else unlike
    return [
        Item(
            tuple(backend.encoder.encode(context)),
            tuple(backend.encoder.encode(" " + "a" * (1 + n % 5))),
        )
        for n, context in enumerate(contexts)
    ]


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("activation", [None, "query", "all"])
def test_out_of_memory_halves_the_batch_and_changes_no_result(
    backend: TransformersBackend,
    query: Query,
    tiny_adapter: Path,
    monkeypatch: pytest.MonkeyPatch,
    shared: bool,
    activation: Any,
) -> None:
    rows = many(backend, shared=shared)
    adapter = Adapter("tuned", tiny_adapter, activation) if activation else None
    want = frozenset[Want]({"labels", "answer_logprobs"})
    expected = backend.score(rows, query, adapter, want)
    sizes = limit_memory(monkeypatch, backend.model, 3)
    found = backend.score(rows, query, adapter, want)
    assert backend.batch_size == 3
    assert max(sizes) == 12
    np.testing.assert_allclose(
        present(found.label_logits), present(expected.label_logits), atol=1e-4
    )
    assert found.answer_logprobs is not None
    assert expected.answer_logprobs is not None
    for row, other in zip(found.answer_logprobs, expected.answer_logprobs, strict=True):
        np.testing.assert_allclose(row, other, atol=1e-4)
    np.testing.assert_array_equal(found.prefilled_tokens, expected.prefilled_tokens)
    np.testing.assert_array_equal(found.cached_tokens, expected.cached_tokens)


def test_out_of_memory_in_the_query_counts_no_token_twice(
    backend: TransformersBackend, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = many(backend, shared=True)
    expected = backend.score(rows, query, None, LABELS)
    whole = backend.model.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        if kwargs["input_ids"].shape[1] == len(query.ids) and len(kwargs["input_ids"]) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(*args, **kwargs)

    monkeypatch.setattr(backend.model, "forward", forward)
    found = backend.score(rows, query, None, LABELS)
    np.testing.assert_allclose(
        present(found.label_logits), present(expected.label_logits), atol=1e-4
    )
    np.testing.assert_array_equal(found.prefilled_tokens, expected.prefilled_tokens)


def test_a_batch_size_that_was_chosen_is_not_changed(
    tiny_base: Path, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = TransformersBackend.load(tiny_base, device="cpu", batch_size=8)
    limit_memory(monkeypatch, fixed.model, 3)
    with pytest.raises(BackendError, match="out of memory with 8 rows"):
        fixed.score(many(fixed, shared=False), query, None, LABELS)
    assert fixed.batch_size == 8


def test_one_row_that_does_not_fit_is_an_error(
    backend: TransformersBackend, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_memory(monkeypatch, backend.model, 0)
    with pytest.raises(BackendError, match="out of memory with 1 rows"):
        backend.score(many(backend, shared=False), query, None, LABELS)


def test_other_runtime_errors_are_not_taken_for_memory(
    backend: TransformersBackend, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(backend.model.base_model, "forward", broken)
    with pytest.raises(BackendError, match="cannot be read so: shape mismatch"):
        backend.score(items(backend), query, None, LABELS)


@pytest.mark.parametrize("want", ["labels", "answer_logprobs"])
def test_logits_that_are_no_numbers_are_an_error(
    backend: TransformersBackend, query: Query, want: Want
) -> None:
    with torch.no_grad():
        backend.model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(NonFiniteScoreError, match="NaN"):
        backend.score(items(backend), query, None, frozenset({want}))


# --- sliding windows -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mistral(tiny_base: Path) -> TransformersBackend:
    """A random Mistral whose attention sees 64 tokens back."""
    from transformers import MistralConfig, MistralForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tiny_base, local_files_only=True)
    torch.manual_seed(5)
    config = MistralConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        sliding_window=64,
        initializer_range=0.3,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return TransformersBackend(MistralForCausalLM(config), tokenizer)


@pytest.mark.parametrize("size", [1, 6, 40])
def test_a_sliding_window_is_not_distorted_by_padding_or_shared_contexts(
    mistral: TransformersBackend, size: int
) -> None:
    """Contexts far below, near and far beyond the window."""
    query = build_query("raw", mistral.encoder)
    shared = tuple(mistral.encoder.encode("why " * size))
    rows = [
        *(Item(shared, tuple(mistral.encoder.encode(" " + "a" * n))) for n in (1, 9, 4)),
        Item(tuple(mistral.encoder.encode("Q")), tuple(mistral.encoder.encode(" short"))),
        Item(
            tuple(mistral.encoder.encode("who? " * size)),
            tuple(mistral.encoder.encode(" long answer")),
        ),
    ]
    batch = mistral.score(rows, query, None, frozenset({"labels", "answer_logprobs"}))
    for row, item in enumerate(rows):
        whole = (*ids_of(item), *query.ids)
        logits = forward(mistral.model, whole).logits[0]
        assert batch.label_logits is not None
        np.testing.assert_allclose(
            batch.label_logits[row], logits[-1, list(query.label_ids)].numpy(), atol=1e-3
        )
        logprobs = logits.log_softmax(-1)
        start = len(item.context)  # type: ignore[arg-type]
        expected = [float(logprobs[at - 1, whole[at]]) for at in range(start, len(ids_of(item)))]
        assert batch.answer_logprobs is not None
        np.testing.assert_allclose(batch.answer_logprobs[row], expected, atol=1e-3)


@pytest.mark.parametrize("size", [1, 40])
def test_a_live_cache_beyond_the_window_scores_as_its_ids_cold(
    mistral: TransformersBackend, size: int
) -> None:
    query = build_query("raw", mistral.encoder)
    kv = mistral.generate(
        [tuple(mistral.encoder.encode("why " * size))], GenerationSettings(max_tokens=10)
    )[0].kv
    assert kv is not None
    warm = mistral.score([Item(kv, ())], query, None, LABELS).label_logits
    logits = forward(mistral.model, (*kv.ids, *query.ids)).logits[0, -1, list(query.label_ids)]
    assert warm is not None
    np.testing.assert_allclose(warm[0], logits.numpy(), atol=1e-3)
