"""How much work to take on at a time: by the clock, so that a kill never costs much of it."""

__all__ = ["LIMIT_SECONDS", "Pace"]

AIM_SECONDS = 6.0
"""A chunk that took less is followed by a larger one."""
LIMIT_SECONDS = 12.0
"""A chunk that took more is followed by a smaller one."""
GROWTH = 4.0
"""Times that a chunk may be larger than the one before: what follows may be slower."""


class Pace:
    """The size of the next chunk of a run: from `least` rows, towards 6 to 12 seconds of work.

    A chunk stays within two limits, of rows and of characters: a file may begin with short texts
    and go on with long ones.

    Attributes:
        rows: most rows of the next chunk, from `least` to `most`.
        text: most characters of the next chunk; None until one was measured.
    """

    def __init__(self, most: int, *, least: int = 1) -> None:
        self._least, self._most = min(least, most), most
        self.rows = self._least
        self.text: float | None = None

    def took(self, seconds: float, *, rows: int, text: int = 0) -> None:
        """`rows` with `text` characters in all took so long. Only those that a model worked on
        count: the others say nothing of its rate."""
        if rows < 1:
            return
        change = 1.0
        if not AIM_SECONDS <= seconds <= LIMIT_SECONDS:
            change = min(GROWTH, AIM_SECONDS / max(seconds, 1e-9))
        wanted, characters = round(rows * change), text * change
        if change >= 1.0:  # a chunk that ended early says nothing against larger ones
            wanted, characters = max(wanted, self.rows), max(characters, self.text or 0.0)
        self.rows = max(self._least, min(self._most, wanted))
        self.text = characters
