"""What the product does, as functions: the verbs that `ct-guard` has commands for.

    from ct_guard import ScoreConfig, score

    done = score("answers.jsonl", "scored.jsonl", ScoreConfig(policy=0.7, overwrite=True))
    print(done.summary.rows, *done.remarks)

Each is one function of its files and one frozen configuration, and returns a result with figures
and remarks. The commands of the same names parse, call, and print.

Names stand in `__init__.pyi`; verbs load their libraries when they are asked for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
