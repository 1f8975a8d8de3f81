"""Charts that move: what they say at some settings, drawn by Vega, is what the library computes."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

from ssf.model.neuron import LIF

controls = pytest.importorskip(
    "ssf.figures.controls", reason="the extra book is not installed", exc_type=ImportError
)
vl_convert = pytest.importorskip("vl_convert", reason="the extra book is not installed")


def drawn(chart, **values):
    """The chart's SVG with its controls at those values."""
    spec = chart.to_dict()
    for param in spec["params"]:
        param["value"] = values.pop(param["name"], param.get("value"))
    assert not values
    return vl_convert.vegalite_to_svg(spec)


@pytest.mark.parametrize(
    "tau, threshold, current",
    [(2.0, 1, 1.5), (2.0, 1, 0.9), (3.5, 0.4, 0.5), (1.5, 2, 2.8), (8.0, 1, 3)],
)
def test_the_neuron_fires_as_the_librarys(tau, threshold, current):
    given = torch.tensor([0.0] * 2 + [current] * 14 + [0.0] * 4)
    fired = int(LIF(tau, threshold)(given[:, None]).sum())
    assert f">{fired} spikes<" in drawn(
        controls.lif_chart(2.0, 1.0), tau=tau, threshold=threshold, current=current
    )


def test_a_round_shows_the_weights_that_it_left():
    mask = np.array([[0, 1], [2, 3]])
    layers = pd.DataFrame(
        [("fc1", r, 0.5**r) for r in range(4)], columns=["layer", "round", "kept"]
    )
    said = {r: f"{r} rounds later" for r in range(4)}
    chart = controls.rounds_chart(mask, layers, said)
    assert drawn(chart) == drawn(chart, after=1)  # it opens where something is gone
    for after, left in enumerate((4, 3, 2, 1)):
        svg = drawn(chart, after=after)
        assert len(re.findall(r'aria-roledescription="rect mark"', svg)) == left
        assert said[after] in svg and f"{(after + 1) % 4} rounds" not in svg


def test_the_tokens_kept_are_those_of_highest_score():
    table = pd.DataFrame(
        {"image": 0, "token": range(4), "foreground": [0, 0.5, 1, 0], "rate": [4.0, 3, 2, 1]}
    )
    names = {"rate": "firing rate", "foreground": "the truth"}
    chart = controls.tokens_chart(torch.zeros(1, 1, 8, 8), table, names)
    assert "1 of the 2 tokens that" in drawn(chart, keep=0.5, score="firing rate")
    assert "2 of the 2 tokens that" in drawn(chart, keep=0.5, score="the truth")
    assert drawn(chart, keep=0.5).count('aria-roledescription="rect mark"') == 2
    assert 'aria-roledescription="rect mark"' not in drawn(chart, keep=1)
    assert drawn(chart) == drawn(chart, keep=0.5)  # it opens where something is gone


def test_the_cost_is_a_share_of_the_dense_networks():
    table = pd.DataFrame(
        {"kind": ["dense", "both"], "label": ["all", "little"], "change": [0.0, -0.1]}
    )
    table = table.assign(low=table.change, high=table.change, macs=[10.0, 5], sops=[10.0, 1])
    chart = controls.pareto_chart(table, {"macs": "MACs", "sops": "SOPs"})
    assert "50.0%" in drawn(chart, cost="MACs") and "10.0%" in drawn(chart, cost="SOPs")


def test_in_the_book_it_is_a_page_that_loads_nothing_from_elsewhere(monkeypatch):
    chart = controls.lif_chart(2.0, 1.0)
    monkeypatch.delenv("SSF_BOOK", raising=False)
    assert controls.shown(chart, "a", "b").to_dict()["description"] == "b"
    monkeypatch.setenv("SSF_BOOK", "book")
    page = controls.shown(chart, "a", "b").data
    assert re.findall(r'src="([^"]*)"', page) == ["_static/vega.js"] and 'id="a"' in page
