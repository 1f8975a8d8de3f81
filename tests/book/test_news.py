"""The landing page's news: computed from rows, and other where the rows are others."""

import re

import news
import pytest
from bs4 import BeautifulSoup

from ssf.study import experiments, findings
from ssf.study.statistics import Estimate, points


@pytest.fixture
def rows_of(study_of):
    """Made rows of all that the news ask for: {kind: accuracy}, and recalls of the selectors."""

    def make(changes, recall=None):
        for name in ("tickets", "codesign", "selectors", "controls", *findings.ELSEWHERE):
            kinds = dict.fromkeys((kind for kind, _ in experiments.EXPERIMENTS[name](0)), 0.8)
            own = {k: v for k, v in changes.get(name, {}).items() if k in kinds}
            saved = {"macs": lambda kind: 75 if kind in ("selector", "both") else 100}
            if name == "selectors":
                saved["recall"] = lambda kind: (recall or {}).get(kind, 0.9)
            study_of(name, kinds | own, **saved)
        return {name: " ".join(part) for name, part in news.told(news.of_the_news()).items()}

    return make


def test_the_news_follow_the_rows(rows_of):
    told = rows_of({})
    assert "beats one drawn at random" not in told["ticket"]
    assert "does as well, so this speaks for dropping" in told["tokens"]
    assert told["fires"].startswith("Among clutter, the tokens that fire most hold the foreground")
    assert told["budgets"].startswith("An unequal budget changes the verdict little")
    assert told["stem"].startswith("A network without blocks does as well")
    assert list(told) == ["ticket", "tokens", "stem", "fires", "budgets"]
    assert "costs less than a point, and a random choice of tokens does as well" in news.message()
    assert "a mild test" in news.message()


def test_other_rows_make_other_news(rows_of):
    told = rows_of(
        {
            "tickets": {"ticket": 0.75, "random": 0.7},
            "codesign": {"random_selector": 0.75, "all_tokens": 0.85},
            "cifar10": {"all_tokens": 0.85},
            "controls": {"stem": 0.7},
        },
        recall={"firing_rate": 0.6, "random": 0.5},
    )
    assert "loses about" in told["ticket"] and "beats one drawn at random" in told["ticket"]
    assert "does worse. " in told["tokens"] and "costs about" in told["tokens"]
    assert told["fires"].startswith("The learned selector and the firing rate choose differently")
    assert told["budgets"].startswith("In our networks, an unequal budget hides")
    assert told["stem"].startswith("A network without blocks may do worse")
    assert "costs about five points" in news.message() and "random" not in news.message()
    assert "a mild test" not in news.message()


def test_a_figure_has_every_mean_its_intervals_and_a_scale():
    estimates = {"a": (Estimate((-0.02, -0.01)), "red"), "b": (Estimate((0.01,)), "blue")}
    page = BeautifulSoup(news.strip(estimates, -3, 2, "said", "points", band=1), "html.parser")
    values = [text.text for text in page.find_all("text", class_="value")]
    assert values == [points(-0.015), points(0.01)] and page.svg["aria-label"] == "said"
    assert [tick.text for tick in page.find_all("text", class_="tick")] == [
        "−3", "−2", "−1", "0", "+1", "+2", "points",
    ]  # fmt: skip
    dots = [float(dot["cx"]) for dot in page.find_all("circle")]
    assert news.EDGE < dots[0] < dots[1] < news.WIDTH - news.EDGE
    thin, thick = (page.find_all("path", attrs={"stroke-width": width}) for width in "25")
    assert len(thin) == len(thick) == 1  # one seed: no interval
    (a, b), (c, d) = (map(float, re.findall(r"[MH]([-\d.]+)", p[0]["d"])) for p in (thin, thick))
    assert a < c < d < b  # 95 % and 90 %


def test_all_news_have_a_figure_on_one_scale():
    page = "\n".join(news.news())
    svgs = [str(svg) for svg in BeautifulSoup(page, "html.parser").find_all("svg")]
    assert len(svgs) == page.count('<div class="news">') == 5
    scales = {tuple(re.findall(r'class="tick"[^>]*>([−+]?\d+)<', svg)) for svg in svgs}
    assert len(scales) == 2 and ("0", "20", "40", "60", "80", "100") in scales
