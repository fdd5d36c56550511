"""`python -m benchmarks.real [PART…]`: evidence on real graded answers, five splits by question.

Prints Markdown tables. Nothing is chosen on test questions: which evidence is used for which file
stands in `MAIN`, and the layer and calibrator are chosen within the training questions.
"""

import sys
from collections.abc import Callable

import numpy as np

from ct_guard.metrics import ece, ece_noise_floor

from .certificates import certificates
from .data import EXAMS, MMLU, NQ, SIMPLE, STRATEGY, Data, folder_or_exit, load, splits, take
from .data import title_of as title
from .figures import Figures, Floats, figures, floor_by_question, mean_of, probabilities
from .groups import within_groups
from .large import large
from .parts import parts as chance

TOKENS, COUNT = "column:mean_token_prob", "column:n_tokens"
JUDGE = "column:linguistic"
OTHERS = ("agreement", "model", "wording")
OWN = ("stated", "model", TOKENS)
MAIN = (
    ("all evidence", MMLU, (*OTHERS, "stated", TOKENS, JUDGE)),
    ("own: stated, mean token probability, model", MMLU, OWN),
    ("own, and how many tokens", MMLU, (*OWN, COUNT)),
    ("own, how many tokens, wording, topic", MMLU, (*OWN, COUNT, "wording", "group:domain")),
    ("own, how many tokens, wording, question", MMLU, (*OWN, COUNT, "wording", "question")),
    ("own, and a judge's reading", MMLU, (*OWN, JUDGE)),
    ("agreement, model, wording", EXAMS, OTHERS),
    ("agreement, model, wording", STRATEGY, OTHERS),
    ("agreement, model, wording", NQ, OTHERS),
    ("trust score, question", SIMPLE, ("column:tlm_score", "question")),
    ("trust score, question, wording", SIMPLE, ("column:tlm_score", "question", "wording")),
)
AGREEING = (MMLU, EXAMS, STRATEGY, NQ)
HEAD = (
    "| {} | AUROC | within a model | pairs | ECE (floor; floor by question) | log loss |\n"
    + "|---" * 6 + "|"
)  # fmt: skip


def main() -> None:
    folder = folder_or_exit()
    data = {name: load(folder / name) for name in dict.fromkeys(name for _, name, _ in MAIN)}
    agreeing = {title(name): data[name] for name in AGREEING}
    parts: dict[str, Callable[[], None]] = {
        "main": lambda: all_rows(data),
        "parts": lambda: chance(data, (*MAIN[:2], *MAIN[5:])),
        "rows": lambda: few_rows(data),
        "others": lambda: few_others(agreeing),
        "models": lambda: new_models(agreeing),
        "certificates": lambda: certificates(agreeing, OTHERS),
        "groups": lambda: within_groups(data),
        "large": lambda: large({name: folder / name for name in (MMLU, NQ)}, OTHERS),
    }
    for name in sys.argv[1:] or parts:
        parts[name]()


def all_rows(data: dict[str, Data]) -> None:
    first, second = HEAD.format("file, evidence").splitlines()
    print(f"\n{first} ECE, all test parts together (floor; by question) |\n{second}---|")
    for named, name, evidence in MAIN:
        some, ps, tests = [], [], []
        for train, test in splits(data[name]):
            p = probabilities(train, test, evidence)
            some.append(figures(p, test))
            ps.append(p)
            tests.append(test)
        print(row(f"{title(name)}: {named}", mean_of(some)), _pooled(ps, tests), flush=True)


def few_rows(data: dict[str, Data]) -> None:
    print("\n" + HEAD.format("graded rows to fit on"))
    for named, name, evidence in (MAIN[0], MAIN[2], *MAIN[6:9]):
        for size in (100, 300, 1000):
            some = [
                figures(probabilities(some_questions(train, size), test, evidence), test)
                for train, test in splits(data[name])
            ]
            print(row(f"{title(name)}: {named}, {size:,}", mean_of(some)), flush=True)


def few_others(agreeing: dict[str, Data]) -> None:
    print("\n" + HEAD.format("other answers to the question, at most"))
    for name, whole in agreeing.items():
        for others in (1, 2, 4):
            some = [
                figures(probabilities(train, test, OTHERS), test)
                for train, test in splits(at_most(whole, others + 1))
            ]
            print(row(f"{name}: {others}", mean_of(some)), flush=True)


def new_models(agreeing: dict[str, Data]) -> None:
    """One split; every model is left out of fitting once, and judged on the test questions, where
    the other models' answers are there to agree with."""
    print("\n" + HEAD.format("a model that was never seen, mean over models"))
    for name, whole in agreeing.items():
        train, test = next(splits(whole))
        for seen in (0, 50):
            some = []
            for model in sorted(set(train.models)):
                own = np.flatnonzero(train.models == model)[:seen]
                kept = np.sort(np.r_[np.flatnonzero(train.models != model), own])
                p = probabilities(take(train, kept), test, OTHERS)
                judged = np.flatnonzero(test.models == model)
                some.append(figures(p[judged], take(test, judged)))
            print(row(f"{name}: {seen} graded rows of it", mean_of(some)), flush=True)


def some_questions(data: Data, rows: int, seed: int = 0) -> Data:
    """Whole questions, drawn until there are so many rows."""
    questions = np.random.default_rng(seed).permutation(np.unique(data.answers.question))
    rank = np.empty(int(questions.max()) + 1)
    rank[questions] = np.arange(len(questions))
    order = np.argsort(rank[data.answers.question], kind="stable")
    return take(data, order[:rows])


def at_most(data: Data, rows: int, seed: int = 0) -> Data:
    """So many rows of each question, drawn."""
    order = np.random.default_rng(seed).permutation(len(data.correct))
    question = data.answers.question[order]
    by_question = order[np.argsort(question, kind="stable")]
    sizes = np.bincount(data.answers.question)
    within = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return take(data, np.sort(by_question[within < rows]))


def row(named: str, one: Figures) -> str:
    return (
        f"| {named} | {one.auroc:.3f} | {one.within:.3f} | {one.pairs:.3f} |"
        f" {one.ece:.3f} ({one.floor:.3f}; {one.floor_by_question:.3f}) | {one.log_loss:.3f} |"
    )


def _pooled(ps: list[Floats], tests: list[Data]) -> str:
    p, correct = np.concatenate(ps), np.concatenate([test.correct for test in tests])
    question = np.concatenate([test.answers.question for test in tests])
    floors = f"{ece_noise_floor(p, draws=50):.3f}; {floor_by_question(p, correct, question):.3f}"
    return f"{ece(p, correct):.3f} ({floors}) |"


if __name__ == "__main__":
    main()
