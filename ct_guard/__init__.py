"""ct-guard: how likely an LLM's answer is to be correct, and what to do about it.

Public names stand in `__init__.pyi`. They are imported on first use: importing ct_guard loads no
library that computes.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
