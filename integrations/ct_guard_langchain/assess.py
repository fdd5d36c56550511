"""From LangChain messages to confidences, and from these to assessments: the one way by which every
surface asks the guard."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from langchain_core.messages import AIMessage, BaseMessage

from ct_guard.errors import DeadlineError, OverloadedError, UsageError
from ct_guard.guard import Guard
from ct_guard.policies import Situation, ToolGate, Turn, parts
from ct_guard.records import Assessment, Confidence, Decision, QuestionAnswer

from .delivery import is_withheld
from .messages import question_answer, turn_of
from .record import confidence_in, own_record

__all__ = [
    "Case",
    "Scores",
    "aassess",
    "ascore",
    "ascore_each",
    "assess",
    "decided",
    "score",
    "score_each",
    "tool_gate",
]

Item = QuestionAnswer | Confidence
"""What is to be scored, or the status that says why it need not or cannot be."""

Scores = Sequence[Confidence]
"""The confidences of a case: of the answer, or of each of its calls in order."""

_OF_ALL = (DeadlineError, OverloadedError)
"""What befell a batch for want of time or room: its cases would fare no better one by one, and all
of them would wait once more for each."""

_DATED = r"[-@:_](?:latest|\d{4}-\d\d-\d\d|\d{3,8})(?:-v\d+(?::\d+)?)?"
"""What providers add to a model's name to say which of its versions answered."""


@dataclass(frozen=True)
class Case:
    """An answer, what it answers, and who judges it.

    A turn of several calls is scored call by call, and is as likely right as the weakest of them. A
    tool gate decides on each call; `gated` says that whoever runs the calls asks it, else the turn
    passes or not as a whole. An answer that a guard has withheld already is not judged again: it
    has the confidence of what it stands for, and stays withheld unless the policy asks another.
    Content that is not text has the status `unsupported`.
    """

    guard: Guard
    messages: Sequence[BaseMessage]
    answer: BaseMessage
    model: str | None = None
    """Who was asked; who answered is what the message says."""
    schemas: Collection[str] = ()
    """Tools whose call is a structured answer."""
    context: str | None = None
    gated: bool = False
    samples: tuple[str, ...] = ()
    """Further answers to the same, evidence of this one."""

    @property
    def turn(self) -> Turn:
        return turn_of(self.answer, self.schemas)

    def items(self) -> list[Item]:
        """What is scored of it: the answer, or each call of a tool by itself."""
        record = own_record(self.answer)
        if record is not None and is_withheld(self.answer):
            return [confidence_in(record)]
        return [self._item(part) for part in self._parts()]

    def decided(self, scored: Scores, situation: Situation) -> Assessment:
        """What the policy makes of it, given the confidences of its items. Raises
        CtGuardError where it was not scored and the guard's `on_error` is "raise"."""
        confidence = _weakest(scored)
        withheld = is_withheld(self.answer)
        drawn = None if withheld else situation.drawn
        situation = replace(situation, turn=self.turn, drawn=drawn)
        decision = self.guard.decide(confidence, situation)
        if withheld:
            if decision.action not in ("retry", "escalate"):
                reason = "another guard withheld the answer"
                decision = Decision(action="abstain", policy=decision.policy, reason=reason)
            return Assessment(confidence=confidence, decision=decision)
        calls = self.answer.tool_calls if isinstance(self.answer, AIMessage) else []
        if self.turn != "tool_call" or len(calls) != len(scored):
            return Assessment(confidence=confidence, decision=decision)
        gate = tool_gate(self.guard)
        if gate is not None and not self.gated and decision.action == "pass":
            names = [call["name"] for call in calls]
            decision = gate.decide_turn(zip(names, scored, strict=True))
        return Assessment(confidence=confidence, decision=decision, calls=tuple(scored))

    def _parts(self) -> list[BaseMessage]:
        answer = self.answer
        if not isinstance(answer, AIMessage) or self.turn == "answer" or len(answer.tool_calls) < 2:
            return [answer]
        return [
            answer.model_copy(update={"tool_calls": [call], "invalid_tool_calls": []})
            for call in answer.tool_calls
        ]

    def _item(self, part: BaseMessage) -> Item:
        estimator = self.guard.estimator
        try:
            item = question_answer(
                self.messages,
                part,
                model=self._answered_by(),
                schemas=self.schemas,
                context=self.context,
            )
        except UsageError as error:
            return estimator.unscored("unsupported", error)
        if not self.samples or self.turn != "answer":
            return item
        return estimator.with_samples(item, self.samples)

    def _answered_by(self) -> str | None:
        """Whose calibrator counts: of the model that the message names, before the one that was
        asked. One that was asked by its plain name answers by that of a version."""
        said = self.answer.response_metadata
        named = [said.get(key) for key in ("model_name", "model", "model_id")]
        answered = next((_once(name) for name in named if isinstance(name, str) and name), None)
        if answered is None or self.model is None:
            return answered or self.model
        manifest = self.guard.estimator.manifest
        known = {*manifest.calibrators, *manifest.provider}
        is_version = re.fullmatch(re.escape(self.model) + _DATED, answered) is not None
        return self.model if is_version and answered not in known else answered


