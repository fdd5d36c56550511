"""Field by field: for answers that are records."""

import json

from ct_guard.datasets.questions import Question
from ct_guard.errors import UsageError
from ct_guard.fields import grade_fields, parse_path, read_object

from .base import Grade, GradesAlone

__all__ = ["ByField"]


class ByField(GradesAlone):
    """Right where every field is, see `ct_guard.fields.grade_fields`: `Grade.fields` says which
    are. Of several gold answers the one that the answer has most fields of. Unclear where no gold
    answer is JSON; wrong, without fields, where the answer is none."""

    name = "fields"

    def __init__(self, paths: tuple[str, ...] = (), tolerance: float = 0.0) -> None:
        if not 0.0 <= tolerance < 1.0:
            raise UsageError(f"the tolerance is a share of the gold, in [0, 1), not {tolerance}")
        for path in paths:
            parse_path(path)
        self.paths, self.tolerance = paths, tolerance
        self.settings = {"paths": json.dumps(paths), "tolerance": tolerance}

    def grade_one(self, answer: str, question: Question) -> Grade:
        golds = []
        for gold in question.gold:
            try:
                golds.append(read_object(gold))
            except UsageError as error:
                return Grade(None, f"the gold answer cannot be read: {error}")
        try:
            said = read_object(answer)
            graded = [
                grade_fields(said, gold, self.paths, tolerance=self.tolerance) for gold in golds
            ]
        except UsageError as error:
            return Grade(False, str(error))
        best = max(graded, key=lambda one: sum(one.values()) - sum(not v for v in one.values()))
        wrong = [path for path, right in best.items() if not right]
        if not best:
            return Grade(None, "there are no fields to compare", fields=best)
        reason = f"wrong: {', '.join(wrong)}" if wrong else f"all {len(best)} fields are right"
        return Grade(not wrong, reason, fields=best)
