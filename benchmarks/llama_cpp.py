"""What does confidence cost on llama.cpp, and is it the same? Ratios, side by side in one run.

    python -m benchmarks.llama_cpp [--repeats 7] [--threads 2] [--vocabulary 151936] [--quick]

On a model of random weights in Q8_0, shaped like Qwen2 0.5B, made once in runs/llama_cpp. A prompt
of 1,024 tokens, an answer of 128, a query of 30; the tasks are timed by turns, medians compared.

* generated: confidence behind an answer that was generated here, over generating it (aim: at most
  3%); beside it the bare decode of the query's tokens, reading all again (activation `all`), and
  ten more samples, which are one sample of the prompt's cache, ten times;
* scoring: our call over the same decodes by hand through the C interface (aim: at most 1.10);
* file: five answers to one question in one file, over five files of one, as a share of the ratio of
  the tokens read (aim: at least 0.85);
* agreement with transformers, largest difference in logits (aims: 1e-4 with a cache of F32, 5e-3
  with F16), on mini and on a checkpoint, if given by --checkpoint or CT_GUARD_LLAMA_CHECKPOINT;
* memory: growth over 2,000 scored answers after the first 200 (aim: at most 5%).

--model FILE.gguf --lora FOLDER takes real weights, and an adapter for them (a folder with
adapter.gguf, as an estimator has), for the first two of these; nothing else is measured then.
--quick takes a small model and three repeats, to see that everything runs; it writes nothing.
"""

import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import psutil  # type: ignore[import-untyped]
from transformers.utils.logging import disable_progress_bar

from ct_guard import Guard, QuestionAnswer, load_estimator
from ct_guard.backends import KV, Activation, Adapter, GenerationSettings, Item, Want, self_test
from ct_guard.backends.llama_cpp import ADAPTER_FILE, KVType, LlamaCppBackend
from ct_guard.estimators import Estimator, OutOfScopeWarning
from ct_guard.estimators.methods.query import QueryMethod
from ct_guard.query import ContextStyle, Query, build_query
from ct_guard.store import MINI, BaseModelRef, Manifest
from ct_guard.workflows.engines import Local
from ct_guard.workflows.runs import Reading, score_file

from .agreement import worst_difference
from .bare_llama import BareLlama
from .random_gguf import BYTES, Shape, make_adapter, make_base
from .tables import between_markers, markdown

RESULTS = Path(__file__).with_name("RESULTS.md")
LABELS: frozenset[Want] = frozenset({"labels"})
SMALL = Shape(layers=2, width=128, heads=4, kv_heads=2, hidden=256, vocabulary=1000)
CONTEXT, BATCH = 4096, 2048
PROMPT, ANSWER = 1024, 128
FILE_ANSWER = 32
SAMPLES = 10
NOISE = 0.02
"""Taken for that of random weights in Q8_0, in logits, whose two label rows are as good as any; of
real ones it is measured."""
LEAD = "Question: {}\nAnswer:"
AGREE: tuple[tuple[KVType, float], ...] = (("f32", 1e-4), ("f16", 5e-3))

Row = tuple[str, str, str]
"""What was measured, the figure, the aim."""


