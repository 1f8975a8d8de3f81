"""What the networks of four blocks cost, where they spike, and where a ticket keeps its weights."""

import json

import energy
import pandas as pd
import pytest

from ssf.model import cost
from ssf.study import experiments

KINDS = dict.fromkeys((kind for kind, _ in experiments.four_blocks(0)), 0.7)


def test_what_the_selector_takes_itself_is_told(study_of):
    energies = {"all_tokens": 20.0, "selector": 19.0, "random_selector": 16.5}
    macs = {"selector": 80.0, "random_selector": 80.0}
    study_of(
        "four_blocks",
        KINDS,
        macs=lambda kind: macs.get(kind, 100.0),
        energy_left=lambda kind: energies.get(kind, 1.0),
    )
    told = energy.saved()
    assert "saves 20.0 % of the MACs and 5.0 % of the energy" in told
    assert "saves 17.5 % of the energy" in told and "takes 2.50 µJ more" in told
    first = 64 * (96 * 48 + 48 * 2)  # tokens · weights of the first selector
    assert f"take {4.6e-6 * first * (1 + 44 / 64 + 30 / 64):.2f} µJ" in told


def test_where_the_selectors_network_fires_more(monkeypatch):
    rates = {"dense": (0.1, 0.2), "all_tokens": (0.1, 0.3), "selector": (0.25, 0.2)}
    layers = ("stem.stages.0.lif", "blocks.0.attention.attention_lif")
    rows = [
        (kind, layer, rate)
        for kind, pair in rates.items()
        for layer, rate in zip(layers, pair, strict=True)
    ]
    frame = pd.DataFrame(rows, columns=["kind", "layer", "rate"])
    monkeypatch.setattr(energy.inside, "look", lambda _: frame)
    told = energy.fires()
    assert "`blocks.0.attention.attention` fires most (30.0 %)" in told
    assert "1 of 2 layers" in told and "most in `stem.stages.0`: 25.0 % instead of 10.0 %" in told
    (ax,) = energy.draw_rates().axes
    drawn = {line.get_label(): list(line.get_xdata()) for line in ax.lines}
    assert drawn["selector"] == pytest.approx([25, 20]) and len(drawn) == len(rates)


def test_energies_are_of_the_seeds_that_have_all_networks(study_of):
    energies = {"dense": 30.0, "ticket": 6.0}
    numbers = {name: lambda _: 1e6 for name in ("macs", "macs_left", "parameters_left")}
    path = study_of("four_blocks", KINDS, energy_left=lambda kind: energies.get(kind, 15.0),
                    firing_rate=lambda _: 0.1, **numbers)  # fmt: skip
    rows = pd.read_csv(path)
    rows.loc[(rows.seed == 3) & (rows.kind == "dense"), "energy_left"] = 1000.0
    rows.loc[(rows.seed == 3) & (rows.kind == "selector"), "energy_left"] = 2000.0
    own = ("dense", "selector", "all_tokens", "random_selector")
    rows[(rows.seed < 3) | rows.kind.isin(own)].to_csv(path, index=False)
    lines = {line["network"]: line for line in energy.costs()}
    assert lines["dense"]["energy (µJ)"] == "30.00" and len(lines) == 10
    assert lines["ticket"]["of the dense network's (%)"] == "20"
    assert energy.least() == "*Ticket* needs least, 6.00 µJ an image."
    assert "and 0.0 % of the energy" in energy.saved()  # not what seed 3's selector takes


def test_a_selector_can_cost_a_ticket_more_than_it_saves(study_of):
    assert "not measured" in energy.saved_of_a_ticket() and "not measured" in energy.least()
    study_of("four_blocks", KINDS, energy_left=lambda kind: 8.0 if kind == "both" else 6.0)
    assert "costs more than it saves" in energy.saved_of_a_ticket()
    study_of("four_blocks", KINDS, energy_left=lambda kind: 5.0 if kind == "both" else 6.0)
    assert "saves more than it costs: *ticket, trained on* takes 6.00" in energy.saved_of_a_ticket()


def test_what_cannot_be_pruned_is_told(study_of):
    model = dict(experiments.four_blocks(0))["ticket"].model
    whole = cost.macs(model)
    products = sum(row.macs for row in cost.layers(model) if row.role == "attention")
    kept = {row.weight: 0.2 for row in cost.layers(model) if row.weight}
    study_of("four_blocks", KINDS, densities=lambda _: json.dumps(kept | {"head.weight": 0.4}),
             macs=lambda _: whole, macs_left=lambda _: 0.2 * (whole - products) + products,
             sparsity=lambda _: 0.9)  # fmt: skip
    told = energy.thinned()
    assert "most of `head` (40.0 %)" in told and "10.0 % of the weights" in told
    assert told.endswith("Without them, 20.0 % of the MACs are left.")
