"""Pre-train the miniature Llama from scratch. Resumes from its last checkpoint."""

from pathlib import Path

import numpy as np
import torch
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

LENGTH = 96
BATCH = 32
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


def pretrain(world: World, folder: Path, *, steps: int, seed: int) -> Path:
    """Write a Hugging Face model directory with float16 weights; return its path."""
    done = folder / "base"
    if (done / "model.safetensors").exists():
        return done
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "tokenizer" / "tokenizer.json").exists():
        save_tokenizer(train_tokenizer(world, seed), folder / "tokenizer")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer")
    backend = tokenizer.backend_tokenizer
    rows = folder / "corpus.npz"
    if not rows.exists():
        ids, taught = pack(world, backend, steps * BATCH, LENGTH, seed)
        np.savez(rows, ids=ids, taught=taught)

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=backend.get_vocab_size(),
        hidden_size=160,
        intermediate_size=448,
        num_hidden_layers=5,
        num_attention_heads=5,
        num_key_value_heads=5,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=backend.token_to_id(BEGIN),
        eos_token_id=backend.token_to_id(END),
        pad_token_id=backend.token_to_id(PAD),
    )
    model = LlamaForCausalLM(config)
    trainer = Trainer(
        model,
        TrainingArguments(
            output_dir=str(folder / "checkpoints"),
            max_steps=steps,
            per_device_train_batch_size=BATCH,
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="cosine",
            warmup_steps=min(100, steps // 10),
            weight_decay=0.01,
            adam_beta2=0.98,
            logging_steps=50,
            save_steps=400,
            save_total_limit=1,
            seed=seed,
            use_cpu=True,
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=PackedRows(rows),
    )
    resume = any((folder / "checkpoints").glob("checkpoint-*"))
    trainer.train(resume_from_checkpoint=resume)
    model.to(torch.float16).save_pretrained(done)  # type: ignore[arg-type]
    tokenizer.save_pretrained(done)
    return done
