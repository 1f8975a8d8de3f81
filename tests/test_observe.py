"""Selectors against the truth: the measures by hand, and what the oracle and chance must give."""

import pytest
import torch

from ssf.config import Selector
from ssf.datasets import batches, sets
from ssf.engine.observe import against_truth, average_precision, precision_recall, tokens_before
from ssf.model.selector import TokenSelector
from ssf.model.spikformer import Spikformer
from ssf.presets import preset

CONFIG = preset("smoke", **{"data.name": "cluttered-fashion", "selector.keep_ratio": 0.4})
N = CONFIG.model.tokens


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Spikformer(CONFIG.model)


def score(network, kind, keep_ratio=0.4, **rest):
    selector = TokenSelector(Selector(kind, keep_ratio), CONFIG.model.width, N)
    return against_truth(network, selector, sets.load_for(CONFIG), **rest)


def test_precision_and_recall_by_hand():
    scores = torch.tensor([[0.9, 0.1, 0.8, 0.4], [0.1, 0.2, 0.3, 0.4]])
    foreground = torch.tensor([[True, False, False, True], [True, True, True, False]])
    precision, recall = precision_recall(scores, foreground, keep=2)
    assert precision.tolist() == [0.5, 0.5] and recall.tolist() == [0.5, pytest.approx(1 / 3)]


def test_average_precision_by_hand():
    scores = torch.tensor([[0.9, 0.1, 0.8, 0.4], [4.0, 3.0, 2.0, 1.0]])
    foreground = torch.tensor([[True, False, False, True], [True, True, False, False]])
    assert average_precision(scores, foreground).tolist() == pytest.approx(
        [(1 / 1 + 2 / 3) / 2, 1.0]
    )


def test_average_precision_is_the_area_under_the_curve():
    """Summed step by step, over every number of tokens kept."""
    scores, foreground = torch.rand(5, 30), torch.rand(5, 30) < 0.3
    area, before = torch.zeros(5), torch.zeros(5)
    for keep in range(1, 31):
        precision, recall = precision_recall(scores, foreground, keep)
        area, before = area + (recall - before) * precision, recall
    torch.testing.assert_close(average_precision(scores, foreground), area)


@pytest.mark.parametrize("keep_ratio", [0.15, 0.4])
def test_the_oracle_recalls_every_item_that_fits(network, keep_ratio):
    measured = score(network, "oracle", keep_ratio)
    assert measured["fits"].any() and (measured["recall"][measured["fits"]] == 1).all()
    assert (measured["recall"][~measured["fits"]] < 1).all() and (
        measured["precision"][~measured["fits"]] == 1
    ).all()
    assert (measured["average precision"] == 1).all()


def test_a_random_choice_is_as_precise_as_the_foreground_is_large(network):
    """Within four standard errors of drawing K of N tokens without replacement, and so is its
    recall."""
    measured = score(network, "random")
    share, keep = measured["share"].double(), int(0.4 * N)
    error = (share * (1 - share) / keep * (N - keep) / (N - 1)).sum().sqrt() / len(share)
    assert abs(measured["precision"].double().mean() - share.mean()) < 4 * error
    recall_error = (keep * (1 - share) * (N - keep) / (N - 1) / (N**2 * share)).sum().sqrt() / len(
        share
    )
    assert abs(measured["recall"].double().mean() - keep / N) < 4 * recall_error
    again = score(network, "random")
    assert torch.equal(measured["precision"], again["precision"])
    assert not torch.equal(measured["precision"], score(network, "random", seed=1)["precision"])


@pytest.mark.parametrize("kind", ["learned", "firing_rate", "attention", "information", "oracle"])
def test_what_is_scored_is_what_the_network_keeps(kind):
    torch.manual_seed(1)
    network = Spikformer(CONFIG.model, Selector(kind, 0.4)).eval()
    dataset = sets.load_for(CONFIG)
    images, _, foreground = dataset.part("test", torch.arange(12))
    images, shares = dataset.standardise(images), batches.token_shares(foreground, N)
    with torch.no_grad():
        _, (kept,) = network.forward_tokens(images, shares)
    hits = (kept.bool() & (shares > 0)).sum(1)
    measured = against_truth(network, network.selector, dataset, count=12)
    torch.testing.assert_close(measured["precision"], hits / kept.sum(1))
    torch.testing.assert_close(measured["recall"], hits / (shares > 0).sum(1))


def test_watching_leaves_the_network_as_it_was(network):
    before = [block.attention.watched for block in network.blocks]
    images = torch.randn(2, 1, 40, 40)
    assert tokens_before(network, images, 1).received is not None
    assert [block.attention.watched for block in network.blocks] == before


def test_other_gpus_random_states_are_left_alone(network, monkeypatch):
    """Forking all of them would start a context on each."""
    devices, fork = [], torch.random.fork_rng

    def noted(forked=None, **keywords):
        devices.append(forked)
        return fork([], **keywords)

    monkeypatch.setattr(torch.random, "fork_rng", noted)
    score(network, "firing_rate")
    assert devices and all(forked is not None and len(forked) <= 1 for forked in devices)
