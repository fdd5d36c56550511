"""What is fuzzed: for each reader, inputs that it takes, and all that is done with what it read."""

import faulthandler
import gzip
import io
import json
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

from ct_guard.store import MINI

from .learnt import LEARNT
from .mutations import damaged_bytes, damaged_lines, damaged_text
from .target import Target

__all__ = ["TARGETS", "watch"]

SECONDS = 5
"""That a reading may take."""

ROWS: list[dict[str, Any]] = [
    {"id": 1, "question": "What is 2 plus 2?", "answer": "4", "correct": True, "model": "m",
     "confidence": 0.9, "logit": 2.2, "status": "ok", "estimator": "e", "scorer": "s",
     "logprobs": [-0.1, -0.2], "context": "Two and two.", "tags": ["a", {"b": None}]},
    {"id": "2", "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
     "answer": "Hello", "correct": 0, "confidence": 0.2, "logit": -1.4},
]  # fmt: skip
POLICY = {
    "kind": "budget", "share": 0.2, "window": 10, "prices": [1, 2.5],
    "policy": {"kind": "retry", "threshold": 0.7, "otherwise": {
        "kind": "escalate", "threshold": 0.7, "otherwise": {
            "kind": "tools", "thresholds": {"f": 0.9}, "answers": {
                "kind": "review", "threshold": 0.7, "hopeless": 0.1, "allowed": ["approve"]}}}},
}  # fmt: skip
TEMPLATE = (
    "{{ bos_token }}{% set ns = namespace(n=0) %}{% for m in messages %}{% if m.role == 'system' %}"
    "{{ raise_exception('no') }}{% endif %}<|{{ m['role'] }}|>{{ m['content'] | trim }}"
    "{% set ns.n = ns.n + 1 %}{% endfor %}{% macro f(a) %}{{ a | tojson(indent=1) }}{% endmacro %}"
    "{{ f([1, 'x']) ~ ns.n }}{{ 'ab'.replace('a', 'b') * 2 }}"
)
JINJA = (
    "{%", "%}", "{{", "}}", "{% for i in range(99999) %}", "{% endfor %}", "{{ f(1) }}",
    "* 10 ** 9",
    "~ ns", "['a'] * 99999", "| replace('a', 'b' * 99999)", "| list", "| join('x')", "| tojson",
    ".format(1)", ".__class__", "messages", "loop", "[::-1]", "{% if",
    "{% macro f(x) %}", "{% endmacro %}", "'", '"', "(", ")", "|", "%", "namespace(",
    "{% set ns.n = ns.n ~ ns.n %}", "{% break %}", "\x00",
)  # fmt: skip


# --- rows ----------------------------------------------------------------------------------------


def _jsonl() -> list[bytes]:
    return ["\n".join(map(json.dumps, ROWS)).encode() + b"\n"]


def _csv() -> list[bytes]:
    import csv

    stream = io.StringIO()
    table = csv.DictWriter(stream, list(dict.fromkeys(k for row in ROWS for k in row)))
    table.writeheader()
    for row in ROWS:
        table.writerow({k: v if isinstance(v, str) else json.dumps(v) for k, v in row.items()})
    return [stream.getvalue().encode()]


def _parquet() -> list[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    made, mixed = [], ("id", "correct", "tags")
    for options in ({}, {"use_dictionary": False, "compression": "zstd"}):
        rows = [{k: v for k, v in row.items() if k not in mixed} for row in ROWS]
        stream = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows * 20), stream, **options)
        made.append(stream.getvalue())
    return made


def _read_rows(name: str, folder: Path, data: bytes) -> None:
    from ct_guard.files import correct_of, count_rows, open_rows, question_answer, texts_of
    from ct_guard.files.jsonl import encode_line

    path = folder / name
    path.write_bytes(data)
    count_rows(path)
    for row in open_rows(path):
        question_answer(row)
        correct_of(row)
        texts_of(row, "gold")
        encode_line(row.fields)


def _packed() -> list[bytes]:
    return [gzip.compress(_jsonl()[0])]


