"""Evidence of rows beside raw scores, from a scored file: fitted, kept, and counted by whatever
makes probabilities of such a file."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from ct_guard import CalibrateConfig, CertifyConfig, EvaluateConfig, calibrate, certify, evaluate
from ct_guard.errors import FieldError, InputError, ManifestError, UsageError
from ct_guard.estimators.weighing import weighing_of
from ct_guard.evaluation import read_scored
from ct_guard.evaluation.certify import first_answers
from ct_guard.evaluation.probabilities import probabilities
from ct_guard.metrics import log_loss
from ct_guard.store import BaseModelRef, Manifest, load_manifest, save_estimator

Rows = list[dict[str, Any]]
Write = Callable[[str, Rows], Path]
EVIDENCE = ("agreement", "model")
TINY = Manifest(name="tiny", method="likelihood", base=BaseModelRef(id="base"))


def rows(prefix: str, questions: int, seed: int, *, graded: bool = True) -> Rows:
    """Three models answer each question; right answers are alike, wrong ones are not; the raw score
    tells a little."""
    random = np.random.default_rng(seed)
    made = []
    for question in range(questions):
        for at, (model, skill) in enumerate((("good", 0.8), ("fair", 0.6), ("poor", 0.3))):
            right = bool(random.random() < skill)
            z = float(random.normal(0.7 if right else 0.0))
            made.append(
                {
                    "question": f"{prefix} {question}?", "model": model, "sample": at,
                    "answer": f"word{question}" if right else f"other{random.integers(5)}",
                    "domain": "law" if question % 2 else "art",
                    "status": "ok", "logit": z, "confidence": float(expit(z)),
                    "estimator": "tiny", "scorer": TINY.scorer,
                    "correct": right if graded or at == 0 else None,
                }
            )  # fmt: skip
    return made


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `c.jsonl`, and `mine`, which was calibrated on it."""
    folder = tmp_path_factory.mktemp("fitted")
    save_estimator(folder / "tiny", TINY)
    (folder / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows("c", 150, 0)))
    config = CalibrateConfig(estimator=folder / "tiny", evidence=EVIDENCE)
    found = calibrate(folder / "c.jsonl", folder / "mine", config).found
    assert found is not None
    assert found.fitted.evidence == ("logit", *EVIDENCE)
    assert found.without.keys() == {"logit", *EVIDENCE}
    assert found.without["agreement"] > found.log_loss[found.kind] + 0.02
    return folder


