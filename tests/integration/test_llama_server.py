"""A real llama-server: the same scores as from the same files in this process, within the noise."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from ct_guard import QuestionAnswer, load_estimator
from ct_guard.backends import Backend, Item
from ct_guard.backends.llama_cpp import LlamaCppBackend
from ct_guard.backends.server import ServerBackend
from ct_guard.cli import cli
from ct_guard.errors import CtGuardError, MismatchError
from ct_guard.estimators import Estimator
from ct_guard.evaluation.figures import Floats
from ct_guard.query import build_query
from ct_guard.store import MINI
from tests.llama_server import running_llama_server
from tests.present import present

ANSWERS = Path(__file__).parents[2] / "examples" / "answers.jsonl"
ROWS = [json.loads(line) for line in ANSWERS.read_text(encoding="utf-8").splitlines()]
ASKED = [QuestionAnswer(question=row["question"], answer=row["answer"]) for row in ROWS]
ADAPTER = MINI / "query" / "adapter" / "adapter.gguf"


@pytest.fixture(scope="module")
def mini_url() -> Iterator[str]:
    adapters = ("--lora", str(ADAPTER))
    with running_llama_server(MINI / "base" / "model.gguf", *adapters) as url:
        yield url


def logits(estimator: Estimator) -> Floats:
    found = np.array([row.logit for row in estimator.score(ASKED)], np.float64)
    estimator.close()
    return found


def check_parity(served: Estimator, here: Estimator, least: float) -> None:
    """Of 95 rows in 100, by twice the noise of both, or `least`."""
    noise = max(least, 2 * (served.arithmetic.noise or 0) + 2 * (here.arithmetic.noise or 0))
    ours, theirs = logits(served), logits(here)
    off = np.abs(ours - theirs)[np.isfinite(ours)]
    assert len(off) > 10
    assert np.quantile(off, 0.95) <= noise


@pytest.mark.parametrize("name", ["mini:zero-shot", "mini:hybrid"])
def test_estimators_of_mini_score_as_in_this_process(mini_url: str, name: str) -> None:
    """The hybrid reads the query through its adapter and the answer's tokens by the base."""
    options: dict[str, Any] = {"adapter": str(ADAPTER)} if name == "mini:hybrid" else {}
    if name == "mini:hybrid" and not _same_adapter():
        pytest.skip("mini:hybrid has an adapter of its own, which this server was not given")
    served = load_estimator(name, server=mini_url, **options)
    assert served.arithmetic.backend == "llama_server"
    check_parity(served, load_estimator(name, backend="llama_cpp", threads=1), 2e-3)


def _same_adapter() -> bool:
    other = MINI / "hybrid" / "adapter" / "adapter.gguf"
    return other.is_file() and other.read_bytes() == ADAPTER.read_bytes()


def test_an_adapter_of_the_query_alone_keeps_the_cache_of_the_answer(mini_url: str) -> None:
    estimator = load_estimator("mini:query", server=mini_url)
    engine = estimator.engine
    assert isinstance(engine, ServerBackend)
    made = estimator.render(ASKED[0])
    item = Item(made.context, made.answer)
    first, again = (
        engine.score([item], estimator.asked, estimator.adapter, frozenset({"labels"}))
        for _ in range(2)
    )
    assert again.prefilled_tokens[0] <= len(estimator.asked.ids) + 1
    np.testing.assert_allclose(present(first.label_logits), present(again.label_logits), atol=1e-3)
    estimator.close()


def test_a_file_is_scored_and_the_doctor_looks(mini_url: str, tmp_path: Path) -> None:
    output = tmp_path / "scored.jsonl"
    run = ["score", str(ANSWERS), "-e", "mini:query", "--server", mini_url, "-o", str(output), "-q"]
    assert CliRunner().invoke(cli, run, catch_exceptions=False).exit_code == 0
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert {row["backend"] for row in rows} == {"llama_server"}
    assert len(rows) == len(ROWS)
    look = ["doctor", "--server", mini_url, "--model", "mini:query", "--check", "--json"]
    done = CliRunner().invoke(cli, look, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = {one["item"]: one for one in json.loads(done.output)}
    assert found["server"]["value"].startswith("llama_server b")
    assert found["adapters"]["value"] == "query"
    assert "noise" in found["model"]["value"]


def test_another_estimators_adapter_is_not_taken_for_its_own(mini_url: str, tmp_path: Path) -> None:
    copy = tmp_path / "another"
    shutil.copytree(MINI / "query", copy)
    with pytest.raises(MismatchError, match="--server-adapter"):
        load_estimator(copy, server=mini_url, base="mini")
    load_estimator(copy, server=mini_url, base="mini", adapter="query").close()


def test_another_base_is_refused(mini_url: str, smol_gguf: Path) -> None:
    with pytest.raises(CtGuardError, match="encodes a text otherwise"):
        load_estimator("zero-shot", base=smol_gguf, server=mini_url)


def test_a_real_quantised_model_scores_as_in_this_process(smol_gguf: Path) -> None:
    """Its noise is what reading rows together changes here."""
    here = LlamaCppBackend.load(smol_gguf, threads=1, n_ctx=1024)
    query = build_query("raw", here.encoder)
    items = [
        Item(
            tuple(here.encoder.encode(f"Question: {row.question}\nAnswer:")),
            tuple(here.encoder.encode(row.answer)),
        )
        for row in ASKED[:5]
    ]

    def z(backend: Backend, part: list[Item]) -> NDArray[np.float32]:
        labels = backend.score(part, query, None, frozenset({"labels"})).label_logits
        return np.diff(present(labels)).ravel()

    together, alone = z(here, items), np.concatenate([z(here, [item]) for item in items])
    here.close()
    with running_llama_server(smol_gguf, "--ctx-size", "1024") as url:
        served = ServerBackend.load(smol_gguf, url=url)
        assert served.format == "Q4_1"
        found = z(served, items)
        served.close()
    noise = max(np.abs(together - alone).max(), 0.05)
    assert np.abs(found - alone).max() <= 2 * noise