def by_turns(tasks: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each, called in turn; one round goes before, to warm up."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(repeats + 1):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            if number:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in times.items()}


def ids(count: int, first: int) -> tuple[int, ...]:
    return tuple((first + 7 * at) % BYTES for at in range(count))


class Bench:
    """One model in both hands: ours, and the bare interface."""

    def __init__(self, base: Path, lora: Path, threads: int) -> None:
        self.backend = LlamaCppBackend.load(base, n_ctx=CONTEXT, n_batch=BATCH, threads=threads)
        self.bare = BareLlama(
            base, lora / ADAPTER_FILE, context=CONTEXT, batch=BATCH, threads=threads
        )
        self.prompt, self.query = ids(PROMPT, 3), Query(ids(30, 11), (40, 41))
        self.noise = NOISE
        activations: tuple[Activation, ...] = ("query", "all")
        self.adapters = {where: Adapter(where, lora, where) for where in activations}

    # --- ours -----------------------------------------------------------------------------------

    def generate(self, past: KV | None = None, temperature: float = 0.0) -> KV:
        stream = self.backend.stream(
            self.prompt,
            GenerationSettings(max_tokens=ANSWER, temperature=temperature, seed=0),
            past=past,
        )
        for _ in stream:
            pass
        kv = stream.result.kv
        if kv is None or len(kv.ids) != PROMPT + ANSWER:
            raise RuntimeError("the model ended its answer by itself")
        return kv

    def score(self, item: Item, activation: Activation) -> list[float]:
        scored = self.backend.score([item], self.query, self.adapters[activation], LABELS)
        if scored.label_logits is None:
            raise RuntimeError("labels were wanted")
        return [float(value) for value in scored.label_logits[0]]

    # --- by hand --------------------------------------------------------------------------------

    def bare_prefix(self, answer: tuple[int, ...]) -> None:
        self.bare.read((*self.prompt, *answer), 0, ())

    def bare_query(self) -> list[float]:
        """The query behind what has been read, the adapter on for it alone."""
        self.bare.switch(True)
        found = self.bare.read(self.query.ids, PROMPT + ANSWER, self.query.label_ids)
        self.bare.switch(False)
        return found

    def bare_roofline(self) -> None:
        self.bare.read(self.query.ids, PROMPT + ANSWER, self.query.label_ids)

    def bare_all(self, answer: tuple[int, ...]) -> list[float]:
        self.bare.switch(True)
        whole = (*self.prompt, *answer, *self.query.ids)
        found = self.bare.read(whole, 0, self.query.label_ids)
        self.bare.switch(False)
        return found

    def close(self) -> None:
        self.backend.close()
        self.bare.close()


def random_bench(shape: Shape, folder: Path, threads: int) -> Bench:
    base = make_base(folder / f"{shape.name}.gguf", shape)
    return Bench(base, make_adapter(folder / shape.name, shape), threads)


def real_bench(base: Path, lora: Path, threads: int) -> Bench:
    """A prompt that counts, so that a model goes on counting and does not end its answer; the query
    as it is asked."""
    bench = Bench(base, lora, threads)
    counted = bench.backend.encoder.encode(" ".join(map(str, range(1, PROMPT))))
    bench.prompt = (*bench.backend.encoder.start_ids, *counted)[:PROMPT]
    bench.query = build_query("chat_turn", bench.backend.encoder)
    self_test(bench.backend, bench.query, bench.adapters["query"])
    bench.noise = bench.backend.noise or 0.0
    return bench


def generated(bench: Bench, repeats: int) -> list[Row]:
    kv = bench.generate()
    answer = kv.ids[PROMPT:]
    live, cold = Item(kv, ()), Item(bench.prompt, answer)
    bench.bare_prefix(answer)
    _same(bench.score(live, "query"), bench.bare_query(), bench.noise)
    short = by_turns(
        {
            "query": lambda: bench.score(live, "query"),
            "bare query": bench.bare_query,
            "roofline": bench.bare_roofline,
        },
        max(repeats, 15),
    )
    bench.backend.release(kv)
    # llama.cpp attends to all cells in use, so both hands hold the same while they are compared:
    # nothing before generating and before reading anew, the answer before the query and a sample.
    _same(bench.score(cold, "all"), bench.bare_all(answer), bench.noise)
    held: list[KV] = []

    def sample() -> None:
        bench.backend.release(bench.generate(held[0], 1.0))

    def read_again() -> None:
        while held:
            bench.backend.release(held.pop())
        bench.score(cold, "all")

    long = by_turns(
        {
            "generate": lambda: held.append(bench.generate()),
            "query": lambda: bench.score(Item(held[0], ()), "query"),
            "sample": sample,
            "all": read_again,
            "bare all": lambda: bench.bare_all(answer),
        },
        repeats,
    )
    whole = long["generate"]
    speed = f"generation {whole:.2f} s, query {1e3 * long['query']:.0f} ms"
    return [
        (f"confidence after generation / generation ({speed})",
         f"{long['query'] / whole:.2%}", "<= 3%"),
        ("the same, bare decode of the query (roofline)", f"{short['roofline'] / whole:.2%}", ""),
        ("the same, reading all again (`all`)", f"{long['all'] / whole:.1%}", ""),
        (f"the same, {SAMPLES} samples", f"{SAMPLES * long['sample'] / whole:.0%}", ""),
        (f"our scoring call / by hand, behind a cache"
         f" ({1e3 * short['query']:.1f} / {1e3 * short['bare query']:.1f} ms)",
         f"{short['query'] / short['bare query']:.3f}", "<= 1.10"),
        (f"our scoring call / by hand, cold ({long['all']:.2f} / {long['bare all']:.2f} s)",
         f"{long['all'] / long['bare all']:.3f}", "<= 1.10"),
    ]  # fmt: skip


def _same(ours: list[float], theirs: list[float], noise: float) -> None:
    """Both hands must compute the same thing, up to the format's noise: an answer that was
    generated is in the cache token by token, the bare hand reads it at once."""
    if abs((ours[1] - ours[0]) - (theirs[1] - theirs[0])) > 3 * noise:
        raise RuntimeError(f"our scores {ours} are not those of the bare interface {theirs}")


def files(bench: Bench, repeats: int) -> list[Row]:
    question = "q" * (PROMPT - len(LEAD.format("")))
    texts = [f"answer {number} ".ljust(FILE_ANSWER, "x") for number in range(5)]
    manifest = Manifest(name="random", method="query", base=BaseModelRef(id="random"))
    estimator = Estimator(
        manifest, QueryMethod(), bench.backend, bench.query, bench.adapters["query"], ""
    )
    guard = Guard(estimator, "annotate")
    rendered = [estimator.render(QuestionAnswer(question=question, answer=text)) for text in texts]
    each = [len(made.answer) + len(bench.query.ids) for made in rendered]
    context = len(rendered[0].context)
    saved = sum(context + more for more in each) / (context + sum(each))
    with tempfile.TemporaryDirectory() as scratch:

        def score(name: str, answers: list[str]) -> None:
            path = Path(scratch) / name
            rows = [json.dumps({"question": question, "answer": answer}) for answer in answers]
            path.write_text("\n".join(rows) + "\n", encoding="utf-8")
            reading, output = Reading.of(str(path)), path.with_suffix(".scored.jsonl")
            done = score_file(Local(guard), reading, output, overwrite=True)
            if done.statuses["ok"] != len(answers):
                raise RuntimeError(f"rows were not scored: {done.statuses}")

        def five() -> None:
            for text in texts:
                score("one.jsonl", [text])

        took = by_turns({"one file": lambda: score("five.jsonl", texts), "five": five}, repeats)
    faster = took["five"] / took["one file"]
    return [
        (f"file of 5 answers to one question of {context:,} tokens, against 5 cold scorings"
         f" ({took['one file']:.2f} / {took['five']:.2f} s: {faster:.2f} times faster,"
         f" {saved:.2f} times fewer tokens)",
         f"{faster / saved:.3f}", ">= 0.85"),
    ]  # fmt: skip


def agreement(checkpoint: Path | None, threads: int) -> list[Row]:
    known: list[tuple[str, Path, ContextStyle, tuple[int, int] | None]] = [
        ("mini", MINI / "base", "chat_turn", None)
    ]
    if checkpoint is not None:
        known.append((checkpoint.name, checkpoint, "raw", (100, 101)))
    return [
        (f"largest difference in logits from transformers, {name}, {kv_type.upper()} cache",
         f"{worst_difference(path, style, labels, kv_type, threads):.1e}", f"<= {aim:.0e}")
        for name, path, style, labels in known
        for kv_type, aim in AGREE
    ]  # fmt: skip


def memory(answers: int, threads: int) -> list[Row]:
    estimator = load_estimator("mini", backend="llama_cpp", threads=threads)
    backend, process = estimator.engine, psutil.Process()

    def score(count: int, first: int) -> int:
        for number in range(first, first + count, 20):
            rows = [
                QuestionAnswer(question=f"What is {number + at} plus 3?", answer=str(number))
                for at in range(19)
            ]
            made = estimator.render(rows[0])
            kv = backend.generate([made.context], GenerationSettings(max_tokens=8))[0].kv
            if kv is None:
                raise RuntimeError("a single prompt keeps its cache")
            backend.score([Item(kv, ())], estimator.asked, estimator.adapter, LABELS)
            backend.release(kv)
            estimator.score(rows)
        return int(process.memory_info().rss)

    before = score(200, 0)
    after = score(answers, 200)
    estimator.close()
    what = f"resident memory over {answers:,} scored answers after the first 200"
    sizes = f"{before / 1e6:.0f} to {after / 1e6:.0f} MB"
    return [(f"{what} ({sizes})", f"{after / before - 1:+.1%}", "<= +5%")]


@contextmanager
def stage(name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    print(f"  {name}: {time.perf_counter() - start:.0f} s", flush=True)


@click.command(help=__doc__)
@click.option("--repeats", default=7, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--vocabulary", default=Shape().vocabulary, show_default=True)
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path, exists=True),
    envvar="CT_GUARD_LLAMA_CHECKPOINT",
    help="A small Llama, as a directory.",
)
@click.option("--folder", type=click.Path(path_type=Path), default=Path("runs/llama_cpp"))
@click.option("--model", type=click.Path(path_type=Path, exists=True), help="A GGUF file.")
@click.option("--lora", type=click.Path(path_type=Path, exists=True), help="A folder for it.")
@click.option("--quick", is_flag=True, help="A small model, three repeats; nothing is written.")
def main(
    repeats: int,
    threads: int,
    vocabulary: int,
    checkpoint: Path | None,
    folder: Path,
    model: Path | None,
    lora: Path | None,
    quick: bool,
) -> None:
    warnings.simplefilter("ignore", OutOfScopeWarning)
    warnings.simplefilter("ignore", FutureWarning)  # transformers warns of its own attribute
    disable_progress_bar()  # type: ignore[no-untyped-call]
    if (model is None) != (lora is None):
        raise click.UsageError("--model and --lora go together")
    shape = SMALL if quick else Shape(vocabulary=vocabulary)
    repeats = min(repeats, 3) if quick else repeats
    rows: list[Row] = []
    with stage("model"):
        if model is not None and lora is not None:
            bench = real_bench(model, lora, threads)
        else:
            bench = random_bench(shape, folder, threads)
    stages: dict[str, Callable[[], list[Row]]] = {"generated": lambda: generated(bench, repeats)}
    if model is None:
        stages |= {
            "files": lambda: files(bench, repeats),
            "agreement": lambda: agreement(checkpoint, threads),
            "memory": lambda: memory(200 if quick else 2000, threads),
        }
    for name, work in stages.items():
        with stage(name):
            rows += work()
    bench.close()
    command = f"python -m benchmarks.llama_cpp --repeats {repeats} --threads {threads}"
    weights = f"random weights in Q8_0, {shape}"
    if model is not None:
        command += f" --model {model.name} --lora {lora.name if lora else ''}"
        weights = model.stem
    text = (
        f"## llama.cpp{'' if model is None else f': {weights}'}\n\n`{command}`: {weights}; a prompt"
        f" of {PROMPT:,} tokens, an answer of {ANSWER}, a query of {len(bench.query.ids)}; medians"
        f" of {repeats} by turns.\n\n" + markdown(["measured", "found", "aim"], rows)
    )
    print(text)
    if not quick:
        between_markers(RESULTS, "llama_cpp" if model is None else model.stem, text)


if __name__ == "__main__":
    main()
