"""The library against the published implementation and SpikingJelly's own blocks."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ssf.config import Selector
from ssf.engine import observe
from ssf.model.spikformer import Spikformer
from ssf.presets import preset
from ssf.speed.reference import LIFNode, Reference, SpikingJellyBlocks

MODEL = replace(preset("spikformer-4-384").model, depth=2, width=64, heads=2)


def lively(model, selector=None):
    """A network whose neurons fire, in training and, its statistics settled, at inference."""
    torch.manual_seed(0)
    network = Spikformer(model, selector)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.weight, 0.8, 1.6)
            nn.init.uniform_(module.bias, 0.0, 0.6)
            module.momentum = 0.5
    with torch.no_grad():
        for _ in range(8):
            network(torch.randn(16, *network.image_shape))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.momentum = 0.1
    return network


def inputs_of(network, kind):
    """What reaches every neuron, and what it fires: {name: (currents, spikes)}, by hooks."""
    seen = {}
    for name, module in network.named_modules():
        if isinstance(module, kind):
            module.register_forward_hook(
                lambda _, given, out, name=name: seen.__setitem__(name, (given, out))
            )
    return seen


@pytest.mark.parametrize("time_steps, heads", [(4, 2), (2, 8), (1, 1)])
def test_spikes_are_those_of_the_published_implementation(time_steps, heads):
    model = replace(MODEL, time_steps=time_steps, heads=heads)
    network = lively(model).eval()
    reference, images = Reference(network, model), torch.randn(8, 3, 32, 32)
    seen = inputs_of(reference, LIFNode)
    with torch.no_grad():
        expected, logits = reference(images), network(images)
    assert logits.std() > 1e-3
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)
    ours = observe.spikes(network, images)
    for name, ((currents,), spikes) in seen.items():
        if ".q." in name or ".k." in name or ".v." in name:
            unit = name.replace(".q.", ".qkv.").replace(".k.", ".qkv.").replace(".v.", ".qkv.")
            mine = ours[unit].chunk(3, -1)["qkv".index(name.split(".")[-2])]
        else:
            mine = ours[name].permute(0, 1, 4, 2, 3) if name.startswith("stem") else ours[name]
        h, close = torch.zeros_like(currents[0]), torch.zeros_like(spikes[0], dtype=torch.bool)
        threshold = 0.5 if name.endswith("attention_lif") else 1.0
        for t in range(time_steps):
            h = h + (currents[t] - h) / 2
            close |= (h - threshold).abs() < 1e-5  # from here on the two may differ
            assert torch.equal(mine[t][~close], spikes[t][~close]), name
            h = h * (h < threshold)


@pytest.mark.parametrize("peer", [Reference, SpikingJellyBlocks])
def test_a_training_step_is_the_published_implementations(peer):
    """Gradients, logits, statistics. Two batches in five may differ, a potential at threshold."""
    network, errors = lively(MODEL).train(), []
    for _ in range(5):
        other, images, labels = peer(network, MODEL), torch.randn(2, 3, 32, 32), torch.arange(2)
        logits, expected = network(images), other(images)
        network.zero_grad()
        F.cross_entropy(logits, labels).backward()
        F.cross_entropy(expected, labels).backward()
        ours = peer.named({name: p.grad for name, p in network.named_parameters()})
        relative = [
            ((ours[name] - p.grad).norm() / p.grad.norm()).item()
            for name, p in other.named_parameters()
            if not name.endswith("linear.bias")  # before a BatchNorm: zero but for rounding
        ]
        after = peer.named(network.state_dict())
        moved = [
            (after[n] - v).abs().max().item()
            for n, v in other.state_dict().items()
            if "running" in n
        ]
        errors.append((max(relative), (logits - expected).abs().max().item(), max(moved)))
    for found, allowed in zip(zip(*errors, strict=True), (1e-3, 1e-4, 1e-3), strict=True):
        assert sorted(found)[2] < allowed


@pytest.mark.parametrize("peer", [Reference, SpikingJellyBlocks])
def test_it_is_for_dense_networks_on_still_images(peer):
    with pytest.raises(ValueError, match="neither selectors nor events"):
        peer(Spikformer(MODEL, Selector(locations=(1,))), MODEL)
    events = replace(preset("spikformer-dvs-2-256").model, side=32, width=32, heads=4)
    with pytest.raises(ValueError, match="neither selectors nor events"):
        peer(Spikformer(events), events)


def test_spikingjellys_attention_has_constants_of_its_own():
    for change in ({"attention_scale": 0.25}, {"tau": 1.5}):
        model = replace(MODEL, **change)
        with pytest.raises(ValueError, match=r"scale of 0\.125"):
            SpikingJellyBlocks(Spikformer(model), model)
