"""Checks of the exercises: right or wrong, and why."""

import math

ROUNDING = 1e-6


def check(answer, truth, because, hints=(), within=ROUNDING):
    """Say whether an answer is right, and why; True if it is.

    Args:
        answer: what the reader gave, None for nothing yet.
        truth: a number, compared to `within`; a bool, a string (case and spaces at its ends do not count), a set or a
            sequence of numbers in order; or a function of the answer that says whether it is right.
        because: the sentence that a right answer gets.
        hints: (function of the answer, sentence) pairs: a wrong one gets the sentence of the first that says True.
    """
    if answer is None:
        print("Not answered yet: replace None in the cell above, run it, and run this one again.")
        return False
    try:
        right = truth(answer) if callable(truth) else same(answer, truth, within)
        told = next(
            (sentence for applies, sentence in hints if not right and applies(answer)), None
        )
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError):
        right, told = False, f"{answer!r} is no answer of the kind that is asked for."
    if not right and told is None:
        told = size_of(answer, truth) or "look again at what is asked."
    print(f"Right: {because}" if right else f"Not yet: {told}")
    return bool(right)


def same(answer, truth, within):
    if isinstance(truth, str):
        return answer.strip().lower() == truth.lower()
    if isinstance(truth, bool):
        return answer is truth
    if isinstance(truth, (set, frozenset)):
        return set(answer) == truth
    if isinstance(truth, (list, tuple)):
        return len(answer) == len(truth) and all(
            same(a, t, within) for a, t in zip(answer, truth, strict=True)
        )
    return math.isclose(answer, truth, rel_tol=0, abs_tol=within)


def size_of(answer, truth):
    """What a wrong number is, beside the right one; None for other kinds."""
    numbers = isinstance(answer, (int, float)) and isinstance(truth, (int, float))
    if not numbers or isinstance(truth, bool) or isinstance(answer, bool):
        return None
    return "too large." if answer > truth else "too small."
