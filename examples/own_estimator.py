"""An estimator of your own: from questions with gold answers to a guarded chat model.

    python examples/own_estimator.py                 all of examples/questions.jsonl, some minutes
    python examples/own_estimator.py --questions 120 --steps 20

Every step is a function that `ct-guard` has a command for: `ct-guard grade`, `split`, `tune`,
`score`, `calibrate`, `certify`, `evaluate`. The files lie in own-estimator/.
"""

import argparse
import json
from pathlib import Path

from ct_guard import (
    CalibrateConfig,
    CertifyConfig,
    EvaluateConfig,
    GradeConfig,
    ScoreConfig,
    SplitConfig,
    TuneConfig,
    calibrate,
    certify,
    evaluate,
    grade,
    score,
    split,
    tune,
)
from ct_guard_langchain import ChatLocal, GuardedChatModel, get_confidence

QUESTIONS = Path(__file__).parent / "questions.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--questions", type=int, default=600, help="how many of them to use")
    parser.add_argument("--steps", type=int, default=300, help="of tuning, at most")
    parser.add_argument("--folder", type=Path, default=Path("own-estimator"))
    options = parser.parse_args()
    at: Path = options.folder
    at.mkdir(parents=True, exist_ok=True)
    source, graded = at / "questions.jsonl", at / "graded.jsonl"
    lines = QUESTIONS.read_text(encoding="utf-8").splitlines(keepends=True)
    source.write_text("".join(lines[: options.questions]), encoding="utf-8")

    print("1. The base model answers; a grader compares with the gold answers.")
    asked = GradeConfig(model="mini", samples=2, grader="substring", max_tokens=16, overwrite=True)
    counts = grade(source, graded, asked).summary.counts
    print(f"   {counts.right} right, {counts.wrong} wrong")
    for name, part in split(graded, at, SplitConfig(overwrite=True)).parts.items():
        print(f"   {name}: {part.rows} answers to {part.questions} questions")

    print("2. Tune on a part of them, and make sure of it on three others.")
    settings = TuneConfig(
        base="mini", method="hybrid", recipe="small", steps=options.steps, calibrator="none",
        overwrite=True,
    )  # fmt: skip
    made = tune(at / "tuning.jsonl", at / "tuned", settings)
    if made is None:
        return  # another process of `accelerate launch` writes
    print(f"   validation log loss {made.manifest.figures['validation log loss']:.3f}")
    scored = {}
    for name in ("calibration", "certification", "test"):
        scored[name] = at / f"s-{name}.jsonl"
        by_mine = ScoreConfig(estimator=str(at / "tuned"), overwrite=True)
        score(at / f"{name}.jsonl", scored[name], by_mine)
    mine = at / "mine"
    calibrate(scored["calibration"], mine, CalibrateConfig(estimator=at / "tuned", overwrite=True))
    promise = certify(
        scored["certification"],
        CertifyConfig(estimator=mine, alpha=0.3, where={"sample": "0"}),
    )
    print(f"   certified threshold: {promise.certificate.threshold or promise.certificate.reason}")
    found = evaluate(scored["test"], EvaluateConfig(estimator=mine, by="kind", resamples=100))
    for figure in found.evaluation.estimators[0].figures:
        if figure.name in ("AUROC", "ECE"):
            print(f"   {figure.name}: {figure.interval.value}")
    for line in found.remarks:
        print(f"   ! {line}")

    print("3. Use it: on a file, and around a chat model.")
    policy = "0.5" if promise.certificate.threshold is None else "certified"
    used = ScoreConfig(estimator=str(mine), policy=policy, overwrite=True)
    actions = score(at / "test.jsonl", at / "scored.jsonl", used).summary.actions
    print(f"   {json.dumps(actions)}")
    inner = ChatLocal(estimator="mini", max_tokens=16)
    model = GuardedChatModel(inner=inner, estimator=str(mine), policy=policy)
    for question in ("What is 3 plus 4?", "What is 857 times 9?"):
        message = model.invoke(question)
        said = get_confidence(message)
        if said is not None:
            print(f"{question} {message.text!r} P(correct) = {said['p']:.2f}, {said['action']}")


if __name__ == "__main__":
    main()
