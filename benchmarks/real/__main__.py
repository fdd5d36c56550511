"""`python -m benchmarks.real`: evidence on real graded answers, five splits by question.

Prints Markdown tables. Nothing is chosen on test questions: which evidence is used for which file
stands in `MAIN`, and the layer and calibrator are chosen within the training questions.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ct_guard.calibration.folds import folds_by_question
from ct_guard.estimators.question_prior import fit_question_prior
from ct_guard.risk import certify

from .data import Data, folder_or_reason, load, take
from .figures import Figures, Floats, figures, mean_of, probabilities

MMLU, EXAMS = "mmlu_pro_conf_stem.jsonl.gz", "medagents_exams.jsonl.gz"
STRATEGY, NQ, SIMPLE = "strategyqa.jsonl.gz", "evouna_NQ.jsonl", "simpleqa_gpt4o.jsonl.gz"
VERBALIZED, TOKENS, JUDGE = "column:verbalized", "column:mean_token_prob", "column:linguistic"
MAIN = (
    ("all evidence", MMLU, ("agreement", "stated", "model", TOKENS, JUDGE)),
    ("own: stated, tokens, model", MMLU, ("stated", "model", TOKENS)),
    ("own, with the judge's reading", MMLU, ("stated", "model", TOKENS, JUDGE)),
    ("agreement, model", EXAMS, ("agreement", "model")),
    ("agreement, model", STRATEGY, ("agreement", "model")),
    ("agreement, model", NQ, ("agreement", "model")),
    ("trust score, question prior", SIMPLE, ("column:tlm_score", "column:prior")),
)
AGREEING = (MMLU, EXAMS, STRATEGY, NQ)
HEAD = "| {} | AUROC | within a model | pairs | ECE (floor) | log loss |\n|---|---|---|---|---|---|"
DELTA, ALPHAS, RESPLITS = 0.1, (0.05, 0.1), 50

Split = tuple[Data, Data]


def main() -> None:
    folder = folder_or_reason()
    if isinstance(folder, str):
        print(f"skipped: {folder}")
        return
    data = {name: load(folder / name) for name in dict.fromkeys(name for _, name, _ in MAIN)}
    parts: dict[str, Callable[[dict[str, Data]], None]] = {
        "main": all_rows, "rows": few_rows, "others": few_others, "models": new_models,
        "certificates": certificates,
    }  # fmt: skip
    for name in sys.argv[1:] or parts:
        parts[name](data)


def splits(data: Data) -> Iterator[Split]:
    for train, test in folds_by_question(data.correct, data.answers.question):
        yield take(data, train), take(data, test)


def all_rows(data: dict[str, Data]) -> None:
    first, second = HEAD.format("file, evidence").splitlines()
    print(f"\n{first} ECE, all test parts together (floor) |\n{second}---|")
    for title, name, evidence in MAIN:
        some, ps, tests = [], [], []
        for split in splits(data[name]):
            train, test = with_prior(*split) if "column:prior" in evidence else split
            p = probabilities(train, test, evidence)
            some.append(figures(p, test))
            ps.append(p)
            tests.append(test)
        pooled = _pooled(ps, tests)
        print(row(f"{Path(name).stem.removesuffix('.jsonl')}: {title}", mean_of(some)), pooled)
        sys.stdout.flush()


def few_rows(data: dict[str, Data]) -> None:
    print("\n" + HEAD.format("graded rows to fit on"))
    for title, name, evidence in MAIN[:1] + MAIN[3:6]:
        for size in (100, 300, 1000):
            some = [
                figures(probabilities(some_questions(train, size), test, evidence), test)
                for train, test in splits(data[name])
            ]
            print(row(f"{name.split('.')[0]}: {title}, {size:,}", mean_of(some)), flush=True)


def few_others(data: dict[str, Data]) -> None:
    print("\n" + HEAD.format("other answers to the question, at most"))
    for name in AGREEING:
        for others in (1, 2, 4):
            fewer = at_most(data[name], others + 1)
            some = [
                figures(probabilities(train, test, ("agreement", "model")), test)
                for train, test in splits(fewer)
            ]
            print(row(f"{name.split('.')[0]}: {others}", mean_of(some)), flush=True)


def new_models(data: dict[str, Data]) -> None:
    """One split; every model is left out of fitting once, and judged on the test questions, where
    the other models' answers are there to agree with."""
    print("\n" + HEAD.format("a model that was never seen, mean over models"))
    for name in (MMLU, EXAMS):
        train, test = next(splits(data[name]))
        for seen in (0, 50):
            some = []
            for model in sorted(set(train.models)):
                own = np.flatnonzero(train.models == model)[:seen]
                kept = np.sort(np.r_[np.flatnonzero(train.models != model), own])
                p = probabilities(take(train, kept), test, ("agreement", "model"))
                judged = np.flatnonzero(test.models == model)
                some.append(figures(p[judged], take(test, judged)))
            title = f"{name.split('.')[0]}: {seen} graded rows of it"
            print(row(title, mean_of(some)), flush=True)


