"""Streams of the transformers backend against `generate` and plain forwards of the model itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, MistralConfig, MistralForCausalLM

from ct_guard.backends import GenerationSettings, Item, Stream
from ct_guard.backends.decoding import exhausted
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.errors import NonFiniteScoreError, UsageError
from ct_guard.query import build_query, render_context
from ct_guard.records import Message
from ct_guard.testing import FakeBackend

MINI = Path(__file__).parents[3] / "ct_guard" / "mini" / "base"


@pytest.fixture(scope="module", params=["tiny", "mini"])
def base(request: pytest.FixtureRequest, tiny_base: Path) -> Path:
    return tiny_base if request.param == "tiny" else MINI


@pytest.fixture(scope="module")
def backend(base: Path) -> TransformersBackend:
    return TransformersBackend.load(base, device="cpu")


@pytest.fixture(scope="module")
def plain(base: Path) -> Any:
    """The same model, loaded apart from any backend."""
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()


def asked(backend: TransformersBackend, question: str) -> tuple[int, ...]:
    return render_context((Message(role="user", content=question),), "chat_turn", backend.encoder)[
        0
    ]


def forward(model: Any, ids: tuple[int, ...]) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=torch.tensor([ids])).logits[0]
    return logits


@pytest.mark.parametrize("question", ["What is 2 plus 2?", "Who bakes the bread?", "?"])
def test_greedy_tokens_are_those_of_generate(
    backend: TransformersBackend, plain: Any, question: str
) -> None:
    prompt = asked(backend, question)
    made = exhausted(backend.stream(prompt, GenerationSettings(max_tokens=24)))
    expected = plain.generate(
        torch.tensor([prompt]), max_new_tokens=24, do_sample=False, pad_token_id=0
    )[0, len(prompt) :].tolist()
    end = plain.generation_config.eos_token_id
    ended = end in expected
    assert list(made.ids) == (expected[: expected.index(end)] if ended else expected)
    assert made.finish == ("stop" if ended else "length")


@pytest.mark.parametrize("settings", [{}, {"temperature": 1.4, "top_p": 0.9, "seed": 3}])
def test_logprobs_are_the_models_at_temperature_one(
    backend: TransformersBackend, plain: Any, settings: dict[str, Any]
) -> None:
    prompt = asked(backend, "What is 2 plus 2?")
    made = exhausted(backend.stream(prompt, GenerationSettings(max_tokens=12, **settings)))
    logprobs = forward(plain, (*prompt, *made.ids)).log_softmax(-1)
    expected = [float(logprobs[len(prompt) - 1 + at, token]) for at, token in enumerate(made.ids)]
    np.testing.assert_allclose(made.logprobs, expected, atol=1e-4)


def test_a_conversation_is_never_read_twice(backend: TransformersBackend) -> None:
    """Every forward reads the new turn or one token."""
    sizes: list[int] = []
    hook = backend.model.base_model.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    prompt, past = asked(backend, "What is 2 plus 2?"), None
    try:
        for turn in range(5):
            sizes.clear()
            made = exhausted(backend.stream(prompt, GenerationSettings(max_tokens=6), past=past))
            new = len(prompt) - (len(past.ids) if past is not None else 0)
            assert sizes[0] == made.prefilled_tokens == new
            assert set(sizes[1:]) <= {1}
            past = made.kv
            assert past is not None
            prompt = (*past.ids, *asked(backend, f"And {turn} plus 2?"))
    finally:
        hook.remove()


def test_the_end_of_the_context_is_a_limit(backend: TransformersBackend) -> None:
    prompt = (5,) * (backend.max_tokens - 3)
    with pytest.raises(UsageError, match=f"exceed the model's {backend.max_tokens}"):
        backend.stream(prompt, GenerationSettings(max_tokens=4))
    assert exhausted(
        backend.stream(prompt, GenerationSettings(max_tokens=3))
    ).prefilled_tokens == len(prompt)


def test_a_cache_of_another_backend_is_refused(backend: TransformersBackend) -> None:
    kv = exhausted(FakeBackend().stream((1, 2), GenerationSettings(max_tokens=2))).kv
    assert kv is not None
    with pytest.raises(UsageError, match="another backend"):
        backend.stream((1, 2, 3), GenerationSettings(max_tokens=2), past=kv)
    with pytest.raises(UsageError, match="another backend"):
        backend.score(
            [Item(kv, ())], build_query("raw", backend.encoder), None, frozenset({"labels"})
        )


def test_a_stream_may_be_started_without_a_global_seed_being_touched(
    backend: TransformersBackend,
) -> None:
    state = torch.random.get_rng_state()
    exhausted(backend.stream((5, 6), GenerationSettings(max_tokens=4, temperature=1.0, seed=1)))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_logits_that_are_no_numbers_are_an_error(tiny_base: Path) -> None:
    backend = TransformersBackend.load(tiny_base, device="cpu")
    with torch.no_grad():
        backend.model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(NonFiniteScoreError, match="NaN"):
        next(backend.stream((5, 6), GenerationSettings(max_tokens=4)))


# --- sliding windows -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mistral(tiny_base: Path) -> TransformersBackend:
    """A random Mistral whose attention sees 32 tokens back."""
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
        sliding_window=32,
        initializer_range=0.3,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return TransformersBackend(MistralForCausalLM(config), tokenizer)


def assert_as_cold(backend: TransformersBackend, stream: Stream, prompt: tuple[int, ...]) -> None:
    made = exhausted(stream)
    assert made.ids == exhausted(backend.stream(prompt, GenerationSettings(max_tokens=8))).ids
    assert made.kv is not None
    logprobs = forward(backend.model, made.kv.ids).log_softmax(-1)
    expected = [float(logprobs[len(prompt) - 1 + at, token]) for at, token in enumerate(made.ids)]
    np.testing.assert_allclose(made.logprobs, expected, atol=1e-3)
    query = build_query("raw", backend.encoder)
    warm = backend.score([Item(made.kv, ())], query, None, frozenset({"labels"})).label_logits
    logits = forward(backend.model, (*made.kv.ids, *query.ids))[-1, list(query.label_ids)]
    assert warm is not None
    np.testing.assert_allclose(warm[0], logits.numpy(), atol=1e-3)


@pytest.mark.parametrize(
    ("size", "goes_back", "reused"),
    [(4, True, True), (4, False, True), (60, True, False), (60, False, True)],
)
def test_a_window_that_has_moved_on_goes_on_but_not_back(
    mistral: TransformersBackend, size: int, goes_back: bool, reused: bool
) -> None:
    """Where the cache no longer has what was seen at the branching point, it is read again."""
    kv = exhausted(
        mistral.stream(tuple(mistral.encoder.encode("a " * size)), GenerationSettings(max_tokens=8))
    ).kv
    assert kv is not None
    prompt = (*kv.ids[: -2 if goes_back else None], *mistral.encoder.encode(" else?"))
    stream = mistral.stream(prompt, GenerationSettings(max_tokens=8), past=kv)
    kept = len(kv.ids) - 2 * goes_back
    assert_as_cold(mistral, stream, prompt)
    assert stream.result.cached_tokens == (kept if reused else 0)


@pytest.mark.parametrize("size", [4, 60])
def test_a_stop_string_in_a_window_that_has_moved_on(
    mistral: TransformersBackend, size: int
) -> None:
    prompt = tuple(mistral.encoder.encode("a " * size))
    free = exhausted(mistral.stream(prompt, GenerationSettings(max_tokens=8)))
    stop = next(char for char in free.text[2:] if char != "\ufffd")
    made = exhausted(mistral.stream(prompt, GenerationSettings(max_tokens=8, stop=[stop])))
    assert made.text == free.text[: free.text.index(stop)]
    assert made.kv is not None
    assert made.kv.ids == (*prompt, *made.ids)
    again = (*made.kv.ids, *mistral.encoder.encode(" else?"))
    assert_as_cold(
        mistral, mistral.stream(again, GenerationSettings(max_tokens=8), past=made.kv), again
    )
