"""An estimator of your own: from questions with gold answers to a guarded chat model.

    python examples/own_estimator.py                 all of examples/questions.jsonl, some minutes
    python examples/own_estimator.py --questions 120 --steps 20

Every step is the command that you would type yourself; the files lie in own-estimator/.
"""

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

from ct_guard.cli import cli
from ct_guard_langchain import ChatLocal, GuardedChatModel, get_confidence

QUESTIONS = Path(__file__).parent / "questions.jsonl"


def ct_guard(command: str, *, fine: tuple[int, ...] = (0,)) -> int:
    """Run one command line of ct-guard, and show it."""
    print(f"\n$ ct-guard {command}", flush=True)
    code = cli.main(shlex.split(command), "ct-guard", standalone_mode=False) or 0
    if code not in fine:
        raise SystemExit(code)
    return int(code)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--questions", type=int, default=600, help="how many of them to use")
    parser.add_argument("--steps", type=int, default=300, help="of tuning, at most")
    parser.add_argument("--folder", type=Path, default=Path("own-estimator"))
    options = parser.parse_args()
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    at = shlex.quote(str(folder))
    write(folder / "questions.jsonl", rows_of(QUESTIONS)[: options.questions])

    print("1. The base model answers; a grader compares with the gold answers.")
    ct_guard(
        f"grade {at}/questions.jsonl --model mini -k 2 -g substring --max-tokens 16"
        f" -o {at}/graded.jsonl --overwrite"
    )
    ct_guard(f"split {at}/graded.jsonl -o {at} --overwrite")
    print("\n2. Tune on a part of them, and make sure of it on three others.")
    ct_guard(
        f"tune {at}/tuning.jsonl --base mini --method hybrid --recipe small --steps {options.steps}"
        f" -o {at}/tuned --calibrator none --overwrite"
    )
    for name in ("calibration", "certification", "test"):
        ct_guard(f"score {at}/{name}.jsonl -e {at}/tuned -o {at}/s-{name}.jsonl -q --overwrite")
    ct_guard(f"calibrate {at}/s-calibration.jsonl -e {at}/tuned -o {at}/mine --overwrite")
    certified = ct_guard(
        f"certify {at}/s-certification.jsonl -e {at}/mine --alpha 0.3 --where sample=0", fine=(0, 4)
    )
    ct_guard(f"evaluate {at}/s-test.jsonl -e {at}/mine --by kind --resamples 100")
    ct_guard(f"inspect {at}/mine")

    print("\n3. Use it: on a file, and around a chat model.")
    policy = "certified" if certified == 0 else "0.5"
    ct_guard(f"score {at}/test.jsonl -e {at}/mine -p {policy} -o {at}/scored.jsonl --overwrite")
    inner = ChatLocal(estimator="mini", max_tokens=16)
    model = GuardedChatModel(inner=inner, estimator=str(folder / "mine"), policy=policy)
    for question in ("What is 3 plus 4?", "What is 857 times 9?"):
        message = model.invoke(question)
        said = get_confidence(message)
        if said is not None:
            print(f"{question} {message.text!r} P(correct) = {said['p']:.2f}, {said['action']}")


if __name__ == "__main__":
    main()
