"""The exercises' judge: by the rules of exercises.toml, as exercise.js judges on a built page."""

import json
import os
import tomllib
from pathlib import Path

RULES = Path(__file__).with_suffix(".toml")
NTH = ("first", "second", "third", "fourth")
FORM = """<div class="ask"><script type="application/json">{}</script></div>
<script src="_static/exercise.js"></script>"""


def ask(name, truth, **values):
    """A function that says whether an answer to an exercise is right, and why; True if it is.

    In a build of the book (SSF_BOOK is set), no answer, None, shows the page's form instead.

    Args:
        name: the exercise's table in exercises.toml, whose head says what can be in it.
        truth: a number or a text, a sequence of these in order, or a set of numbers.
        values: what the exercise's hints and sentences call by these names.
    """
    rule = {"within": 0, "hints": [], "set": isinstance(truth, set)}
    rule |= tomllib.loads(RULES.read_text("utf-8"))[name] | {"values": values | {"truth": truth}}
    for told in (rule, *rule["hints"]):
        told["say"] = told["say"].format(**rule["values"])

    def judge(answer):
        if answer is None and "SSF_BOOK" in os.environ and rule.get("typed", True):
            from IPython.display import HTML, display

            text = json.dumps(rule, default=lambda x: sorted(x) if isinstance(x, set) else float(x))
            display(HTML(FORM.format(text.replace("</", "<\\/"))))
        elif answer is None:
            print("Not answered yet: replace None, run that cell, and run this one again.")
        else:
            right, sentence = judged(rule, answer)
            print(f"Right: {sentence}" if right else f"Not yet: {sentence}")
            return right
        return False

    return judge


def judged(rule, answer):
    """Whether an answer is right, and the sentence that it gets."""
    got, truth = listed(answer), listed(rule["values"]["truth"])
    try:
        if not rule["set"] and len(got) != len(truth):
            raise ValueError("more or fewer parts than are asked for")
        for told in ({"is": "truth", "say": rule["say"]}, *rule["hints"]):
            if all(holds(rule, got, verb, told[verb]) for verb in told if verb != "say"):
                return "truth" == told.get("is"), told["say"]
        if rule["set"]:
            return False, "one is missing." if set(got) < set(truth) else "one does not belong."
        wrong = next(i for i in range(len(truth)) if holds(rule, got, "wrong", i + 1))
        if isinstance(truth[wrong], str):
            return False, "look again at what is asked."
        part = f"the {NTH[wrong]} is " if len(truth) > 1 else ""
        return False, part + ("too large." if got[wrong] > truth[wrong] else "too small.")
    except (TypeError, ValueError, AttributeError):
        asked = rule["asks"] if isinstance(rule["asks"], str) else "; ".join(rule["asks"])
        return False, f"asked for is {asked}."


def holds(rule, got, verb, wanted):
    """Whether a hint's condition is true of an answer's parts; exercises.toml has the verbs."""
    named = rule["values"] | dict(zip(NTH, got, strict=False))
    if verb == "wrong":
        truth = ["_"] * (wanted - 1) + [listed(named["truth"])[wanted - 1]]
        return not holds(rule, got, "is", truth)
    wanted, *_ = [wanted] if isinstance(wanted, list) else [named.get(wanted, wanted)]
    wanted = [named.get(x, x) if isinstance(x, str) else x for x in listed(wanted)]
    if rule["set"]:
        a, b = set(got), set(wanted)
        return bool({"is": a == b, "has": a & b, "extra": a - b, "missing": b - a}[verb])
    within = rule["within"] if isinstance(rule["within"], list) else [rule["within"]] * len(got)
    true = {"above": lambda a, b, _: a > b, "below": lambda a, b, _: a < b, "is": alike}[verb]
    pairs = zip(got, wanted, within, strict=False)
    return all(true(a, b, near) for a, b, near in pairs if b != "_")


def alike(a, b, within):
    return a.strip().lower() == b.lower() if isinstance(b, str) else abs(a - b) <= within + 1e-9


def listed(x):
    return list(x) if hasattr(x, "__iter__") and not isinstance(x, str) else [x]