def _foreign() -> list[bytes]:
    """A row of each tool's."""
    turns = [{"role": "user", "content": [{"type": "text", "text": "2 plus 2?"}]}]
    reply = {
        "message": {"role": "assistant", "content": "4"},
        "logprobs": {"content": [{"logprob": -0.1, "top_logprobs": [{"logprob": -0.1}]}]},
    }
    rows: list[dict[str, Any]] = [
        {"doc_id": 1, "arguments": {"gen_args_0": {"arg_0": json.dumps(turns), "arg_1": {}}},
         "resps": [["4", "5"]], "filtered_resps": ["4"], "exact_match": 1.0, "metrics": ["acc"]},
        {"doc_id": 2, "arguments": [["2 plus 2?", " 4"], ["2 plus 2?", " 5"]], "acc": 1,
         "filtered_resps": [["-1.5", "True"], [-2.5, False]], "resps": [[[-1.5, True]], []]},
        {"custom_id": "a", "response": {"status_code": 200, "body": {"choices": [reply, reply]}},
         "error": None, "request": {"body": {"input": turns, "instructions": "Be brief."}}},
        {"prompt": {"raw": json.dumps(turns)}, "vars": {}, "response": {"output": {"a": [4]}},
         "success": True, "namedScores": {"a": 0.5}, "provider": {"id": "p"}},
        {"id": 1, "input": turns, "choices": ["4", "5"], "output": {"choices": [reply]},
         "scores": {"match": {"value": "C", "answer": "4"}}, "epoch": 1},
        {"inputs": json.dumps({"messages": [turns]}), "outputs": {"generations": [[reply]]},
         "feedback_stats": {"correctness": {"avg": 1.0}}, "id": "r", "run_type": "llm"},
    ]  # fmt: skip
    return [json.dumps(row).encode() for row in rows]


def watch() -> None:
    """From now on, an end of the process after SECONDS."""
    faulthandler.dump_traceback_later(SECONDS, exit=True)


def _read_foreign(folder: Path, data: bytes) -> None:
    from ct_guard.errors import InputError
    from ct_guard.files import Shape, correct_of, open_rows, question_answer
    from ct_guard.files.foreign import FORMATS
    from ct_guard.files.jsonl import encode_line

    path, document = folder / "rows.jsonl", folder / "rows.json"
    path.write_bytes(data)
    document.write_bytes(b'{"samples": [' + data + b"]}")
    shapes = [Shape(format=name) for name in FORMATS] + [Shape(question_field="prompt.raw")]
    for shape, source in ((shape, source) for shape in shapes for source in (path, document)):
        watch()  # each is a reading of its own
        with suppress(InputError):
            for row in open_rows(source, shape=shape):
                question_answer(row, ("samples",))
                correct_of(row)
                encode_line(row.fields)


def _scored(name: str, folder: Path, data: bytes) -> None:
    from ct_guard.errors import InputError
    from ct_guard.evaluation.scored import read_scored

    path = folder / name
    path.write_bytes(data)
    try:
        read_scored(path, keep=("tags",))
    except InputError:
        read_scored(path, need="logit", keep=("model",))


# --- estimators ----------------------------------------------------------------------------------


def _manifests() -> list[bytes]:
    return [(MINI / name / "manifest.json").read_bytes() for name in ("hybrid", "query")]


def _manifest(folder: Path, data: bytes) -> None:
    import numpy as np

    from ct_guard.cli.inspect import _lines as described
    from ct_guard.errors import ManifestError
    from ct_guard.estimators import make_method
    from ct_guard.store import load_manifest, manifest_text
    from ct_guard.store.calibrated import calibrated, p_correct
    from ct_guard.store.card import model_card

    for name in ("hybrid", "query"):
        target = folder / name
        if not target.is_dir():
            shutil.copytree(MINI / name, target)
        (target / "manifest.json").write_bytes(data)
    try:
        manifest, folder = load_manifest(folder / "hybrid"), folder / "hybrid"
    except ManifestError:
        manifest, folder = load_manifest(folder / "query"), folder / "query"
    assert manifest.scorer
    described(manifest)
    manifest_text(manifest)
    model_card(manifest, "a/b")
    logits = np.array([-3.0, 0.0, 3.0])
    for model in manifest.calibrators:
        p = calibrated(manifest.calibrators, logits, model)
        assert ((p >= 0) & (p <= 1)).all()
        assert (np.diff(p) >= 0).all()
    models = [*manifest.provider]
    p_correct(manifest, np.full(len(models), 0.5), models, logprobs=[[-0.1]] * len(models))
    if "replies" not in manifest.spec.evidence:
        make_method(manifest, folder)


