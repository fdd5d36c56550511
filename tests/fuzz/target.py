"""What a target of fuzzing is."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .mutations import damaged_json

__all__ = ["Target"]


@dataclass(frozen=True)
class Target:
    """A reader: `seeds` are whole inputs, `use` reads a damaged one in a folder of its own."""

    seeds: Callable[[], list[bytes]]
    use: Callable[[Path, bytes], None]
    damage: Callable[[bytes, random.Random], bytes] = damaged_json
