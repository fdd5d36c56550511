"""The guard: assess answers, one or many, from threads and event loops."""

from .guard import Guard
from .reply import Reply
from .worker import Worker

__all__ = ["Guard", "Reply", "Worker"]