def _calibrators() -> list[bytes]:
    states = {
        "platt": {"a": 1.0, "b": 0.5},
        "beta": {"a": 1.0, "b": 0.5, "c": 0.1},
        "temperature": {"temperature": 2.0},
        "isotonic": {"edges": [-1.0, 0.0, 1.0], "p": [0.1, 0.4, 0.5, 0.9]},
        "histogram": {"edges": [0.0], "p": [0.2, 0.8]},
    }
    return [json.dumps({"kind": k, "params": v, "n": 50}).encode() for k, v in states.items()]


def _calibrator(folder: Path, data: bytes) -> None:
    """As the one calibrator of an estimator without files."""
    import numpy as np

    from ct_guard.store import load_manifest
    from ct_guard.store.calibrated import calibrated

    manifest = {"schema_version": 1, "name": "e", "method": "likelihood", "base": {"id": "b"}}
    text = json.dumps({**manifest, "calibrators": {"m": "HERE"}})
    (folder / "manifest.json").write_bytes(text.encode().replace(b'"HERE"', data))
    p = calibrated(load_manifest(folder).calibrators, np.array([-9.0, 0.0, 9.0]), "m")
    assert ((p >= 0) & (p <= 1)).all()
    assert (np.diff(p) >= 0).all()


def _prior(folder: Path, data: bytes) -> None:
    from ct_guard.evidence.question_prior import load_question_prior

    (folder / "prior.json").write_bytes(data)
    load_question_prior(folder / "prior.json").logits(["What is 2 plus 2?", "", "é" * 50])


@cache
def _priors() -> list[bytes]:
    from ct_guard.evidence.question_prior import fit_question_prior

    texts = [f"What is {a} {'plus' if a % 2 else 'minus'} {b}?" for a in range(9) for b in range(9)]
    fitted = fit_question_prior(texts, [at % 3 > 0 for at in range(81)])
    small = fitted.model_copy(update={"trees": fitted.trees[:3]})
    return [small.model_dump_json().encode()]


def _questions(folder: Path, data: bytes) -> None:
    from ct_guard.store.questions import load_questions

    (folder / "questions.json").write_bytes(data)
    load_questions(folder / "questions.json")


def _lora_configs() -> list[bytes]:
    """Of an adapter that acts on every token, as published ones do."""
    config = json.loads(MINI.joinpath("query", "adapter", "adapter_config.json").read_bytes())
    return [json.dumps({**config, "alora_invocation_tokens": None}).encode()]


def _lora_config(folder: Path, data: bytes) -> None:
    from ct_guard.store.lora_config import in_order, plain_lora, read_lora_config

    (folder / "adapter_config.json").write_bytes(data)
    plain_lora(read_lora_config(folder))
    in_order(data)


SHARD = "model-00001-of-00001.safetensors"


def _index(folder: Path, data: bytes) -> None:
    from ct_guard.export.weights import Weights

    (folder / "model.safetensors.index.json").write_bytes(data)
    if not (folder / SHARD).exists():
        shutil.copyfile(_tiny() / "model.safetensors", folder / SHARD)
    Weights.of(folder)


def _policy(folder: Path, data: bytes) -> None:
    from ct_guard.certificates import Certificate
    from ct_guard.policies import Situation, load_policy
    from ct_guard.policies.budget import ledger_for
    from ct_guard.records import Confidence

    path = folder / "policy.json"
    path.write_bytes(data)
    certificate = Certificate(alpha=0.1, delta=0.1, threshold=0.6, n=9, answered=4, errors=0)
    policy = load_policy(path, [certificate])
    assert policy.name
    for p in (None, 0.05, 0.65, 1.0):
        status = "ok" if p is not None else "empty"
        policy.decide(Confidence(p=p, status=status), Situation(ledger=ledger_for(policy)))


def _data_manifest(folder: Path, data: bytes) -> None:
    from ct_guard.datasets.manifest import load_data_manifest

    (folder / "rows.jsonl").write_bytes(b"{}\n")
    (folder / "rows.jsonl.manifest.json").write_bytes(data)
    load_data_manifest(folder / "rows.jsonl")


def _data_manifests() -> list[bytes]:
    import hashlib

    from ct_guard.datasets.manifest import Counts, DataManifest

    made = DataManifest(
        source="questions.jsonl", source_sha256=None, gold="gold", grader="exact", version="0",
        sha256=hashlib.sha256(b"{}\n").hexdigest(),
        grader_settings={"tolerance": 0.1}, answering={"model": "m", "samples": 1},
        counts=Counts(questions=1, right=1, wrong=0, unclear=0, failed=0),
    )  # fmt: skip
    return [made.model_dump_json().encode()]


