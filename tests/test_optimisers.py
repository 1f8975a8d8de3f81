from dataclasses import replace

import pytest
import torch

from ssf.model import kernels, optimisers, training
from ssf.presets import preset

SMOKE = preset("smoke", **{"train.optimiser": "muon"})


def trained_a_step(train, seed=0):
    """A network after one step down an arbitrary loss, and its weights before."""
    network = training.make_network(SMOKE)
    opt = optimisers.optimiser(network, train)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    draw = torch.Generator().manual_seed(seed)
    for p in network.parameters():
        p.grad = torch.randn(p.shape, generator=draw)
    opt.step()
    return network, before


def test_muon_steps_by_the_orthogonalised_gradient_also_in_convolutions():
    """Without weight decay, Newton and Schulz bring the singular values of a step near to 1."""
    network, before = trained_a_step(replace(SMOKE.train, weight_decay=0.0, muon_lr=0.1))
    for name in ("stem.stages.1.conv.weight", "blocks.0.fc1.linear.weight"):
        step = (before[name] - network.get_parameter(name).detach()).flatten(1) / 0.1
        values = torch.linalg.svdvals(step) / max(1, step.shape[0] / step.shape[1]) ** 0.5
        assert values.min() > 0.5 and values.max() < 1.5


def orthogonalised(matrix):
    """Five steps of Newton and Schulz, with Jordan's three numbers, in float64."""
    x = matrix.double() / matrix.double().norm()
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x


@pytest.mark.parametrize("fast, off", [(False, 1e-5), (True, 1e-1)])
def test_muon_is_in_float32_where_bfloat16_is_slow(monkeypatch, fast, off):
    monkeypatch.setattr(kernels, "multiplies_bfloat16", lambda device: fast)
    network, before = trained_a_step(replace(SMOKE.train, weight_decay=0.0, muon_lr=1.0))
    weight = network.get_parameter(name := "stem.stages.1.conv.weight")
    step = (before[name] - weight.detach()).flatten(1)
    largest = (step - orthogonalised(weight.grad.flatten(1))).abs().max()
    assert 0.01 * off < largest < off, largest


def test_head_biases_and_batchnorm_are_left_to_adamw():
    network, before = trained_a_step(SMOKE.train)
    alone, _ = trained_a_step(replace(SMOKE.train, optimiser="adamw"))
    by_muon = {
        name
        for name, p in network.named_parameters()
        if not torch.equal(p, alone.get_parameter(name))
    }
    assert by_muon == {
        name for name, p in before.items() if p.ndim > 1 and not name.startswith("head")
    }


def test_the_selectors_layers_are_trained_too():
    config = SMOKE.with_(**{"selector.keep_ratio": 0.5})
    network = training.make_network(config)
    opt = optimisers.optimiser(network, config.train)
    assert {id(p) for p in network.parameters()} <= {id(p) for p in opt.state}


def test_each_group_has_its_own_rate_and_all_fall_in_a_straight_line():
    config = SMOKE.with_(
        **{"train.decay": "linear", "train.warmup_epochs": 0.0, "train.min_lr": 0.0}
    )
    opt = optimisers.optimiser(training.make_network(config), config.train)
    for share in (0, 0.25, 1):
        training.set_rates(config, opt, share * config.train.epochs)
        rates = [group["lr"] for group in opt.param_groups]
        full = [config.train.lr, config.train.lr, config.train.muon_lr]
        torch.testing.assert_close(rates, [(1 - share) * rate for rate in full])


def test_gradients_of_one_step_are_not_those_of_the_next():
    network = training.make_network(SMOKE)
    opt = optimisers.optimiser(network, SMOKE.train)
    for _ in range(2):
        training.take_step(SMOKE, network, opt, {}, sum(p.sum() for p in network.parameters()), "")
    assert all(torch.equal(p.grad, torch.ones_like(p)) for p in network.parameters())
