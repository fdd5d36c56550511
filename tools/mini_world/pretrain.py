"""Pre-train the miniature Llama from scratch. Resumes from its last checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.utils.data import Dataset
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)

from .corpus import BEGIN, END, PAD, pack
from .tokenizer import save_tokenizer, train_tokenizer
from .world import World

LENGTH = 128
BATCH = 24
LEARNING_RATE = 3e-3


class PackedRows(Dataset[dict[str, torch.Tensor]]):
    """Rows of packed conversations; labels are -100 where nothing is taught."""

    def __init__(self, path: Path) -> None:
        arrays = np.load(path)
        self._ids, self._taught = arrays["ids"], arrays["taught"]

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        ids = torch.from_numpy(self._ids[index].astype(np.int64))
        taught = torch.from_numpy(self._taught[index])
        return {"input_ids": ids, "labels": torch.where(taught, ids, -100)}


@dataclass(frozen=True)
class Size:
    """Of the Llama."""

    layers: int = 8
    hidden: int = 128
    intermediate: int = 384


def pretrain(
    world: World, folder: Path, *, steps: Sequence[int], seed: int, size: Size | None = None
) -> Path:
    """Write a Hugging Face model directory with float16 weights; return its path. Each number of
    `steps` is a round: text of its own, and the learning rate up and down once more."""
    done = folder / "base"
    if (done / "model.safetensors").exists():
        return done
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "tokenizer" / "tokenizer.json").exists():
        save_tokenizer(train_tokenizer(world, seed), folder / "tokenizer")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer")
    torch.manual_seed(seed)
    model = _new(tokenizer.backend_tokenizer, size or Size())
    for number, count in enumerate(steps):
        weights = folder / f"round-{number}"
        if (weights / "model.safetensors").exists():
            model = LlamaForCausalLM.from_pretrained(weights)
            continue
        rows = folder / f"corpus-{number}.npz"
        if not rows.exists():
            backend = tokenizer.backend_tokenizer
            ids, taught = pack(world, backend, count * BATCH, LENGTH, seed, number)
            np.savez(rows, ids=ids, taught=taught)
        _train(model, rows, folder / f"checkpoints-{number}", count, seed)
        model.save_pretrained(weights)
    model.to(torch.float16).save_pretrained(done)  # type: ignore[arg-type]
    tokenizer.save_pretrained(done)
    return done


def _new(tokenizer: Tokenizer, size: Size) -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=size.hidden,
            intermediate_size=size.intermediate,
            num_hidden_layers=size.layers,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.token_to_id(BEGIN),
            eos_token_id=tokenizer.token_to_id(END),
            pad_token_id=tokenizer.token_to_id(PAD),
        )
    )


def _train(model: LlamaForCausalLM, rows: Path, folder: Path, steps: int, seed: int) -> None:
    """One round, from its last checkpoint where there is one."""
    trainer = Trainer(
        model,
        TrainingArguments(
            output_dir=str(folder),
            max_steps=steps,
            per_device_train_batch_size=BATCH,
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="cosine",
            warmup_steps=min(100, steps // 10),
            weight_decay=0.01,
            adam_beta2=0.98,
            logging_steps=50,
            save_steps=500,
            save_total_limit=2,
            train_sampling_strategy="sequential",
            seed=seed,
            use_cpu=True,
            bf16=True,
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=PackedRows(rows),
    )
    trainer.train(resume_from_checkpoint=any(folder.glob("checkpoint-*")))
