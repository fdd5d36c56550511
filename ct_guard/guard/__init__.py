"""The guard: assess answers, one or many, from threads and event loops; retry and escalate."""

from .cache import ScoreCache
from .guard import Guard
from .ladder import Ladder, Outcome
from .observing import Judged, Observer
from .queue import Terms
from .reply import Reply
from .worker import Worker

__all__ = [
    "Guard",
    "Judged",
    "Ladder",
    "Observer",
    "Outcome",
    "Reply",
    "ScoreCache",
    "Terms",
    "Worker",
]
