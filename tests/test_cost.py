from dataclasses import replace

import pytest
import torch
from spikingjelly.activation_based.op_counter import DispatchCounterMode, SynOpCounter
from torch.utils.flop_counter import FlopCounterMode

from ssf.config import Selector
from ssf.engine import observe
from ssf.kernels import build
from ssf.model import cost
from ssf.model.spikformer import Spikformer
from ssf.presets import preset


@pytest.fixture
def by_torch(monkeypatch):
    """Without the kernels: torch's and SpikingJelly's counters see torch's operations only."""
    monkeypatch.setattr(build, "library", lambda *_, **__: None)


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"model.heads": 1, "model.width": 64},
        {"model.depth": 3, "model.pool_stages": (2, 3), "model.time_steps": 3},
        {"model.depth": 3, "selector": Selector(keep_ratio=0.6, locations=(1, 2))},
        {"selector": Selector("random", 0.4, (0,))},
        {
            "model.depth": 3,
            "selector": Selector(keep_ratio=0.6, locations=(0, 2), dropped="bypass"),
        },
        {
            "selector": Selector("firing_rate", 0.7, (0, 1), inference_keep_ratio=0.5),
            "model.qkv_bias": False,
        },
    ],
)
def test_closed_formulas_equal_torchs_flop_counter(overrides, by_torch):
    config = preset("quick", **overrides)
    network, images = Spikformer(config.model, config.selector).eval(), torch.randn(3, 1, 32, 32)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(images)
    assert counter.get_total_flops() == 2 * 3 * cost.macs(
        config.model, config.selector, as_computed=True
    )
    by_module = {name: sum(counts.values()) for name, counts in counter.get_flop_counts().items()}
    for row in cost.layers(config.model, config.selector, as_computed=True):
        if row.weight:
            counted = by_module[f"Spikformer.{row.weight.removesuffix('.weight')}"]
        else:  # the products, which are in no module of their own
            whole, parts = by_module[f"Spikformer.{row.name}"], ("qkv", "proj")
            counted = whole - sum(by_module[f"Spikformer.{row.name}.{part}"] for part in parts)
        assert counted == 2 * 3 * row.macs, row.name
    assert cost.parameters(config.model, config.selector) == sum(
        p.numel() for p in network.parameters()
    )


def test_closed_formulas_equal_torchs_flop_counter_for_events(by_torch):
    config = preset(
        "paper-cifar10dvs", **{"model.width": 32, "model.heads": 2, "model.time_steps": 3}
    )
    network, frames = (
        Spikformer(config.model, config.selector).eval(),
        torch.rand(2, 3, 2, 128, 128),
    )
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(frames)
    assert counter.get_total_flops() == 2 * 2 * cost.macs(
        config.model, config.selector, as_computed=True
    )
    assert cost.parameters(config.model, config.selector) == sum(
        p.numel() for p in network.parameters()
    )


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
    assert 100 * cost.saving(config.model, config.selector) == pytest.approx(saved, abs=0.1)
    blocks = [sum(r.macs for r in cost.layers(config.model, s)
                  if "blocks" in r.name or "selector" in r.name)
              for s in (None, config.selector)]  # fmt: skip
    assert cost.saving(config.model, config.selector, blocks_only=True) == pytest.approx(
        1 - blocks[1] / blocks[0]
    )


@pytest.mark.parametrize("name", ["paper-cifar10", "paper-dvs128"])
@pytest.mark.parametrize("blocks_only", [False, True])
def test_the_keep_ratio_for_a_saving_is_the_largest_that_saves_it(name, blocks_only):
    config = preset(name)

    def saved(rho):
        return cost.saving(config.model, replace(config.selector, keep_ratio=rho), blocks_only)

    rho = cost.keep_ratio_for(0.2, config.model, config.selector, blocks_only)
    assert saved(rho) >= 0.2 > saved(rho + 0.001)
    assert cost.keep_ratio_for(0.9, config.model, config.selector) is None
    with pytest.raises(ValueError, match="saving is 20; allowed: a share of the MACs"):
        cost.keep_ratio_for(20, config.model, config.selector)


def test_masks_lower_the_count_of_their_layer_alone():
    model = preset("quick").model
    mask = torch.zeros(128, 32, dtype=torch.bool)
    mask[:32] = True
    fc1 = next(row for row in cost.layers(model) if row.name == "blocks.0.fc1")
    assert cost.macs(model, masks={fc1.weight: mask}) == pytest.approx(
        cost.macs(model) - 0.75 * fc1.macs
    )


def test_firing_rates_are_shares_and_leave_the_network_as_it_was():
    network, images = Spikformer(preset("quick").model), torch.randn(4, 1, 32, 32)
    before = {n: b.clone() for n, b in network.named_buffers()}
    rates = observe.firing_rates(network, images)
    assert rates == observe.activity(network, preset("quick").model, None, images)[0]
    assert (
        list(rates)[0] == "stem.stages.0.lif"
        and list(rates)[-1] == "blocks.1.fc2.lif"
        and len(rates) == 15
    )
    assert all(0 <= r <= 1 for r in rates.values())
    assert network.training and all(torch.equal(b, before[n]) for n, b in network.named_buffers())


def firing(selector=None):
    """A small network that fires, its model, and images."""
    model = replace(preset("quick").model, depth=3)
    network, images = Spikformer(model, selector), torch.randn(4, 1, 32, 32)
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
            module.bias.data += 0.3
    with torch.no_grad():
        network.train()(images)
    return network, model, images


