"""What a method is stands in one place, and whatever knows methods by name agrees with it."""

import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from ct_guard.errors import UsageError
from ct_guard.estimators import TextMethod, load_estimator
from ct_guard.estimators.methods import MAKERS
from ct_guard.evidence.question_prior import PRIOR_FILE, fit_question_prior
from ct_guard.methods import METHODS, baselines, tuned
from ct_guard.store import NO_BASE, BaseModelRef, Manifest, save_estimator
from ct_guard.tuning.learners import LEARNERS
from ct_guard.workflows.baselines import BaselineConfig
from ct_guard.workflows.recipes import TuneConfig


def test_every_method_has_its_code_and_every_code_its_method() -> None:
    assert MAKERS.keys() == METHODS.keys()
    assert {spec.learner for spec in METHODS.values()} - {None} == LEARNERS.keys()


def test_who_is_tuned_and_who_is_a_baseline() -> None:
    assert tuned() == ("query", "hybrid", "probe", "lora_probe")
    assert set(baselines()) - set(baselines(by_name=True)) == {"question_prior"}
    fitted = {name for name, spec in METHODS.items() if spec.fitted}
    assert fitted == {"evidence"}
    assert set(tuned()) | set(baselines()) | fitted == METHODS.keys()
    assert fitted.isdisjoint(tuned() + baselines())
    assert set(tuned()).isdisjoint(baselines())


def test_the_verbs_take_these_methods() -> None:
    assert set(get_args(get_type_hints(TuneConfig)["method"])) == set(tuned())
    assert set(get_args(get_type_hints(BaselineConfig)["method"])) == set(baselines())


@pytest.mark.parametrize("name", METHODS)
def test_the_facts_of_a_method_fit_together(name: str) -> None:
    spec = METHODS[name]
    assert spec.name == name
    assert spec.evidence
    assert spec.head == ("hidden" in spec.evidence)
    assert not (spec.adapter and spec.learner is None)


@pytest.fixture
def prior(tmp_path: Path) -> Path:
    questions = [f"{word} {n}?" for n in range(40) for word in ("How far", "How many")]
    fitted = fit_question_prior(questions, [text.startswith("How far") for text in questions])
    manifest = Manifest(
        name="prior", method="question_prior", base=BaseModelRef(id=NO_BASE), prior=PRIOR_FILE
    )
    files: dict[str, Path | bytes] = {PRIOR_FILE: fitted.model_dump_json().encode()}
    save_estimator(tmp_path / "prior", manifest, files=files)
    return tmp_path / "prior"


def test_an_estimator_without_a_base_says_so(prior: Path) -> None:
    estimator = load_estimator(prior)
    assert isinstance(estimator.method, TextMethod)
    assert estimator.backend is None
    assert (estimator.arithmetic.backend, estimator.arithmetic.noise) == (NO_BASE, 0.0)
    with pytest.raises(UsageError, match="prior has no base model: its method 'question_prior'"):
        _ = estimator.engine
    estimator.close()


WITHOUT_ENGINES = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "peft", "llama_cpp", "safetensors"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
import json
from pathlib import Path
from click.testing import CliRunner
from ct_guard import Guard, QuestionAnswer
from ct_guard.cli import cli

def run(*arguments):
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code in (0, 4), (done.output, done.exception)

guard = Guard("prior", 0.5)
asked = [QuestionAnswer(question=f"{how} 99?", answer="5") for how in ("How far", "How many")]
assert [one.action for one in guard.assess_batch(asked)] == ["pass", "abstain"]
rows = [
    {"question": f"{word} {n}?", "answer": "5", "correct": (word == "How far") != (n % 5 == 0)}
    for n in range(100, 220) for word in ("How far", "How many")
]
for name, part in (("c", rows[:120]), ("t", rows[120:])):
    Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + chr(10) for row in part))
run("score", "c.jsonl", "-e", "prior", "-o", "cs.jsonl")
run("calibrate", "cs.jsonl", "-e", "prior", "-o", "calibrated")
run("score", "t.jsonl", "-e", "calibrated", "-o", "ts.jsonl")
run("certify", "ts.jsonl", "-e", "calibrated", "--alpha", "0.4", "--delta", "0.1")
run("evaluate", "ts.jsonl", "--resamples", "100")
run("inspect", "calibrated")
assert "certified" in str(Guard("calibrated").policy).lower(), Guard("calibrated").policy
"""


def test_without_a_base_neither_torch_nor_llama_cpp_is_needed(prior: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ENGINES],
        cwd=prior.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
