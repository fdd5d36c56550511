"""An estimator with a certificate whose threshold is 0.5, and answers like its sample."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from ct_guard.certificates import Arithmetic, Certificate, Sample
from ct_guard.monitoring import Answered
from ct_guard.risk import binned
from ct_guard.store import BaseModelRef, Manifest, load_manifest, save_estimator, write_manifest

SAMPLE = expit(np.random.default_rng(7).normal(1.0, 1.0, 1000))


def certificate(**changed: object) -> Certificate:
    known: dict[str, object] = {
        "alpha": 0.1,
        "delta": 0.1,
        "threshold": 0.5,
        "n": 1000,
        "answered": 800,
        "errors": 60,
        "arithmetic": Arithmetic(backend="fake", format="float32"),
        "sample": Sample(
            scores=binned(SAMPLE), models={"one": 1000}, statuses={"ok": 1000, "empty": 10}
        ),
    }
    return Certificate.model_validate(known | changed)


@pytest.fixture
def certified(tmp_path: Path) -> Path:
    """An estimator's directory."""
    folder = tmp_path / "certified"
    manifest = Manifest(
        name="certified",
        method="likelihood",
        base=BaseModelRef(id="base"),
        certificates=(certificate(),),
    )
    save_estimator(folder, manifest)
    return folder


@pytest.fixture
def recertify(certified: Path) -> Callable[..., Path]:
    """The estimator with another certificate in its place."""

    def again(**changed: object) -> Path:
        manifest = load_manifest(certified)
        other = (certificate(**changed),)
        write_manifest(certified, manifest.model_copy(update={"certificates": other}))
        return certified

    return again


def answers(
    n: int, *, shift: float = 0.0, seed: int = 1, model: str | None = "one", prefix: str = "a"
) -> list[Answered]:
    """Answers whose logits are those of the sample, shifted."""
    p = expit(np.random.default_rng(seed).normal(1.0 + shift, 1.0, n))
    return [
        Answered(f"{prefix}-{at}", f"{prefix}{at:07d}", float(one), model, "ok")
        for at, one in enumerate(p)
    ]
