"""A lossless byte-level BPE tokenizer: single digits, `i` and `ii` single tokens, any text fits."""

import random
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from ct_guard.query.template import LABELS

from .corpus import ASSISTANT, BEGIN, END, PAD, SPECIALS, USER, exchange, questions
from .world import World

VOCABULARY = 1024

CHAT_TEMPLATE = (
    "<|begin|>{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def train_tokenizer(world: World, seed: int, exchanges: int = 20_000) -> Tokenizer:
    rng = random.Random(f"tokenizer-{seed}")
    stream = questions(world, rng)
    texts = [
        text.replace(USER, "\n").replace(ASSISTANT, "\n").replace(END, "")
        for _ in range(exchanges)
        for text, _ in exchange(rng, next(stream), progress=0.5)
    ]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\d"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    # Merges were learnt with digits apart, so the plain byte-level split keeps them apart too; that
    # one has a name in GGUF (`gpt-2`).
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    for label in LABELS:
        if len(tokenizer.encode(label, add_special_tokens=False).ids) != 1:
            raise ValueError(f"the label {label!r} did not become one token")
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[s for s in SPECIALS if s not in (BEGIN, END, PAD)],
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)
