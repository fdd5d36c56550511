"""The caches of the latest conversations: a prompt that goes on from one reads its end only."""

from collections.abc import Sequence

from ct_guard.forks import ForkLock

from .base import KV, Backend, GenerationSettings, Stream
from .decoding import common_prefix

__all__ = ["Conversations"]


class Conversations:
    """Keeps at most `size` KVs of `backend`, released oldest first; 0 keeps none. Safe to share
    between threads.

    Where the backend bounds its live tokens, caches make way for the answer being made and for its
    scoring: `reserve` tokens behind it, or, where its text has to be cleaned first, all of it once
    more.
    """

    def __init__(self, backend: Backend, size: int, *, reserve: int = 0) -> None:
        self._backend, self._size, self._reserve = backend, size, reserve
        self._kept: list[KV] = []
        self._lock = ForkLock()

    def __len__(self) -> int:
        return len(self._kept)

    def stream(
        self,
        prompt: Sequence[int],
        settings: GenerationSettings,
    ) -> Stream:
        """`Backend.stream`, going on from the cache that begins most like the prompt. The caller
        gives the new cache to `keep` when done with it."""
        with self._lock:
            common, past = self._closest(prompt)
            new = 2 * (len(prompt) + settings.max_tokens + self._reserve) - common
            self._make_room(new, past)
            stream = self._backend.stream(prompt, settings, past=past)
            if past is not None and not self._fits(new):
                self._drop(past)  # its beginning lives on in the stream
            return stream

    def keep(self, kv: KV) -> None:
        """Take over a KV; its conversation is the most recent one. Caches that it continues are
        released, and so is `kv` where it is the beginning of one."""
        with self._lock:
            longer = [old for old in self._kept if old.ids[: len(kv.ids)] == kv.ids]
            if longer:
                self._kept.remove(longer[-1])
                self._kept.append(longer[-1])
                self._backend.release(kv)
                return
            self._kept.append(kv)
            for old in self._kept[:-1]:
                if kv.ids[: len(old.ids)] == old.ids:
                    self._drop(old)
            while len(self._kept) > self._size:
                self._drop(self._kept[0])

    def clear(self) -> None:
        """Release all."""
        with self._lock:
            while self._kept:
                self._drop(self._kept[0])

    def _closest(self, prompt: Sequence[int]) -> tuple[int, KV | None]:
        """The most tokens that a cache and the prompt begin with alike, and the latest such cache;
        0 and None without any."""
        common, past = 0, None
        for kv in reversed(self._kept):
            if (alike := common_prefix(kv.ids, prompt)) > common:
                common, past = alike, kv
        return common, past

    def _make_room(self, new: int, spared: KV | None) -> None:
        for old in list(self._kept):
            if self._fits(new):
                return
            if old is not spared:
                self._drop(old)

    def _fits(self, new: int) -> bool:
        most = self._backend.capabilities.live_tokens
        return most is None or sum(len(kv.ids) for kv in self._kept) + new <= most

    def _drop(self, kv: KV) -> None:
        self._kept = [other for other in self._kept if other is not kv]
        self._backend.release(kv)
