import subprocess
import sys
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from ssf import folders
from ssf.config import Selector
from ssf.engine import observe
from ssf.kernels import build
from ssf.model import cost
from ssf.model.spikformer import Spikformer
from ssf.presets import preset
from ssf.speed import bench, race
from ssf.speed.race import Race

needs_compiler = pytest.mark.skipif(
    build.library("lif", TIME=4) is None, reason="no C compiler here"
)


@pytest.fixture
def small(monkeypatch):
    for module in (bench, race):
        monkeypatch.setattr(module, "NETWORKS", {"1-32": (1, 32, 2), "2-64": (1, 32, 2)})
    return Race(True, torch.device("cpu"))


def table(small):
    return pd.DataFrame(small.rows, columns=bench.COLUMNS)


@needs_compiler
def test_speed_times_everyone_on_the_same_network(small):
    bench.time_networks(small)
    rows = table(small)
    assert (
        (rows.low <= rows.seconds).all()
        and (rows.seconds <= rows.high).all()
        and (rows.low > 0).all()
    )
    ratios = bench.ratios(rows).set_index(["measure", "network", "implementation"])
    assert (ratios.xs("published", level=2).ratio == 1).all() and len(ratios) == 2 * (6 + 7)
    for row in rows.itertuples():
        key = row.measure, row.network, row.implementation
        assert ratios.ratio[key] == pytest.approx(
            ratios.images_per_second[key] / ratios.images_per_second[(*key[:2], "published")]
        )
        peer = "published, bfloat16" if row.implementation.endswith("bfloat16") else "published"
        assert ratios.like[key] == pytest.approx(ratios.ratio[key] / ratios.ratio[(*key[:2], peer)])
    assert ratios.least.le(ratios.like).all() and ratios.like.le(ratios.most).all()


def test_in_half_precision_the_same_network_answers_in_bfloat16(small):
    network, model = Spikformer(preset("smoke").model), preset("smoke").model
    images, _ = race.noise(model, 2, "cpu")
    seen = []
    network.head.register_forward_hook(lambda _, __, logits: seen.append(logits.dtype))
    for function in race.in_both(small.inference, {"ssf": network}, images).values():
        function()
    assert seen == [torch.float32, torch.bfloat16]


@needs_compiler
def test_a_profile_takes_a_step_apart(small):
    small.networks = {"2-64": (1, 32, 2)}
    bench.profile_steps(small)
    rows = table(small)
    assert set(rows.implementation) == {"ssf", "ssf, bfloat16"}
    parts = rows[rows.implementation == "ssf, bfloat16"].set_index("variable").seconds
    assert list(parts.index) == [*bench.PARTS, "the rest"] and (parts > 0).all()


def test_what_is_raced_is_called_in_turn(small):
    calls = []
    small.time(
        "inference", {name: lambda name=name: calls.append(name) for name in "ab"}, repeats=2
    )
    assert calls == list("ababab") and [row["implementation"] for row in small.rows] == ["a", "b"]


@pytest.mark.parametrize("rate", [0.03, 0.2])
def test_firing_sets_the_rate_of_every_layer(rate):
    model = bench.model_of("2-64")
    images = torch.randn(8, 3, 32, 32)
    rates = observe.firing_rates(bench.with_firing_rate(Spikformer(model), images, rate), images)
    own = {name: r for name, r in rates.items() if not name.endswith("attention_lif")}
    assert len(own) == 5 + 2 * 4
    assert all(r == pytest.approx(rate, abs=0.02) for r in own.values()), own


@needs_compiler
def test_the_lifs_bytes_and_the_events(small):
    bench.time_neuron(small)
    rows = table(small)
    assert (
        set(rows.implementation) == {"copy", "ssf", "SpikingJelly"}
        and (rows.megabytes == 10 * rows.value).all()
    )
    bench.time_events(small)
    events = table(small)[lambda t: t.measure == "events"]
    assert (events.value.diff().dropna()[1::2] > 0).all() and set(events.implementation) == {
        "ssf",
        "ssf, deployed",
    }


