"""Answers by a local model: batches, styles, and what does not fit."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from ct_guard.backends import Generation, GenerationSettings
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.datasets.answerers import LocalAnswerer, Request, Sampling
from ct_guard.errors import MismatchError
from ct_guard.records import Message
from ct_guard.testing import FakeBackend

MINI_BASE = Path(__file__).parents[3] / "ct_guard" / "mini" / "base"


@pytest.fixture(scope="module")
def mini() -> TransformersBackend:
    return TransformersBackend.load(MINI_BASE, device="cpu")


@pytest.fixture(scope="module")
def tiny(tiny_base: Path) -> TransformersBackend:
    return TransformersBackend.load(tiny_base, device="cpu")


def asking(text: str, sampling: Sampling) -> Request:
    return Request((Message(role="user", content=text),), sampling)


def test_sums_are_answered_whatever_the_order_and_the_batch(mini: TransformersBackend) -> None:
    greedy = Sampling(max_tokens=16)
    questions = ["What is 7 plus 5?", "What is asm backwards?", "What is 8 minus 8?"]
    requests = [asking(text, greedy) for text in questions]
    together = LocalAnswerer(mini, "mini", batch_size=3).answer(requests)
    alone = LocalAnswerer(mini, "mini", batch_size=1).answer(requests)
    assert together == alone
    for reply, part in zip(together, ("12", "msa", "0"), strict=True):
        assert part in str(reply.text)


def test_sampled_answers_differ_and_come_again(mini: TransformersBackend) -> None:
    requests = [
        asking("What is 7 plus 5?", Sampling(16, temperature, seed))
        for temperature, seed in ((0.0, 0), (1.5, 1), (1.5, 2), (1.5, 3), (1.5, 4))
    ]
    answerer = LocalAnswerer(mini, "mini")
    first = answerer.answer(requests)
    assert first == answerer.answer(requests)
    assert len({reply.text for reply in first}) > 1


def test_like_prompts_in_different_batches_draw_apart(tiny: TransformersBackend) -> None:
    sampling = Sampling(8, 1.0, 1)
    requests = [asking(f"Which of the {number}?", sampling) for number in range(4)]
    replies = LocalAnswerer(tiny, "tiny", batch_size=1).answer(requests)
    assert len({reply.text for reply in replies}) == 4


def test_a_prompt_that_does_not_fit_is_its_own_failure(tiny: TransformersBackend) -> None:
    sampling = Sampling(max_tokens=4)
    long, short = LocalAnswerer(tiny, "tiny").answer(
        [asking("word " * 2000, sampling), asking("Which?", sampling)]
    )
    assert long.text is None
    assert "tokens" in str(long.error)
    assert not long.stop
    assert short.text is not None


def test_the_settings_say_in_how_many_bits_the_model_was_loaded(tiny: TransformersBackend) -> None:
    assert LocalAnswerer(tiny, "tiny").settings["quantization"] is None
    assert LocalAnswerer(tiny, "tiny", quantization="8bit").settings["quantization"] == "8bit"


def test_the_style_is_that_of_the_model_unless_one_is_asked_for(tiny: TransformersBackend) -> None:
    assert LocalAnswerer(tiny, "tiny").settings["style"] == "chat_turn"
    replies = {
        style: LocalAnswerer(tiny, "tiny", style=style).answer([asking("Which?", Sampling(6))])[0]
        for style in ("raw", "chat_turn", "chat_user")
    }
    assert len({reply.text for reply in replies.values()}) == 3


def test_a_model_without_a_chat_template_is_asked_raw() -> None:
    backend = FakeBackend()
    backend.encoder.render_chat = refuse_chat  # type: ignore[method-assign]
    assert LocalAnswerer(backend, "plain").settings["style"] == "raw"
    with pytest.raises(MismatchError):
        LocalAnswerer(backend, "plain", style="chat_turn")


def refuse_chat(*_: object, **__: object) -> str:
    raise MismatchError("this model has no chat template")


def test_generation_may_end_with_the_first_line(tiny: TransformersBackend) -> None:
    def after_first_lines(first_line: bool) -> list[int]:
        sampling = Sampling(200, temperature=2.0, seed=2, first_line=first_line)
        requests = [asking(f"Which {number}?", sampling) for number in range(8)]
        replies = LocalAnswerer(tiny, "tiny").answer(requests)
        return [len(str(reply.text).partition("\n")[2]) for reply in replies]

    assert max(after_first_lines(False)) > 20
    assert max(after_first_lines(True)) <= 2


def test_a_backend_that_fails_stops_the_run() -> None:
    backend = FakeBackend()
    answerer = LocalAnswerer(backend, "fake")
    backend.close()
    [reply] = answerer.answer([asking("Which?", Sampling(4))])
    assert reply.stop
    assert "closed" in str(reply.error)


class Small(FakeBackend):
    """Has memory for two prompts at once."""

    def generate(
        self, prompts: Sequence[tuple[int, ...]], settings: GenerationSettings
    ) -> list[Generation]:
        if len(prompts) > 2:
            raise RuntimeError("CUDA out of memory")
        return super().generate(prompts, settings)


def test_batches_halve_when_memory_runs_out() -> None:
    replies = LocalAnswerer(Small(), "small").answer(
        [asking(f"Which {number}?", Sampling(4)) for number in range(11)]
    )
    assert all(reply.text for reply in replies)
