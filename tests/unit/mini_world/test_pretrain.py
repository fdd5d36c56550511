"""Pre-training: rounds that are kept, and come out the same when they are done again."""

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file

from ct_guard.backends.transformers import TransformersBackend
from ct_guard.query.template import LABELS
from tools.mini_world.pretrain import Size, pretrain
from tools.mini_world.tokenizer import save_tokenizer, train_tokenizer
from tools.mini_world.world import make_world

TINY = Size(layers=1, hidden=32, intermediate=64)


def test_a_round_that_is_done_is_kept_and_one_that_is_lost_comes_out_the_same(
    tmp_path: Path,
) -> None:
    world = make_world(0, people=30)
    save_tokenizer(train_tokenizer(world, 0, exchanges=300), tmp_path / "tokenizer")
    base = pretrain(world, tmp_path, steps=(2, 2), seed=0, size=TINY)
    weights = load_file(base / "model.safetensors")
    first = load_file(tmp_path / "round-0" / "model.safetensors")
    name = "model.embed_tokens.weight"
    assert not torch.equal(first[name], load_file(tmp_path / "round-1/model.safetensors")[name])
    assert {weight.dtype for weight in weights.values()} == {torch.float16}

    kept = (tmp_path / "round-0" / "model.safetensors").stat().st_mtime_ns
    for lost in ("base", "round-1", "checkpoints-1"):
        shutil.rmtree(tmp_path / lost)
    again = load_file(
        pretrain(world, tmp_path, steps=(2, 2), seed=0, size=TINY) / "model.safetensors"
    )
    assert (tmp_path / "round-0" / "model.safetensors").stat().st_mtime_ns == kept
    assert all(torch.equal(weights[name], again[name]) for name in weights)

    backend = TransformersBackend.load(base, device="cpu")
    assert len({backend.encoder.label_id(label) for label in LABELS}) == 2