@pytest.mark.parametrize("selector", [None, Selector(keep_ratio=0.5, locations=(1, 2))])
def test_synaptic_operations_agree_with_spikingjellys_counter(selector, by_torch):
    """Linear layers with binary inputs to the unit, convolutions but for the border, where a spike
    reaches fewer."""
    network, model, images = firing(selector)
    rows = {row.layer.name: row for row in observe.activity(network, model, selector, images)[1]}
    counter = SynOpCounter()
    with DispatchCounterMode([counter]), torch.no_grad():
        network.eval()(images)
    counted = {
        name.removeprefix("Spikformer."): sum(c.values())
        for name, c in counter.get_counts().items()
    }
    for b in range(3):
        for part in ("attention.proj", "fc2"):
            name = f"blocks.{b}.{part}"
            assert counted[f"{name}.linear"] / 4 == pytest.approx(rows[name].sops, rel=1e-6)
    assert rows["blocks.0.attention.proj"].sops > 0 < rows["blocks.0.fc2"].sops
    for name in ("stem.stages.1", "stem.stages.2", "stem.stages.3", "stem.position"):
        assert 0.8 < counted[f"{name}.conv"] / 4 / rows[name].sops <= 1


def test_what_is_called_binary_is_and_the_residual_stream_is_not():
    network, model, images = firing()
    seen = {}
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d):
            module.register_forward_hook(
                lambda _, inputs, __, name=name: seen.update({name: inputs[0].unique().tolist()})
            )
    _, rows = observe.activity(network, model, None, images)
    for row in rows:
        if row.layer.role != "attention":
            values = seen[row.layer.weight.removesuffix(".weight")]
            assert row.binary == (set(values) <= {0.0, 1.0}), row.layer.name
            assert (
                row.layer.role not in ("qkv", "fc1")
                or all(v == int(v) for v in values)
                and max(values) > 1
            )


def test_energy_by_hand():
    network, model, images = firing()
    _, rows = observe.activity(network, model, None, images)
    by = {row.layer.name: row for row in rows}
    total = {account: sum(observe.energy(rows, account).values()) for account in observe.ACCOUNTS}
    assert total["no spikes"] == pytest.approx(4.6 * cost.macs(model) / 1e6)
    first, head = by["stem.stages.0"].layer.macs, by["head"].layer.macs
    residual = [row for row in rows if row.layer.role in ("qkv", "fc1")]
    spikes = [row for row in rows if row not in residual and row.layer.macs not in (first, head)]
    fixed = 4.6 * (first + head) + sum(0.9 * row.layer.macs * row.nonzero for row in spikes)
    for account, each in {
        "one addition": lambda row: 0.9 * row.nonzero,
        "as many additions": lambda row: 0.9 * row.mean,
        "multiplied": lambda row: 4.6,
    }.items():
        expected = fixed + sum(row.layer.macs * each(row) for row in residual)
        assert total[account] == pytest.approx(expected / 1e6)
    assert total["one addition"] < total["as many additions"] < total["multiplied"]
    seen = []
    network.blocks[1].fc1.linear.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    network.eval()(images)
    assert by["blocks.1.fc1"].mean == pytest.approx(seen[0].mean().item())
    assert by["blocks.1.fc1"].nonzero == pytest.approx((seen[0] > 0).float().mean().item())


def test_attention_operations_are_driven_by_q_and_v():
    network, model, images = firing()
    seen = {}
    network.blocks[1].attention.qkv.register_forward_hook(lambda _, __, out: seen.update(out=out))
    row = next(
        r
        for r in observe.activity(network, model, None, images)[1]
        if r.layer.name == "blocks.1.attention"
    )
    q, _, v = seen["out"].chunk(3, dim=-1)
    assert row.sops == pytest.approx(
        64 * (q.sum() + v.sum()).item() / 4
    )  # each spike of q, of v meets N tokens


def test_what_is_averaged_over_batches_is_what_one_batch_gives():
    config = preset("smoke", **{"selector.keep_ratio": 0.5})
    network, images = Spikformer(config.model, config.selector).eval(), torch.randn(10, 1, 32, 32)

    def look(x):
        return len(x), *observe.activity(network, config.model, config.selector, x)

    rates, rows = observe.averaged([look(images[:7]), look(images[7:])])
    _, whole, expected = look(images)
    assert rates == pytest.approx(whole, abs=1e-6)
    for row, other in zip(rows, expected, strict=True):
        assert (row.nonzero, row.mean) == pytest.approx((other.nonzero, other.mean), abs=1e-6)


def test_pruned_weights_cause_no_additions_where_they_are_skipped():
    config = preset("smoke")
    network = Spikformer(config.model)
    _, rows = observe.activity(network, config.model, None, torch.rand(4, 1, 32, 32))
    masks = {"blocks.0.fc2.linear.weight": torch.tensor([[True, False, False, False]])}
    left = {row.layer.name: row for row in observe.surviving(rows, masks)}
    for row in rows:
        share = 0.25 if row.layer.name == "blocks.0.fc2" else 1
        assert left[row.layer.name].layer.macs == share * row.layer.macs
        assert left[row.layer.name].sops == share * row.sops


def test_rates_and_operations_see_the_tokens_that_one_draw_has_kept():
    """Of two passes, a random selector would keep other tokens, and other neurons would fire."""
    config = preset("smoke", **{"selector.kind": "random", "selector.keep_ratio": 0.2})
    network, images = Spikformer(config.model, config.selector), torch.rand(9, 1, 32, 32)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = 1.0
    network.train()(images)  # the images' own statistics, so that neurons fire
    rates, rows = observe.activity(network, config.model, config.selector, images)
    rows = {row.layer.name: row for row in rows}
    assert 0 < rows["blocks.1.fc2"].nonzero == pytest.approx(rates["blocks.1.fc1.lif"])