# --- tensors -------------------------------------------------------------------------------------


def _safetensors() -> list[bytes]:
    import numpy as np
    from safetensors.numpy import save

    rng = np.random.default_rng(0)
    head = {}
    for at, (outputs, inputs) in enumerate(((8, 16), (2, 8))):
        head[f"{2 * at}.weight"] = rng.normal(size=(outputs, inputs)).astype(np.float32)
        head[f"{2 * at}.bias"] = np.zeros(outputs, np.float32)
    return [bytes(save(head))]


def _tensors(folder: Path, data: bytes) -> None:
    from ct_guard.store.probe import ProbeHead, load_probe
    from ct_guard.store.tensors import dump_tensors, read_tensors, to_float32

    path = folder / "model.safetensors"
    path.write_bytes(data)
    tensors = read_tensors(path)
    dump_tensors(tensors)
    load_probe(path)
    ProbeHead.of(to_float32(tensors))


def _checkpoints() -> list[bytes]:
    import torch

    made = []
    for tensors in (
        {"log_temperature": torch.zeros(1)},
        {"0.weight": torch.zeros(2, 16), "0.bias": torch.zeros(2)},
    ):
        for options in ({}, {"_use_new_zipfile_serialization": False}):
            stream = io.BytesIO()
            torch.save(tensors, stream, **options)
            made.append(stream.getvalue())
    return made


def _checkpoint(folder: Path, data: bytes) -> None:
    from ct_guard.store.reference import _head, _temperature

    for name in ("classifier_model.bin", "query_temperature_head.bin"):
        (folder / name).write_bytes(data)
    from ct_guard.errors import MismatchError

    try:
        _head(folder, {})
    except MismatchError:
        _temperature(folder, {})


def _doctor(folder: Path, data: bytes) -> None:
    from ct_guard.doctor.model import model_fits

    (folder / "config.json").write_bytes(data)
    if not (folder / "model.safetensors").exists():
        shutil.copyfile(_tiny() / "model.safetensors", folder / "model.safetensors")
    model_fits(str(folder))


# --- base models ---------------------------------------------------------------------------------


@cache
def _tiny() -> Path:
    """The embedded base: real files of every kind."""
    return MINI / "base"


def _gguf_bytes(data: bytes, rng: random.Random) -> bytes:
    """Most damage to the header, where the lengths and the types are."""
    cut = min(len(data), 120_000)
    return damaged_bytes(data[:cut], rng) + data[cut:]


def _gguf(folder: Path, data: bytes) -> None:
    from ct_guard.backends.chat_template import ChatTemplate
    from ct_guard.backends.gguf_file import validate_base
    from ct_guard.records import Message

    path = folder / "model.gguf"
    path.write_bytes(data)
    info = validate_base(path)
    template = ChatTemplate(info.chat_template, info.special_tokens)
    template.render([Message(role="user", content="Hi")], generation_prompt=True)


def _use_tokenizer(folder: Path) -> None:
    from ct_guard.backends.tokenizer_file import load_tokenizer
    from ct_guard.backends.tokens import TokenizerEncoder
    from ct_guard.errors import BackendError, MismatchError
    from ct_guard.records import Message

    try:
        encoder = TokenizerEncoder(load_tokenizer(folder))
    except (OSError, ValueError) as error:  # what the loading of a model makes its own error of
        raise BackendError(str(error)) from error
    for text in ("Question: 2 + 2?\n", "é漢😀\u200b", " " * 50, "<|end|>" * 5, "x" * 1000):
        encoder.decode(encoder.encode(text))
        encoder.encode(text, special=True)
    encoder.encode_whole("word")
    encoder.render_chat([Message(role="user", content="Hi")], generation_prompt=True)
    with suppress(MismatchError):  # small vocabularies have no such token
        encoder.label_id("ii")


def _tokenizer(name: str, folder: Path, data: bytes) -> None:
    for other in ("tokenizer.json", "tokenizer_config.json", "config.json", "chat_template.jinja"):
        if other != name and not (folder / other).exists():
            shutil.copyfile(_tiny() / other, folder / other)
    (folder / name).write_bytes(data)
    if name == "tokenizer.json":
        own = (
            UNIGRAM_CONFIG if b"<unk>" in data else (_tiny() / "tokenizer_config.json").read_bytes()
        )
        (folder / "tokenizer_config.json").write_bytes(own)
    _use_tokenizer(folder)


