"""Estimators whose confidence is known: the answer's own words decide it."""

from dataclasses import replace
from typing import Any

from ct_guard.backends import Backend
from ct_guard.estimators import Estimator, make_method
from ct_guard.estimators.weighing import Weighing
from ct_guard.evidence import Fitted
from ct_guard.evidence.agreement import AGREEMENT, AgreementState
from ct_guard.evidence.layer import Filled
from ct_guard.evidence.model import Accuracies
from ct_guard.evidence.together import Together
from ct_guard.evidence.witnesses import Witnesses
from ct_guard.query import build_query
from ct_guard.store import BaseModelRef, LogisticLayer, Manifest
from ct_guard.testing import FakeBackend


def by_word(answer: str) -> float:
    """`sure` 3 (p = 0.95), `unsure` -3 (p = 0.05), anything else 0 (p = 0.5)."""
    return -3.0 if "unsure" in answer else 3.0 if "sure" in answer else 0.0


def estimator_on(backend: Backend, **manifest: Any) -> Estimator:
    about = Manifest.model_validate(
        {
            "name": "fake",
            "method": "query",
            "base": BaseModelRef(id="fake-base"),
            "style": "chat_turn",
            **manifest,
        }
    )
    return Estimator(
        manifest=about,
        method=make_method(about, backend=backend),
        backend=backend,
        query=build_query(about.style, backend.encoder),
        adapter=None,
        fingerprint="f00d",
    )


def by_word_and_agreement(*, itself: bool = False) -> Estimator:
    """By word, `fair` being 1 (p = 0.73); further answers add 3 where all agree, and take 3 away
    where none does. `itself`: it was fitted on samples that hold the answer itself."""

    def logit(answer: str) -> float:
        return 1.0 if "fair" in answer else by_word(answer)

    names = (*AGREEMENT.features, "logit")
    count = len(AGREEMENT.features)
    layer = LogisticLayer(
        features=names,
        low=(0.0,) * count + (-10.0,),
        high=(1.0,) * count + (10.0,),
        mean=(0.5,) + (0.0,) * count,
        scale=(1.0,) * len(names),
        coef=(6.0,) + (0.0,) * (count - 1) + (1.0,),
        intercept=0.0,
    )
    nothing = Witnesses(pool=(0.0,) * 5, models={}, of={})
    state = AgreementState(
        accuracies=Accuracies(pool=0.0, models={}),
        itself=itself,
        alike=nothing,
        named=nothing,
        together=Together(intercept=0.0, common=0.0, models={}),
    )
    fitted = Fitted(
        evidence=("agreement", "logit"),
        states={"agreement": state.model_dump(mode="json"), "logit": {}},
        layer=Filled(features=names, fill=(0.5,) + (0.0,) * count, flagged=(), logistic=layer),
    )
    made = estimator_on(FakeBackend(logit=logit), evidence="evidence.json")
    return replace(made, weighing=Weighing(fitted))
