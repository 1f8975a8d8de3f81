"""The GPU's path without a GPU: every tensor of a step is on one device.

FakeTensorMode runs the code on a pretended cuda:0 and refuses to mix devices; a kernel of the CPU
would ask a tensor for its address, which it has not. The backward engine needs a device that is
there, so backward passes run on meta tensors, which have shapes alone.
"""

from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ssf.config import Selector, Ticket
from ssf.datasets import batches
from ssf.engine import observe
from ssf.model import training
from ssf.model.spikformer import Spikformer
from ssf.presets import preset

SELECTORS = [
    None,
    Selector(),
    Selector(distill_weight=0.0, head_averages_dropped=True),
    Selector("random", dropped="bypass"),
    Selector("firing_rate"),
    Selector("attention", dropped="bypass"),
    Selector("information"),
    Selector("information_per_place"),
    Selector("oracle"),
]
CONFIGS = [preset("clutter").with_(selector=selector) for selector in SELECTORS]
CONFIGS += [c.with_(**{"train.mixed_precision": True}) for c in CONFIGS[:6]]
CONFIGS += [
    preset("paper-cifar10", **{"model.width": 96, "model.heads": 3}),
    preset("paper-cifar10dvs", **{"model.width": 32, "model.time_steps": 4, "model.heads": 2}),
]


def name_of(config):
    selector = config.selector and f"{config.selector.kind}, {config.selector.dropped}"
    half = ", bfloat16" if config.train.mixed_precision else ""
    return f"{config.data.name}, {selector or 'dense'}{half}"


@pytest.fixture(params=["cuda:0", "meta"])
def device(request, monkeypatch):
    """A device that is not there, its initialisers and its random state left out."""
    for name in ("trunc_normal_", "kaiming_uniform_", "uniform_", "zeros_", "ones_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *_, **__: tensor)
    if request.param == "meta":  # autocast does not know it
        monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
        yield torch.device("meta")
        return
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    with FakeTensorMode():
        yield torch.device("cuda:0")


def batch(config, device):
    """Images, labels and the foreground's share of each token."""
    model = config.model
    frames = (model.time_steps,) if model.encoding == "frames" else ()
    with device:
        images = torch.empty(4, *frames, model.channels, model.side, model.side)
        return images, torch.zeros(4, dtype=torch.int64), torch.empty(4, model.tokens)


def networks(config, device):
    """A network, and the teacher of its selector."""
    with device:
        teacher = Spikformer(config.model) if config.selector else None
        return Spikformer(config.model, config.selector), teacher


def every_tensor(network, opt):
    state = [t for each in opt.state.values() for key, t in each.items() if key != "step"]
    return [*network.parameters(), *network.buffers(), *state]


@pytest.mark.parametrize("config", CONFIGS, ids=name_of)
def test_a_step_stays_on_its_device(config, device):
    network, teacher = networks(config, device)
    images, labels, foreground = batch(config, device)
    forward = network.forward_tokens
    if teacher:
        training.prepare_teacher(teacher, config.selector.teacher_in_training_mode)
    loss, logits = training.batch_loss(config, forward, teacher, images, labels, foreground)
    assert loss.device == logits.device == device and logits.shape == (4, config.model.classes)
    if device.type == "meta":
        opt = training.optimiser(network, config.train)
        weights = [(name, p) for name, p in network.named_parameters() if p.ndim > 1]
        masks = {name: torch.ones_like(p, dtype=torch.bool) for name, p in weights}
        training.take_step(config, network, opt, masks, loss, "step 1")
        assert all(p.grad is not None for p in network.stem.parameters())
        assert {t.device for t in every_tensor(network, opt)} == {device}


@pytest.mark.parametrize("config", CONFIGS, ids=name_of)
def test_inference_stays_on_its_device(config, device):
    network, _ = networks(config, device)
    images, _, foreground = batch(config, device)
    with torch.no_grad():
        logits, kept = network.eval().forward_tokens(images, foreground)
        rates = observe.spikes(network, images, foreground)
    assert logits.device == device and all(k.device == device for k in kept)
    assert {s.device for s in rates.values()} == {device}


def test_autocast_reaches_the_pretended_device(device):
    config = preset("clutter", **{"train.mixed_precision": True})
    network, _ = networks(config, device)
    images, labels, _ = batch(config, device)
    seen = []
    network.head.register_forward_hook(lambda _, __, logits: seen.append(logits.dtype))
    training.batch_loss(config, network.forward_tokens, None, images, labels)
    assert seen == [torch.float32 if device.type == "meta" else torch.bfloat16]


def test_what_looks_at_pixels_and_gradients_stays_on_its_device(device):
    config = preset("clutter", ticket=Ticket(freeze="near_zero"))
    network, _ = networks(config, device)
    images, labels, _ = batch(config, device)
    with device:
        foreground = torch.empty(4, 40, 40)
    assert batches.token_shares(foreground, config.model.tokens).device == device
    if device.type == "meta":
        opt = training.optimiser(network, config.train)
        loss, _ = training.batch_loss(config, network.forward_tokens, None, images, labels)
        training.take_step(config, network, opt, {}, loss, "step 1")


def test_the_pretended_device_would_notice_a_tensor_of_another(device):
    """Or the tests above could not fail."""
    if device.type == "meta":
        pytest.skip("shapes alone")
    network, _ = networks(preset("clutter"), device)
    with torch.device("cpu"):
        images = torch.empty(2, 1, 40, 40)
    with pytest.raises(RuntimeError, match="device"):
        network(images)