UNIGRAM_CONFIG = json.dumps(
    {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
     "unk_token": "<unk>"}
).encode()  # fmt: skip


@cache
def _tokenizers() -> list[bytes]:
    """Byte-level BPE, Unigram with a SentencePiece-like pipeline, and WordPiece."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers.trainers import UnigramTrainer, WordPieceTrainer

    texts = ["Question: Is it correct? Choices: (i): no (ii): yes Answer: i ii 0 1 2 word"] * 20
    specials = ["<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>"]
    unigram = Tokenizer(models.Unigram())
    unigram.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(" ", "▁")])
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    unigram.decoder = decoders.Metaspace()
    unigram.train_from_iterator(
        texts, UnigramTrainer(vocab_size=150, special_tokens=specials, unk_token="<unk>",
                              show_progress=False),
    )  # fmt: skip
    piece = Tokenizer(models.WordPiece(unk_token="<unk>"))
    piece.normalizer = normalizers.BertNormalizer()
    piece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    piece.decoder = decoders.WordPiece()
    piece.train_from_iterator(
        texts, WordPieceTrainer(vocab_size=150, special_tokens=specials, show_progress=False)
    )
    piece.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return [(_tiny() / "tokenizer.json").read_bytes(),
            *(core.to_str().encode() for core in (unigram, piece))]  # fmt: skip


def _template(folder: Path, data: bytes) -> None:
    from ct_guard.backends.chat_template import ChatTemplate
    from ct_guard.records import Message

    chat = [Message(role=role, content=" a ") for role in ("user", "assistant", "user")]
    source = data.decode("utf-8", "surrogatepass")
    ChatTemplate(source, {"bos_token": "<s>"}).render(chat, generation_prompt=True)


def _jinja(data: bytes, rng: random.Random) -> bytes:
    return damaged_text(data.decode(), rng, JINJA).encode("utf-8", "surrogatepass")


def _file(*parts: str) -> Callable[[], list[bytes]]:
    return lambda: [MINI.joinpath(*parts).read_bytes()]


TARGETS: dict[str, Target] = {
    "rows-jsonl": Target(_jsonl, partial(_read_rows, "rows.jsonl"), damaged_lines),
    "rows-csv": Target(_csv, partial(_read_rows, "rows.csv"), damaged_bytes),
    "rows-parquet": Target(_parquet, partial(_read_rows, "rows.parquet"), damaged_bytes),
    "rows-gzip": Target(_packed, partial(_read_rows, "rows.jsonl.gz"), damaged_bytes),
    "rows-foreign": Target(_foreign, _read_foreign),
    "scored-jsonl": Target(_jsonl, partial(_scored, "rows.jsonl"), damaged_lines),
    "scored-csv": Target(_csv, partial(_scored, "rows.csv"), damaged_bytes),
    "manifest": Target(_manifests, _manifest),
    "calibrator": Target(_calibrators, _calibrator),
    "prior": Target(_priors, _prior),
    "questions": Target(_file("query", "questions-6166c309.json"), _questions),
    "adapter-config": Target(_lora_configs, _lora_config),
    "weights-index": Target(
        lambda: [json.dumps({"metadata": {}, "weight_map": {"a": SHARD}}).encode()], _index
    ),
    "policy": Target(lambda: [json.dumps(POLICY).encode()], _policy),
    "base-config": Target(_file("base", "config.json"), _doctor),
    "data-manifest": Target(_data_manifests, _data_manifest),
    "safetensors": Target(_safetensors, _tensors, damaged_bytes),
    "checkpoint": Target(_checkpoints, _checkpoint, damaged_bytes),
    "gguf": Target(_file("base", "model.gguf"), _gguf, _gguf_bytes),
    "tokenizer": Target(_tokenizers, partial(_tokenizer, "tokenizer.json")),
    "tokenizer-config": Target(
        _file("base", "tokenizer_config.json"), partial(_tokenizer, "tokenizer_config.json")
    ),
    "template": Target(lambda: [TEMPLATE.encode()], _template, _jinja),
    **LEARNT,
}
"""By name. Each is given a folder that it may write to, kept from one input to the next."""