def _once(name: str) -> str:
    """A model's name without repetitions: LangChain joins those that come with every chunk."""
    return name[: (name + name).find(name, 1)]


def assess(case: Case, situation: Situation) -> Assessment:
    """Score one answer and decide on it. Raises CtGuardError where it cannot be scored and the
    guard's `on_error` is "raise"."""
    return case.decided(score([case])[0], situation)


async def aassess(case: Case, situation: Situation) -> Assessment:
    """`assess` without blocking the event loop."""
    return case.decided((await ascore([case]))[0], situation)


def score(cases: Sequence[Case]) -> list[Scores]:
    """Score answers, all by one guard, in one batch; results in order.

    Raises CtGuardError where scoring fails and the guard's `on_error` is "raise".
    """
    if not cases:
        return []
    items = [case.items() for case in cases]
    return _in_place(items, cases[0].guard.score(_scorable(items)))


async def ascore(cases: Sequence[Case]) -> list[Scores]:
    """`score` without blocking the event loop."""
    if not cases:
        return []
    items = [case.items() for case in cases]
    return _in_place(items, await cases[0].guard.ascore(_scorable(items)))


def score_each(cases: Sequence[Case]) -> list[Scores | Exception]:
    """Score answers, by any guards, in one batch for each guard; results in order.

    Where `on_error` is "raise", a case that cannot be scored gets its own error, and the others
    their scores; what came too late, or to a full queue, is the error of all of them.
    """
    found: dict[int, Scores | Exception] = {}
    for places in _by_guard(cases):
        results: Sequence[Scores | Exception]
        try:
            results = score([cases[place] for place in places])
        except Exception as error:
            results = [error] * len(places)
            if len(places) > 1 and not isinstance(error, _OF_ALL):
                results = [score_each([cases[place]])[0] for place in places]
        found |= zip(places, results, strict=True)
    return [found[place] for place in range(len(cases))]


async def ascore_each(cases: Sequence[Case]) -> list[Scores | Exception]:
    """`score_each` without blocking the event loop."""
    found: dict[int, Scores | Exception] = {}
    for places in _by_guard(cases):
        results: Sequence[Scores | Exception]
        try:
            results = await ascore([cases[place] for place in places])
        except Exception as error:
            results = [error] * len(places)
            if len(places) > 1 and not isinstance(error, _OF_ALL):
                results = [(await ascore_each([cases[place]]))[0] for place in places]
        found |= zip(places, results, strict=True)
    return [found[place] for place in range(len(cases))]


def decided(case: Case, scored: Scores | Exception, situation: Situation) -> Assessment | Exception:
    """What the policy makes of a case of `score_each`, or the error that it ends with."""
    if isinstance(scored, Exception):
        return scored
    try:
        return case.decided(scored, situation)
    except Exception as error:
        return error


def tool_gate(guard: Guard) -> ToolGate | None:
    """The tool gate in the guard's policy, if it has one."""
    found = (part for part in parts(guard.policy) if isinstance(part, ToolGate))
    return next(found, None)


def _by_guard(cases: Sequence[Case]) -> Iterator[list[int]]:
    places: dict[int, list[int]] = {}
    for place, case in enumerate(cases):
        places.setdefault(id(case.guard), []).append(place)
    yield from places.values()


def _scorable(items: Sequence[Sequence[Item]]) -> list[QuestionAnswer]:
    return [item for each in items for item in each if isinstance(item, QuestionAnswer)]


def _in_place(items: Sequence[Sequence[Item]], scored: Scores) -> list[Scores]:
    """The scores, case by case, beside the confidences that were known before."""
    rest = iter(scored)
    return [
        [item if isinstance(item, Confidence) else next(rest) for item in each] for each in items
    ]


def _weakest(scored: Sequence[Confidence]) -> Confidence:
    """The confidence of several parts together: the lowest p, of which as much is sure as of
    all."""
    weakest = min(scored, key=lambda each: -1.0 if each.p is None else each.p)
    if len(scored) == 1:
        return weakest
    unlike = [each.ood for each in scored if each.ood is not None]
    return weakest.model_copy(
        update={
            "calibrated": all(each.calibrated for each in scored),
            "truncated": any(each.truncated for each in scored),
            "sanitized": any(each.sanitized for each in scored),
            "cut_off": any(each.cut_off for each in scored),
            "ood": min(unlike) if len(unlike) == len(scored) else None,
        }
    )
