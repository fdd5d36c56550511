"""The start-up check: a backend with wrong arithmetic is refused before it scores a row.

A few rows are scored as any others are, and read plainly: alone and whole. The two differ by the
noise of the number format, or by a fault. What a fault would do is known, because the rows are also
read plainly with each fault on purpose; and what noise does is known, because they are also read
beside tokens that cannot matter. Many tokens' logits are compared, not the labels' alone:
a fault that hides in the noise of two numbers stands out of that of a hundred.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ct_guard.errors import BackendError, SelfTestError
from ct_guard.query import Query

from .base import NO_TOKENS, Adapter, Backend, Item, PlainRow
from .foreign import digesting
from .text_check import check_text, tells_apart

__all__ = ["MannerWarning", "self_test"]

FloatArray = NDArray[np.float64]

SHARED = ("Question: What is 2 plus 2?\nAnswer:", (" 4", " It is 4, of course.", " Five."))
"""A context and its answers, of several lengths: they go on from one cache."""
APART = (
    ("Name the river that flows through Cairo, please.\n", " The Nile"),
    ("Who?\n", " It was she, they said."),
    ("Question: Is water wet?\nAnswer:", " Yes"),
)
PROBES = 32
"""Tokens whose logits are compared, the labels among them."""
BESIDE = (1, 7, 17, 2, 31, 3)
"""Numbers of tokens beside a row that change how its reading is rounded."""
PADDING = (1, 2, 4, 8)
"""Counts of padding in front of a row that are told apart from none: what more does is alike."""
CLEAR = 3.0
"""Standard errors between half a fault's effect and all of it, or none, where it is named. A fault
that does less moves no logit by more than the noise that is reported."""
MOST_UNEXPLAINED = 0.5
"""Share of the squares of what is off that a fault may leave to noise, to be named."""
SPREAD = 2.0
"""How many times the noise of plain readings, in the row where it is largest, a sound backend may
be off on average: batches take other kernels than single rows, with up to twice their rounding."""


class MannerWarning(UserWarning):
    """A base model is read row by row, because its batches are not right."""


@dataclass(frozen=True)
class _Fault:
    """What differs, in logits, if something is wrong; NaN in rows where that is not known."""

    name: str
    effect: FloatArray
    mendable: bool = False
    """Whether reading the rows one by one avoids it."""

    @property
    def size(self) -> float:
        """Root mean square of its effect."""
        return _rms(self.effect[np.isfinite(self.effect).all(axis=1)])


@dataclass(frozen=True)
class _Problem:
    text: str
    mendable: bool


def self_test(backend: Backend, query: Query, adapter: Adapter | None) -> float:
    """Returns the noise of the backend's number format, and keeps it as `Backend.noise`.

    The fastest of `Backend.manners` that is right is taken, with a MannerWarning where it is not
    the first. Raises SelfTestError, naming the fault, where none is: text that does not survive the
    tokenizer, an adapter that is ignored or acts elsewhere, wrong positions, padding that counts,
    exchanged labels, caches of other rows or adapters, a model that reads nothing.
    """
    check_text(backend.encoder, SHARED[0])
    rehearsal = _Rehearsal(backend, query, adapter)
    first = ""
    for manner in backend.manners:
        backend.manner = manner
        try:
            with digesting(BackendError, "the base model fails as it reads ({})"):
                off, problem = rehearsal.judge()
        except BackendError as error:
            off, problem = np.zeros((1, 2)), _Problem(str(error), mendable=True)
        if problem is None:
            backend.noise = _quantile_of_differences(off)
            if first:
                warnings.warn(
                    f"this base model is read row by row, which is right and slower: {first}",
                    MannerWarning,
                    stacklevel=3,
                )
            return backend.noise
        first = first or problem.text
        if not problem.mendable:
            break
    raise SelfTestError(first)


class _Rehearsal:
    """The rows of the check, and what plain readings say of them."""

    def __init__(self, backend: Backend, query: Query, adapter: Adapter | None) -> None:
        self.backend, self.query, self.adapter = backend, query, adapter
        self.shared = [self._item(SHARED[0], answer) for answer in SHARED[1]]
        self.apart = [self._item(context, answer) for context, answer in APART]
        self.items = [*self.shared, *self.apart]
        self.prefixes = [(*_context(item), *item.answer) for item in self.items]
        spread = np.linspace(0, backend.vocabulary_size - 1, PROBES - 2).astype(int).tolist()
        others = [token for token in spread if token not in query.label_ids]
        self.tokens = (*query.label_ids, *others)
        self._acts_all = adapter is not None and adapter.activation == "all"
        self._known: dict[PlainRow, FloatArray] = {}
        """Plain readings: each costs a forward, and several questions ask for the same."""

    def judge(self) -> tuple[FloatArray, _Problem | None]:
        """Score the rows in the backend's present manner: how far its logits are off, [rows,
        PROBES], and what is wrong with that."""
        wide = Query(self.query.ids, self.tokens)
        parts = (self.shared, self.apart)
        scored = np.concatenate([self._score(part, wide, self.adapter) for part in parts])
        labels = self._score(self.items, self.query, self.adapter)
        after = self._score(self.items, wide, None) if self.adapter is not None else None
        right = self._plain(self.prefixes, self._own)
        if not tells_apart(right):
            said = "its logits are the same whatever it reads: its weights are damaged"
            return right, _Problem(f"{said}, fetch the base model again", mendable=False)
        truth = _figures(right, right)
        off = _figures(scored, labels) - truth
        faults = list(self._faults(right, off))
        problem = self._judged(off, faults, right)
        if problem is None and after is not None:
            problem = self._after_verdict(after, right)
        return off[:, :PROBES], problem

    def _faults(self, right: FloatArray, off: FloatArray) -> Iterator[_Fault]:
        truth = _figures(right, right)
        few = [_shortest(self.prefixes, range(3)), _shortest(self.prefixes, range(3, 6))]
        rows = [self.prefixes[at] for at in few]

        def fault(name: str, wrong: FloatArray, *, mendable: bool = False) -> _Fault:
            effect = np.full_like(truth, np.nan)
            effect[few] = _figures(wrong, wrong) - truth[few]
            return _Fault(name, effect, mendable)

        exchanged = right[:, ::-1]
        yield _Fault("the labels are exchanged", _figures(exchanged, -right) - truth)
        nearest = np.abs((truth + off)[:, None] - truth[None]).sum(-1).argmin(axis=1)
        yield _Fault("a row reads the cache of another row", truth[nearest] - truth)
        if self.backend.capabilities.positions:
            wrong = self._plain(rows, self._own, jump=True)
            yield fault("positions are off by one where the query begins", wrong)
        wrong = self._plain([row[:-1] for row in rows], self._own)
        yield fault("the query is read behind one token too few", wrong)
        longest = [max(map(len, self.prefixes[:3])), max(map(len, self.prefixes[3:]))]
        of_batch = [size - len(row) for size, row in zip(longest, rows, strict=True)]
        for counts in (of_batch, *([count, count] for count in PADDING)):
            padded = [(0,) * count + row for count, row in zip(counts, rows, strict=True)]
            yield fault("padding is attended to", self._plain(padded, self._own), mendable=True)
        wrong = self._plain([(*rows[1], *rows[0]), (*rows[0], *rows[1])], self._own)
        yield fault("tokens of other rows are attended to", wrong)
        if self.adapter is not None:
            name, other = self.adapter.name, "query" if self._acts_all else "all"
            base = self._plain(self.prefixes, _nowhere)
            yield _Fault(
                f"the adapter {name!r} changes nothing: it is being ignored",
                _figures(base, base) - truth,
            )
            if self.backend.capabilities.served:
                return  # where it acts has been tried before
            wrong = self._plain(rows, _everywhere if other == "all" else _on_query)
            yield fault(
                f"the adapter {name!r} acts on {_WHERE[other]}, not on"
                f" {_WHERE[self.adapter.activation]}",
                wrong,
            )

    def _after_verdict(self, after: FloatArray, right: FloatArray) -> _Problem | None:
        """What the base alone says once the adapter has been on."""
        name = self.adapter.name if self.adapter is not None else ""
        base = _centred(self._plain(self.prefixes, _nowhere))
        faults = [_Fault(f"the adapter {name!r} stays on behind its use", _centred(right) - base)]
        if not self.backend.capabilities.served:
            left = _centred(self._plain(self.prefixes, _on_prefix))
            faults.append(
                _Fault(f"the base goes on from a cache of the adapter {name!r}", left - base)
            )
        return self._judged(_centred(after) - base, faults, right)

    def _judged(
        self, off: FloatArray, faults: Sequence[_Fault], right: FloatArray
    ) -> _Problem | None:
        """The verdict under the noise that a few readings show; where it would refuse, under that
        of many, beside which a fault that differs no more than they do has no effect: both are
        differences of plain readings."""
        problem = _verdict(off, faults, self._rounding(right, BESIDE[:1]))
        if problem is None:
            return None
        rounding = self._rounding(right, BESIDE)
        seen = [fault for fault in faults if fault.size > rounding or fault.size == 0]
        return _verdict(off, seen, rounding)

    def _rounding(self, right: FloatArray, counts: Sequence[int]) -> float:
        """How much plain readings differ among each other, in the row where they do most: root mean
        square, in logits. Quantised products differ seldom, and then by much."""
        own = _unit(self.backend.format) * _rms(_centred(right))  # of the last state alone
        found = [
            _centred(self._plain(self.prefixes, self._own, beside=count)) - _centred(right)
            for count in counts
        ]
        return float(max(own, np.sqrt(np.square(np.stack(found)).mean(-1)).max()))

    # --- asking the backend ---------------------------------------------------------------------

    def _item(self, context: str, answer: str) -> Item:
        encode = self.backend.encoder.encode
        return Item((*self.backend.encoder.start_ids, *encode(context)), tuple(encode(answer)))

    def _score(self, items: Sequence[Item], query: Query, adapter: Adapter | None) -> FloatArray:
        found = self.backend.score(items, query, adapter, frozenset({"labels"})).label_logits
        if found is None:
            raise SelfTestError("the backend returned no label logits")
        return found.astype(np.float64)

    def _own(self, prefix: int, end: int) -> range:
        """Where the adapter acts by right."""
        if self.adapter is None:
            return NO_TOKENS
        return _everywhere(prefix, end) if self._acts_all else _on_query(prefix, end)

    def _plain(
        self,
        prefixes: Sequence[tuple[int, ...]],
        acts: Callable[[int, int], range],
        *,
        beside: int = 0,
        jump: bool = False,
    ) -> FloatArray:
        """Logits [rows, PROBES] behind the query."""
        found = []
        for prefix in prefixes:
            ids = (*prefix, *self.query.ids)
            row = PlainRow(
                ids,
                self.adapter,
                acts(len(prefix), len(ids)),
                beside=ids[:beside],
                jump=len(prefix) if jump else None,
            )
            if row not in self._known:
                self._known[row] = self.backend.read_plainly(row, self.tokens).astype(np.float64)
            found.append(self._known[row])
        return np.stack(found)


_WHERE = {"query": "the query alone", "all": "all tokens"}


def _everywhere(prefix: int, end: int) -> range:
    return range(end)


def _on_query(prefix: int, end: int) -> range:
    return range(prefix, end)


def _on_prefix(prefix: int, end: int) -> range:
    return range(prefix)


def _nowhere(prefix: int, end: int) -> range:
    return NO_TOKENS


def _verdict(off: FloatArray, faults: Sequence[_Fault], rounding: float) -> _Problem | None:
    """The fault that explains what is off, if one explains most of it; else whether it is more than
    noise.

    `off` and the effects are [rows, n]. Between a fault and none, the nearer one is taken, which is
    the likelier under noise that is alike in all logits.
    """
    if not np.isfinite(off).all():
        return _Problem("its scores are no numbers: try `dtype` float32", mendable=False)
    likest: _Fault | None = None
    unexplained, least, named = 1.0, np.inf, False
    for fault in faults:
        known = np.isfinite(fault.effect).all(axis=1)
        effect, seen = fault.effect[known], off[known]
        size = float((effect**2).sum())
        if size == 0:
            if "ignored" in fault.name:
                return _Problem(fault.name, fault.mendable)
            continue
        least = min(least, _rms(effect))
        there = float((seen**2).sum())
        left = float(((seen - effect) ** 2).sum()) / there if there else np.inf
        is_clear = np.sqrt(size) > 2 * CLEAR * _rms(seen - effect)
        if left < unexplained:
            likest, unexplained, named = fault, left, is_clear and left < MOST_UNEXPLAINED
    if likest is not None and named:
        return _Problem(likest.name, likest.mendable)
    # Of what is not among the faults: halfway, on a scale of sizes, from noise to the least fault.
    allowed = max(SPREAD * rounding, np.sqrt(rounding * least) if np.isfinite(least) else 0.0)
    if _rms(off) <= allowed:
        return None
    like = f"; most like it: {likest.name}" if likest is not None else ""
    return _Problem(
        f"its scores differ from those of plain single rows by {_rms(off):.2g} logits on average,"
        f" and its rounding explains {allowed:.2g}{like}",
        mendable=True,
    )


def _figures(logits: FloatArray, labels: FloatArray) -> FloatArray:
    """What is compared, [rows, PROBES + 1]: logits of which only the differences mean anything, and
    z = z_yes - z_no of the pair that is served."""
    return np.concatenate([_centred(logits), labels[:, 1:2] - labels[:, :1]], axis=1)


def _unit(form: str) -> float:
    """How far apart the numbers of a format are, relative to their size. Quantised weights meet
    activations that are rounded to 8 bits on the way; a server may not say what it computes in."""
    if form.startswith(("bfloat16", "Q", "IQ", "unknown")) or "int8" in form:
        return 2.0**-8
    return 2.0**-11 if form.startswith(("float16", "F16")) else 2.0**-23


def _context(item: Item) -> tuple[int, ...]:
    return item.context if isinstance(item.context, tuple) else item.context.ids


def _shortest(rows: Sequence[tuple[int, ...]], among: range) -> int:
    return min(among, key=lambda at: len(rows[at]))


def _centred(logits: FloatArray) -> FloatArray:
    """Only differences of logits mean anything."""
    return np.asarray(logits - logits.mean(axis=1, keepdims=True))


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _quantile_of_differences(off: FloatArray) -> float:
    """95% of the differences between two of a row's logits are off by less."""
    first, second = np.triu_indices(off.shape[1], 1)
    return float(np.quantile(np.abs(off[:, first] - off[:, second]), 0.95))