def test_sparsity_is_of_a_dense_network_a_ticket_a_selector_and_both(monkeypatch):
    asked, quick = [], SimpleNamespace(quick=True)
    monkeypatch.setattr(bench, "time_trained", lambda *given: asked.append(given))
    bench.time_sparsity(quick)
    ((race_, measure, name, configs),) = asked
    assert (race_, measure, name) == (quick, "sparsity", "2-64")
    parts = {kind: (c.ticket is not None, c.selector is not None) for kind, c in configs.items()}
    assert parts == {"dense": (False, False), "ticket": (True, False),
                     "selector": (False, True), "both": (True, True)}  # fmt: skip


@needs_compiler
def test_theory_and_clock_of_trained_networks(small):
    smoke = preset("smoke", **{"train.epochs": 1})
    both = {"ticket.fraction": 0.9, "ticket.rewind_epoch": 0, "selector": Selector(keep_ratio=0.5)}
    configs = {"dense": smoke, "both": smoke.with_(**both)}
    bench.time_trained(small, "sparsity", "smoke", configs)
    rows = table(small).set_index(["variable", "implementation"])
    assert (
        rows.macs["dense", "ssf"] == rows.macs["dense", "ssf, deployed"] == cost.macs(smoke.model)
    )
    assert (
        rows.macs["both", "ssf, deployed"]
        < 0.5 * rows.macs["both", "ssf"]
        < 0.5 * rows.macs["dense", "ssf"]
    )
    shares = bench.shares(table(small), "sparsity", {"dense": "all", "both": "both"}).set_index(
        "label"
    )
    assert shares.macs["all"] == shares.seconds["all"] == 1 and shares.macs["both"] < 0.5
    assert (
        shares.deployed["both"]
        == rows.seconds["both", "ssf, deployed"] / rows.seconds["dense", "ssf"]
    )


def answering(wrong):
    """A network whose answers of 100 images are 1 for the first of them and 0 for the others."""
    answers = torch.eye(2)[[1] * wrong + [0] * (100 - wrong)]
    network = torch.nn.Identity()
    network.forward = lambda images: answers
    return network


def test_a_deployed_network_that_answers_otherwise_is_not_timed():
    images = torch.zeros(100, 1)
    race.check_answers(answering(2), answering(0), images, "ticket")
    with pytest.raises(AssertionError, match=r"ticket: .* agrees on 97.0% of the images"):
        race.check_answers(answering(3), answering(0), images, "ticket")


@needs_compiler
def test_trained_networks_are_checked_before_they_are_timed(small, monkeypatch):
    smoke = preset("smoke", **{"train.epochs": 1})
    monkeypatch.setattr(bench, "Deployed", lambda network, model: lambda images: -network(images))
    with pytest.raises(AssertionError, match="^dense: the deployed network agrees on"):
        bench.time_trained(small, "sparsity", "smoke", {"dense": smoke})


def test_memory_is_that_of_a_process_of_its_own():
    done = subprocess.run(
        [sys.executable, "-m", "ssf.speed.bench", "2-64", "ssf"],
        capture_output=True,
        text=True,
        check=True,
    )
    images, model = 64, bench.model_of("2-64")
    currents = 4 * images * 4 * 32 * 32 * model.width / 2 / 2**20  # of the third convolution alone
    assert currents < float(done.stdout) < 100 * currents


def test_the_committed_rows_are_what_the_chapter_needs():
    rows = pd.read_csv(folders.shipped() / "results" / "bench_cpu.csv")
    assert set(bench.COLUMNS) < set(rows.columns)
    assert {"training", "inference", "profile", "LIF", "memory", "events", "sparsity"} <= set(
        rows.measure
    )
    assert set(bench.ratios(rows).network) == set(bench.NETWORKS)
    assert not (rows.measure == "sparsity")[rows.accuracy.isna()].any()
    rows = pd.read_csv(folders.shipped() / "results" / "bench_codesign_cpu.csv")
    assert {"dense", "all_tokens", "selector", "ticket", "both"} == set(rows.variable)
