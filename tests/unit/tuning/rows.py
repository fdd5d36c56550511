"""Graded answers for the trainer's tests."""

from ct_guard.records import GradedAnswer, QuestionAnswer


def graded(count: int, offset: int = 0) -> list[GradedAnswer]:
    """Answers that shout are right: anything that reads the answer can learn it."""
    return [
        GradedAnswer(
            qa=QuestionAnswer(
                question=f"Number {n // 2 + offset}?", answer="YES!" if n % 2 else "no"
            ),
            correct=bool(n % 2),
        )
        for n in range(count)
    ]
