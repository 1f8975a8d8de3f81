"""Each figure shows the numbers it was given."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from ssf.figures.chapters import (
    draw_attention,
    draw_energy,
    draw_layers,
    draw_learning_curve,
    draw_membrane,
    draw_raster,
    draw_savings,
    draw_staircase,
    draw_surrogate,
    draw_training_free,
)
from ssf.figures.speed import (
    draw_clock,
    draw_firing,
    draw_speed,
    draw_step,
)
from ssf.figures.style import draw_differences, draw_gallery, draw_paired, picture
from ssf.speed import bench
from ssf.study.statistics import Estimate


def test_learning_curve_draws_every_epoch():
    history = [
        {"epoch": e, "train_accuracy": e / 10, "validation_accuracy": e / 20} for e in (1, 2, 3)
    ]
    train, validation, _ = draw_learning_curve(history, 0.1).axes[0].lines
    assert train.get_ydata() == pytest.approx(
        [10, 20, 30]
    ) and validation.get_ydata() == pytest.approx([5, 10, 15])


def test_raster_draws_one_mark_a_spike():
    spikes = torch.zeros(2, 3, 5)
    spikes[0, 0, 1] = spikes[1, 0, 1] = spikes[1, 2, 4] = 1
    ax = draw_raster({"layer": spikes}, images=3).axes[0]
    columns = sorted(ax.collections[0].get_offsets()[:, 0].tolist())
    assert columns == [0, 1, 5] and "33 % at t = 1" in ax.get_title()


def test_a_silent_layer_has_an_empty_raster():
    assert (
        len(draw_raster({"layer": torch.zeros(2, 3, 5)}).axes[0].collections[0].get_offsets()) == 0
    )


def test_a_bar_a_layer():
    ax = draw_layers({"stem": 0.1, "fc1": 0.2}, "rate").axes[0]
    assert [bar.get_width() for bar in ax.patches] == [0.1, 0.2] and ax.get_xlabel() == "rate"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["stem", "fc1"]


def test_differences_draw_every_seed_the_interval_and_the_margin():
    estimates = {"a": Estimate((0.01, 0.03)), "b": Estimate((-0.02,))}
    ax = draw_differences(estimates, 0.01).axes[0]
    assert ax.collections[0].get_offsets()[:, 0].tolist() == pytest.approx([1, 3])
    low, high = estimates["a"].interval
    assert ax.lines[0].get_xdata().tolist() == pytest.approx([100 * low, 100 * high])
    inner = ax.lines[1].get_xdata()
    assert 100 * low < inner[0] < inner[1] < 100 * high
    assert inner[0] == pytest.approx(2 - 6.3138, abs=1e-3)  # one degree of freedom, 5 % a side
    assert ax.lines[2].get_xdata().tolist() == pytest.approx([2])
    assert ax.patches[0].get_width() == pytest.approx(2)
    assert ax.get_xlabel() == "difference in accuracy (points)"
    assert [text.get_text() for text in ax.texts] == ["a", "+2.0", "b", "−2.0"]
    assert "in recall" in draw_differences(estimates, what="recall").axes[0].get_xlabel()
    assert "not measured" in draw_differences({}).axes[0].texts[0].get_text()


def test_paired_differences_are_those_of_the_seeds_that_both_have():
    """Of each kind at its place: dots, mean, Student's interval; unpaired seeds have no part."""
    rows = pd.DataFrame(
        {"seed": [0, 1, 2, 3, 0], "accuracy": [0.70, 0.72, 0.77, 0.9, 0.6]}, dtype=float
    ).assign(kind="ticket", sparsity=[90, 90, 90, 90, 95], id="")
    dense = pd.DataFrame({"seed": [0.0, 1, 2], "accuracy": [0.7, 0.7, 0.8]}).assign(kind="d", id="")
    curves = {"ticket": ("ticket", rows, dense), "other": ("random", rows[:2], dense)}
    fig = draw_paired(curves, "sparsity", "sparsity (%)", "the dense network's", 0.01)
    ax = fig.axes[0]
    at_90, at_95, other, *_ = ax.collections
    gains = [0, 2, -3]
    assert at_90.get_offsets()[:, 1].tolist() == pytest.approx(gains)
    assert at_95.get_offsets()[:, 1].tolist() == pytest.approx([-10])
    line, beside, zero = ax.lines[0], ax.lines[1], ax.lines[-1]
    assert line.get_ydata().tolist() == pytest.approx([np.mean(gains), -10])
    assert beside.get_ydata().tolist() == pytest.approx([1])
    assert line.get_xdata()[0] < 90 < beside.get_xdata()[0] < 90.1  # beside each other
    assert zero.get_ydata() == [0, 0] and ax.patches[0].get_height() == pytest.approx(2)
    (bar, one_seed) = ax.containers[0].lines[2][0].get_segments()
    low, high = stats.t.interval(0.95, 2, np.mean(gains), stats.sem(gains))
    assert bar[:, 1].tolist() == pytest.approx([low, high])
    assert one_seed.size == 0  # one seed has no interval
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["ticket", "other"]
    assert "minus the dense network's" in ax.get_ylabel()


