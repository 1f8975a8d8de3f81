"""Checks of the exercises: right or wrong, and why."""

import math


def check(answer, truth, because, hints=(), within=1e-6):
    """Say whether an answer is right, and why; True if it is.

    Args:
        answer: what the reader gave, None for nothing yet.
        truth: a number, compared to `within`; a bool, a string (case and outer spaces do not
            count), a set or a sequence of numbers in order; or a function of the answer.
        because: the sentence that a right answer gets.
        hints: (function of the answer, sentence) pairs; a wrong one gets the first that applies.
    """
    if answer is None:
        print("Not answered yet: replace None in the cell above, run it, and run this one again.")
        return False
    try:
        right = bool(truth(answer) if callable(truth) else same(answer, truth, within))
        fitting = [sentence for applies, sentence in hints if not right and applies(answer)]
        sentence = (fitting or [too_much(answer, truth)])[0]
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError):
        right, sentence = False, f"{answer!r} is no answer of the kind that is asked for."
    print(f"Right: {because}" if right else f"Not yet: {sentence}")
    return right


def same(answer, truth, within):
    if isinstance(truth, str):
        return answer.strip().lower() == truth.lower()
    if isinstance(truth, bool):
        return answer is truth
    if isinstance(truth, set):
        return set(answer) == truth
    if isinstance(truth, (list, tuple)):
        alike = (same(a, t, within) for a, t in zip(answer, truth, strict=False))
        return len(answer) == len(truth) and all(alike)
    return math.isclose(answer, truth, rel_tol=0, abs_tol=within)


def too_much(answer, truth):
    """Whether a wrong number is larger or smaller than the right one; nothing of other kinds."""
    if any(isinstance(x, bool) or not isinstance(x, (int, float)) for x in (answer, truth)):
        return "look again at what is asked."
    return "too large." if answer > truth else "too small."