def certificates(data: dict[str, Data]) -> None:
    """One answer a question. Fitted on a third, certified and tested on halves of the rest."""
    print(
        "\n| file | alpha | certified | violations | delta | mean coverage |\n" + "|---" * 6 + "|"
    )
    for name in AGREEING:
        whole = data[name]
        fits = next(
            (fit, rest) for rest, fit in folds_by_question(whole.correct, whole.answers.question,
                                                           folds=3)
        )  # fmt: skip
        train, rest = take(whole, fits[0]), take(whole, fits[1])
        p = probabilities(train, rest, ("agreement", "model"))
        for alpha in ALPHAS:
            print(certified(name.split(".")[0], p, rest, alpha), flush=True)


def certified(title: str, p: Floats, rest: Data, alpha: float) -> str:
    violated, found, coverage = 0, 0, []
    for seed in range(RESPLITS):
        order = np.random.default_rng(seed).permutation(len(p))
        first = order[np.unique(rest.answers.question[order], return_index=True)[1]]
        first = np.random.default_rng(seed).permutation(first)
        one, two = np.array_split(first, 2)
        threshold = certify(p[one], rest.correct[one], alpha=alpha, delta=DELTA).threshold
        if threshold is None:
            continue
        found += 1
        answered = p[two] >= threshold
        coverage.append(answered.mean())
        violated += bool(answered.any() and (~rest.correct[two][answered]).mean() > alpha)
    mean = f"{np.mean(coverage):.2f}" if coverage else "-"
    return f"| {title} | {alpha} | {found} of {RESPLITS} | {violated} | {DELTA} | {mean} |"


def with_prior(train: Data, test: Data) -> Split:
    """With the question prior as a column: of training rows by priors of other questions."""
    prior = np.empty(len(train.correct))
    for fit, held in folds_by_question(train.correct, train.answers.question):
        prior[held] = _prior(take(train, fit), take(train, held))
    test.answers.columns["prior"] = _prior(train, test).tolist()
    train.answers.columns["prior"] = prior.tolist()
    return train, test


def _prior(train: Data, test: Data) -> Floats:
    fitted = fit_question_prior(list(train.answers.asked), train.correct)
    return fitted.logits(list(test.answers.asked))


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


def row(title: str, one: Figures) -> str:
    return (
        f"| {title} | {one.auroc:.3f} | {one.within:.3f} | {one.pairs:.3f} |"
        f" {one.ece:.3f} ({one.floor:.3f}) | {one.log_loss:.3f} |"
    )


def _pooled(ps: list[Floats], tests: list[Data]) -> str:
    from ct_guard.metrics import ece, ece_noise_floor

    p, correct = np.concatenate(ps), np.concatenate([test.correct for test in tests])
    return f"{ece(p, correct):.3f} ({ece_noise_floor(p, draws=50):.3f}) |"


if __name__ == "__main__":
    main()