def test_the_neurons_pictures():
    ax = draw_membrane([1, 2, 3], [0.5, 1.2, 0.3], [0, 1, 0], 1.0).axes[0]
    path, charged, limit = ax.lines
    assert path.get_ydata() == pytest.approx([0, 0.5, 0.5, 1.2, 0, 0.3, 0.3])  # a spike resets
    assert charged.get_ydata() == pytest.approx([0.5, 1.2, 0.3]) and limit.get_ydata()[0] == 1
    assert ax.patches[0].get_data().values.tolist() == [1, 2, 3]  # the current
    (spike,) = ax.collections[0].get_segments()
    assert spike[:, 0].tolist() == [2, 2]
    curve = draw_surrogate(4.0).axes[0].lines[1]
    assert curve.get_ydata().max() == pytest.approx(1.0)  # alpha / 4, where H meets the threshold
    area = np.sum(curve.get_ydata()) * np.diff(curve.get_xdata())[0]
    assert area == pytest.approx(1, abs=0.02)


def test_staircase_draws_a_rate_for_each_current_and_both_borders():
    ax = draw_staircase([0, 1, 2], {"T = 9": [0, 0, 1], "T = 2": [0, 0.5, 1]}, 0.5, 3.0).axes[0]
    many, few, *borders = ax.lines
    assert [list(many.get_ydata()), list(few.get_ydata())] == [[0, 0, 1], [0, 0.5, 1]]
    assert [line.get_xdata()[0] for line in borders] == [0.5, 1.5]


def test_savings_draws_a_line_a_kind_and_part_and_the_target():
    rows = pd.DataFrame(
        [
            {"kind": kind, "part": part, "keep_ratio": rho, "saved": saved}
            for kind, part, saved in (
                ("images", "whole", 0.1),
                ("images", "blocks", 0.2),
                ("events", "whole", 0.3),
            )
            for rho in (0.5, 0.9)
        ]
    )
    ax = draw_savings(rows, 0.25, {"images": [0.9], "events": []}).axes[0]
    lines, dots = ax.lines, np.concatenate([part.get_offsets() for part in ax.collections])
    assert sorted(dots.tolist()) == [pytest.approx([0.9, 10]), pytest.approx([0.9, 20])]
    drawn = {line.get_label(): list(line.get_ydata()) for line in lines}
    assert drawn["images, whole network"] == pytest.approx([10, 10])
    assert drawn["images, blocks alone"] == pytest.approx([20, 20])
    assert (
        drawn["events, whole network"] == pytest.approx([30, 30]) and lines[-1].get_ydata()[0] == 25
    )


def test_energy_stacks_the_roles_of_each_account():
    ax = draw_energy({"a": {"SPS": 1.0, "fc1": 2.0}, "b": {"SPS": 3.0, "fc1": 4.0}}).axes[0]
    assert [(b.get_x(), b.get_width()) for b in ax.patches] == [(0, 1), (0, 3), (1, 2), (3, 4)]
    assert [text.get_text().strip() for text in ax.texts] == ["3.00", "7.00"]


def test_training_free_draws_a_line_a_score_on_both_sides():
    rows = pd.DataFrame(
        [
            {"kind": kind, "dropped": dropped, "keep_ratio": rho, "accuracy": value}
            for value, (kind, dropped) in enumerate(
                (k, d)
                for k in (
                    "firing_rate",
                    "information",
                    "information_per_place",
                    "attention",
                    "random",
                )
                for d in ("removed", "bypass")
            )
            for rho in (0.5, 1.0)
        ]
    )
    removed, bypass = draw_training_free(rows, 0.9).axes
    assert [line.get_ydata()[0] for line in removed.lines] == pytest.approx(
        [0, 200, 400, 600, 800, 90]
    )
    assert [line.get_ydata()[0] for line in bypass.lines] == pytest.approx(
        [100, 300, 500, 700, 900, 90]
    )


def test_event_frames_are_white_without_events_blue_where_on_and_orange_where_off():
    frame = np.zeros((2, 1, 3))
    frame[0, 0, 1] = frame[1, 0, 2] = 4
    nothing, off, on = picture(frame)[0]
    assert nothing.tolist() == [1, 1, 1] and on[2] > on[0] and off[0] > off[2]


