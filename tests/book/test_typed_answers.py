"""The exercises of the built pages: what a page's script and a notebook's judge say is the same."""

import json

import pytest
from bs4 import BeautifulSoup
from chapters import chapters
from test_exercises import on_the_page

from ssf.figures.exercises import NTH, judged, listed


def rules(page):
    """What the forms of a page carry."""
    places = BeautifulSoup(page.read_text(), "html.parser").select(".ask script")
    return [json.loads(place.string) for place in places]


def usual(rule):
    """(answer, the sentence it is to get): the right one, and each mistake that hints name."""
    values = rule["values"]
    yield values["truth"], rule["say"]
    for hint in rule["hints"]:
        mistake = hint.get("is")
        mistake = values.get(mistake, mistake) if isinstance(mistake, str) else mistake
        if hint.keys() != {"is", "say"} or {"_", *NTH} & {*map(str, listed(mistake))}:
            continue
        parts = [
            values.get(part, part) if isinstance(part, str) else part for part in listed(mistake)
        ]
        if rule["set"] or len(parts) == len(listed(values["truth"])):
            yield parts if isinstance(values["truth"], list) else parts[0], hint["say"]


def typed(answer):
    texts = [part if isinstance(part, str) else repr(part) for part in listed(answer)]
    return texts if isinstance(answer, list) else texts[0]


@pytest.mark.parametrize("chapter", chapters(), ids=lambda c: c.stem)
def test_right_answers_and_usual_mistakes_get_their_sentence_on_page_and_in_notebook(html, chapter):
    asked = [(rule, *pair) for rule in rules(html / f"{chapter.stem}.html") for pair in usual(rule)]
    assert asked
    found = on_the_page([(rule, typed(answer)) for rule, answer, _ in asked])
    for (rule, answer, sentence), told in zip(asked, found, strict=True):
        expected = (sentence == rule["say"], sentence)
        assert judged(rule, answer) == (*told,) == expected, (rule["asks"], answer)