@pytest.fixture
def made(fitted: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    shutil.copy(fitted / "c.jsonl", tmp_path)
    return Path(shutil.copytree(fitted / "mine", tmp_path / "mine"))


def test_it_is_kept_in_the_manifest_and_the_raw_score_is_still_the_same(
    made: Path, estimator: Path
) -> None:
    manifest, before = load_manifest(made), load_manifest(estimator)
    assert manifest.weighs
    assert not before.weighs
    assert manifest.evidence in manifest.files
    assert manifest.scorer == before.scorer
    assert weighing_of(manifest, made).columns == ("samples",)


def test_what_each_evidence_adds_is_kept_in_the_manifest(made: Path) -> None:
    figures = load_manifest(made).figures
    whole = figures["log loss"]
    assert isinstance(whole, float)
    for name in ("logit", *EVIDENCE):
        without = figures[f"log loss without {name}"]
        assert isinstance(without, float)
        assert without > whole


def test_probabilities_of_new_rows_are_better_for_it(
    made: Path, write: Write, estimator: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    calibrate(tmp_path / "c.jsonl", plain, CalibrateConfig(estimator=estimator))
    test = write("t.jsonl", rows("t", 150, 1))
    losses = []
    for folder in (plain, made):
        config = EvaluateConfig(estimator=folder, prior=False, resamples=100)
        figures = evaluate(test, config).evaluation.estimators[0].figures
        losses.append(next(one.interval.value for one in figures if one.name == "log loss"))
    assert losses[1] is not None
    assert losses[0] is not None
    assert losses[1] < losses[0] - 0.1


def test_rows_that_do_not_count_still_tell_of_those_that_do(made: Path, write: Write) -> None:
    """Of one answer a question, and of grades that are not there, agreement is what it was."""
    manifest = load_manifest(made)
    weighing = weighing_of(manifest, made)
    everything = read_scored(write("t.jsonl", rows("t", 40, 2)), need="logit")
    p = probabilities(everything, manifest, weighing)
    first = probabilities(first_answers(everything), manifest, weighing)
    chosen = read_scored(everything.path, need="logit", where={"sample": "0"})
    partly = read_scored(write("u.jsonl", rows("t", 40, 2, graded=False)), need="logit")
    assert len(partly) == 40
    for some in (first, probabilities(chosen, manifest, weighing),
                 probabilities(partly, manifest, weighing)):  # fmt: skip
        assert some == pytest.approx(p[::3])
    assert log_loss(p, everything.correct) < 0.6


def test_it_is_certified_with_the_evidence_that_it_weighs(made: Path, write: Write) -> None:
    source = write("d.jsonl", rows("d", 400, 3))
    found = certify(source, CertifyConfig(estimator=made, alpha=0.25, first=True))
    assert found.certificate.threshold is not None
    assert load_manifest(made).certificates == (found.certificate,)
    with pytest.raises(UsageError, match="weighs evidence"):
        probabilities(read_scored(source, need="logit"), load_manifest(made))


def test_calibrated_again_it_keeps_its_evidence_on_rows_that_it_has_not_seen(
    made: Path, write: Write, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    with pytest.raises(InputError, match="in the split 'calibration'"):
        calibrate(tmp_path / "c.jsonl", again, CalibrateConfig(estimator=made))
    fresh = write("e.jsonl", rows("e", 100, 4))
    calibrate(fresh, again, CalibrateConfig(estimator=made, by=("domain",)))
    assert load_manifest(again).evidence == load_manifest(made).evidence
    calibrate(fresh, again, CalibrateConfig(estimator=made, evidence=("model",), overwrite=True))
    changed = load_manifest(again)
    assert changed.evidence != load_manifest(made).evidence
    assert sum(name.startswith("evidence-") for name in changed.files) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"apply": "x.jsonl", "evidence": EVIDENCE}, "`evidence` needs `estimator`"),
        ({"estimator": "e", "evidence": EVIDENCE, "logprobs": True}, "name them there"),
        ({"estimator": "e", "force": True}, "`force` is for `evidence`"),
        ({"estimator": "e", "by": ("domain",), "logprobs": True}, "`by` does not go with"),
    ],
)
def test_what_does_not_go_together_is_no_configuration(given: dict[str, Any], said: str) -> None:
    with pytest.raises(FieldError, match=said):
        CalibrateConfig(**given)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"evidence": ("probe",)}, InputError, "no row has a column 'read_probe'"),
        ({"evidence": ("column:confidence",)}, UsageError, "a column that scoring writes"),
        ({"evidence": ("stated",)}, Exception, "no row has the evidence stated"),
        ({"by": ("domin",)}, InputError, "no row has a column 'domin'"),
        ({"by": ("question",)}, InputError, "a group needs rows"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_writes_nothing(
    write: Write,
    estimator: Path,
    tmp_path: Path,
    given: dict[str, Any],
    error: type[Exception],
    said: str,
) -> None:
    source = write("c.jsonl", rows("c", 40, 0)[::3])
    with pytest.raises(error, match=said) as caught:
        calibrate(source, tmp_path / "mine", CalibrateConfig(estimator=estimator, **given))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "mine").exists()


def test_a_copy_that_weighs_evidence_is_applied_to_no_file(made: Path, tmp_path: Path) -> None:
    config = CalibrateConfig(estimator=made, apply=tmp_path / "c.jsonl")
    with pytest.raises(FieldError, match="weighs evidence of rows"):
        calibrate(tmp_path / "c.jsonl", tmp_path / "new.jsonl", config)


def test_a_damaged_file_of_evidence_is_refused(made: Path) -> None:
    manifest = load_manifest(made)
    assert manifest.evidence is not None
    (made / manifest.evidence).write_text("{}")
    with pytest.raises(ManifestError, match="differs from its hash"):
        load_manifest(made)
    with pytest.raises(ManifestError, match="holds no fitted evidence"):
        weighing_of(manifest, made)