def test_a_gallery_leaves_room_where_a_row_is_short():
    fig = draw_gallery({"a": np.zeros((3, 1, 2, 2)), "b": np.ones((1, 3, 2, 2))})
    assert [len(ax.images) for ax in fig.axes] == [1, 1, 1, 1, 0, 0] and fig.axes[
        3
    ].get_ylabel() == "b"


def test_attention_says_how_much_of_it_falls_on_the_item():
    item = np.array([[True, False, False, False], [True, True, False, False]])
    maps = [(2, np.array([3, 1, 0, 0])), (0, np.array([0, 1, 0, 1]))]
    axes = draw_attention(np.zeros((2, 1, 4, 4)), {"asks": maps}, item).axes
    shares = [ax.get_title() for ax in axes]
    assert shares == [
        "item: 25 % of the tokens",
        "item: 50 % of the tokens",
        "3 of 4 on the item",
        "1 of 2 on the item",
    ]
    assert axes[2].images[0].get_array().tolist() == [[3, 1], [0, 0]]
    assert axes[2].patches[0].get_xy() == (-0.5, 0.5)


def test_speed_draws_a_dot_for_each_peer_in_its_own_precision():
    seconds = {"published": 6, "ssf": 2, "published, bfloat16": 4, "ssf, bfloat16": 1}
    rows = pd.DataFrame(
        [
            {"measure": m, "network": n, "implementation": i, "seconds": s}
            for m in ("training", "inference")
            for n in ("2-64", "4-128")
            for i, s in seconds.items()
        ]
    ).assign(batch=8, low=0.5, high=8.0)
    training, inference = draw_speed(bench.ratios(rows)).axes
    dots = {line.get_label(): line for line in training.lines}
    assert set(dots["published code"].get_xdata()) == {1}
    assert list(dots["this library"].get_xdata()) == [3, 4, 3, 4]
    labels = [t.get_text() for t in training.get_yticklabels()]
    assert labels == [f"{n}, {p}" for n in ("2-64", "4-128") for p in ("float32", "bfloat16")]
    spans = [c.get_segments()[0][:, 0].tolist() for c in training.collections if len(c.get_paths())]
    assert spans == [[6 / 8, 6 / 0.5]]
    assert inference.get_title() == "inference"


def test_events_and_clock_draw_their_rows():
    rows = pd.DataFrame(
        {
            "implementation": ["ssf", "ssf, deployed"],
            "value": 0.1,
            "batch": 64,
            "seconds": [0.5, 0.1],
        }
    )
    lines = draw_firing(rows).axes[0].lines
    assert [line.get_ydata()[0] for line in lines] == pytest.approx([5, 1])
    rows = pd.DataFrame(
        {"label": ["dense", "both"], "macs": [1, 0.1], "seconds": [1, 0.8], "deployed": [0.5, 0.3]}
    )
    widths = [bar.get_width() for bar in draw_clock(rows).axes[0].patches]
    assert widths == pytest.approx([100, 10, 100, 80, 50, 30])


def test_what_was_not_deployed_is_left_out():
    """Without a compiler, or on a GPU, there are no rows of deployed networks."""
    rows = pd.DataFrame(
        [
            {"measure": measure, "network": "2-64", "implementation": implementation}
            for measure in ("training", "inference")
            for implementation in ("published", "ssf")
        ]
    ).assign(batch=8, seconds=1.0, high=1.1, low=0.9, value=1.0)
    assert "not profiled" in draw_step(rows[:0]).axes[0].texts[0].get_text()
    assert "not timed" in draw_firing(rows[rows.measure == "events"]).axes[0].texts[0].get_text()
    shares = bench.shares(rows, "sparsity", {"dense": "dense", "both": "both"})
    assert shares.empty and list((1 / shares.deployed).index) == []
    assert "not timed" in draw_clock(shares).axes[0].texts[0].get_text()
    for ax in draw_speed(bench.ratios(rows)).axes:
        dots = {line.get_label(): len(line.get_xdata()) for line in ax.lines}
        assert dots["this library"] == 1 and dots["this library, deployed"] == 0


def test_a_steps_parts_are_shares_of_the_step_in_float32():
    seconds = {"ssf": (6, 3, 0.5, 0.5), "ssf, bfloat16": (2, 2, 0.5, 0.5)}
    parts = ("products", "BatchNorm and neurons", "pooling", "the rest")
    rows = pd.DataFrame(
        {"network": "2-64", "implementation": kind, "variable": part, "seconds": s}
        for kind, values in seconds.items()
        for part, s in zip(parts, values, strict=True)
    )
    (ax,) = draw_step(rows).axes
    assert [t.get_text() for t in ax.get_yticklabels()] == ["2-64, float32", "2-64, bfloat16"]
    widths = [[bar.get_width() for bar in bars] for bars in ax.containers]
    assert np.array(widths) == pytest.approx(np.array([[60, 20], [30, 20], [5, 5], [5, 5]]))
