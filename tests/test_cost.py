import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ssf import cost
from ssf.config import Selector, preset
from ssf.spikformer import Spikformer


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"model.heads": 1, "model.width": 64},
        {"model.depth": 3, "model.pool_stages": (2, 3), "model.time_steps": 3},
        {"model.depth": 3, "selector": Selector(keep_ratio=0.6, locations=(1, 2))},
        {"selector": Selector("random", 0.4, (0,))},
    ],
)
def test_closed_formulas_equal_torchs_flop_counter(overrides):
    config = preset("quick", **overrides)
    network, images = Spikformer(config.model, config.selector).eval(), torch.randn(3, 1, 32, 32)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(images)
    assert counter.get_total_flops() == 2 * 3 * cost.macs(config.model, config.selector, as_computed=True)
    assert cost.parameters(config.model, config.selector) == sum(p.numel() for p in network.parameters())


def test_every_weight_is_in_the_account():
    config = preset("paper-cifar10")
    named = {row.weight for row in cost.layers(config.model, config.selector) if row.weight}
    network = Spikformer(config.model, config.selector)
    assert named == {n for n, p in network.named_parameters() if p.ndim > 1}


def test_published_cost_of_4_384():
    model = preset("spikformer-4-384").model
    by_role = {}
    for row in cost.layers(model):
        by_role[row.role] = by_role.get(row.role, 0) + row.macs / 4 / 1e6
    assert by_role["SPS"] == pytest.approx(468.5, rel=1e-3)
    assert by_role["attention"] / 4 == pytest.approx(3.1, rel=0.02)
    assert cost.macs(model) / 1e9 == pytest.approx(3.736, rel=5e-3)


@pytest.mark.parametrize("ratio, saved", [(0.9, 7.2), (0.8, 13.3), (0.7, 18.6)])
def test_net_saving_of_the_published_selector(ratio, saved):
    config = preset("paper-cifar10", **{"selector.keep_ratio": ratio})
    assert 100 * (1 - cost.macs(config.model, config.selector) / cost.macs(config.model)) == pytest.approx(
        saved, abs=0.1
    )


def test_masks_lower_the_count_of_their_layer_alone():
    model = preset("quick").model
    mask = torch.zeros(128, 32, dtype=torch.bool)
    mask[:32] = True
    fc1 = next(row for row in cost.layers(model) if row.name == "blocks.0.fc1")
    assert cost.macs(model, masks={fc1.weight: mask}) == pytest.approx(cost.macs(model) - 0.75 * fc1.macs)


def test_firing_rates_are_shares_and_leave_the_network_as_it_was():
    network, images = Spikformer(preset("quick").model), torch.randn(4, 1, 32, 32)
    before = {n: b.clone() for n, b in network.named_buffers()}
    rates = cost.firing_rates(network, images)
    assert list(rates)[0] == "stem.stages.0.lif" and list(rates)[-1] == "blocks.1.fc2.lif" and len(rates) == 15
    assert all(0 <= r <= 1 for r in rates.values())
    assert network.training and all(torch.equal(b, before[n]) for n, b in network.named_buffers())
