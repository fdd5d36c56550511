"""GGUF files that cannot be a base are refused by both backends, in one line with a way out."""

from collections.abc import Callable
from pathlib import Path

import pytest
from gguf import GGUFValueType

from ct_guard.backends import Backend
from ct_guard.backends.gguf_header import read_header
from ct_guard.backends.llama_cpp import LlamaCppBackend
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.errors import BackendError
from ct_guard.estimators import load_estimator

from .test_gguf_file import TEXT, rewrite

Load = Callable[[Path], Backend]
LOADERS: dict[str, Load] = {
    "transformers": lambda path: TransformersBackend.load(path, device="cpu"),
    "llama_cpp": lambda path: LlamaCppBackend.load(path, n_ctx=512, threads=1),
}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CT_GUARD_CACHE", str(tmp_path / "cache"))


@pytest.fixture(params=LOADERS)
def load(request: pytest.FixtureRequest) -> Load:
    return LOADERS[request.param]


def refused(load: Load, path: Path) -> str:
    with pytest.raises(BackendError) as raised:
        load(path)
    said = str(raised.value)
    assert path.name in said
    assert "\n" not in said
    return said


def renamed(source: Path, target: Path, architecture: str) -> Path:
    """The same model under another architecture's name."""
    fields = {
        key.replace("llama.", f"{architecture}.", 1): (field.value, field.type, field.items)
        for key, field in read_header(source).fields.items()
        if key.startswith("llama.")
    }
    return rewrite(source, target, {"general.architecture": (architecture, TEXT, None), **fields})


@pytest.mark.parametrize("architecture", ["spiral", "mamba"])
def test_another_architecture(
    architecture: str, load: Load, tiny_gguf: Path, tmp_path: Path
) -> None:
    path = renamed(tiny_gguf, tmp_path / "other.gguf", architecture)
    assert "use `backend`" in refused(load, path) or "fetch the original" in refused(load, path)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"split.count": (3, GGUFValueType.UINT16, None)}, "one of 3 parts.*--merge"),
        ({"tokenizer.ggml.pre": ("spiral", TEXT, None)}, "'spiral'.*update llama-cpp-python"),
        ({"tokenizer.ggml.model": ("spiral", TEXT, None)}, "'spiral'.*(update|`backend`)"),
        ({"general.type": ("mmproj", TEXT, None)}, "no base model"),
    ],
    ids=["split", "pre-tokenizer", "tokenizer", "the projector of a multimodal model"],
)
def test_a_file_of_another_kind(
    fields: dict[str, tuple[object, GGUFValueType, None]],
    said: str,
    load: Load,
    tiny_gguf: Path,
    tmp_path: Path,
) -> None:
    path = rewrite(tiny_gguf, tmp_path / "other.gguf", fields)
    with pytest.raises(BackendError, match=said):
        load(path)
    refused(load, path)


@pytest.mark.parametrize("kept", [0, 3, 20, 4000, -1])
def test_a_file_that_was_cut_off(kept: int, load: Load, tiny_gguf: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(tiny_gguf.read_bytes()[:kept])
    assert "fetch or export it again" in refused(load, path)


def test_a_text_in_place_of_the_file(load: Load, tmp_path: Path) -> None:
    path = tmp_path / "pointer.gguf"
    path.write_text("version 1\noid sha256:4d7a214614ab2935")
    assert "magic" in refused(load, path)


def test_a_rotation_that_cannot_be_unpacked_is_left_to_llama_cpp(
    tiny_gguf: Path, tmp_path: Path
) -> None:
    scaled = {"llama.rope.scaling.type": ("yarn", TEXT, None)}
    path = rewrite(tiny_gguf, tmp_path / "yarn.gguf", scaled)
    assert "use `backend` llama_cpp" in refused(LOADERS["transformers"], path)
    LOADERS["llama_cpp"](path).close()


@pytest.mark.parametrize("backend", LOADERS)
def test_a_base_without_a_template_is_read_raw(
    backend: str, tiny_gguf: Path, tmp_path: Path
) -> None:
    path = rewrite(tiny_gguf, tmp_path / "plain.gguf", without=("tokenizer.chat_template",))
    estimator = load_estimator("likelihood", base=path, backend=backend)
    assert estimator.manifest.style == "raw"
    estimator.close()
