from dataclasses import replace

import pytest
import torch
from test_reference import MODEL, lively
from torch import nn

from ssf.config import Selector
from ssf.kernels import build
from ssf.model import tickets, training
from ssf.model.spikformer import Spikformer
from ssf.presets import preset
from ssf.speed.deploy import Deployed

pytestmark = pytest.mark.skipif(
    build.library("events", TIME=4, VECS=1) is None, reason="no C compiler here"
)

EVENTS = replace(preset("spikformer-dvs-2-256").model, side=32, width=48, heads=4, time_steps=3)


def ticket(network, sparsity):
    masks = tickets.prune(network, tickets.full_masks(network), sparsity)
    training.apply_masks(network, masks)
    return network


def agrees(network, model, images):
    """The deployed network, after checking that it computes what the network does."""
    network.eval()
    deployed = Deployed(network, model, batch=4)
    with torch.no_grad():
        expected = network(images)
    logits = deployed(images)
    # a potential within rounding of the threshold may fire in one only: in one image at most
    same = (logits - expected).abs().amax(1) < 1e-4 * (1 + expected.abs().amax(1))
    assert expected.std() > 1e-3 and same.sum() >= len(images) - 1
    return deployed


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"time_steps": 1, "heads": 4, "mlp_ratio": 3},
        {"width": 40, "heads": 5, "tau": 1.5},
        {"width": 144, "heads": 3, "depth": 1, "time_steps": 2},
        {"side": 28, "channels": 1, "qkv_bias": False},
    ],
)
def test_it_computes_what_the_network_does(changes):
    model = replace(MODEL, **changes)
    agrees(lively(model), model, torch.randn(9, model.channels, model.side, model.side))


def test_event_frames():
    agrees(lively(EVENTS), EVENTS, 2 * torch.rand(6, 3, 2, 32, 32))


@pytest.mark.parametrize("sparsity", [0.5, 0.9, 0.98])
def test_a_ticket_without_its_dead_neurons(sparsity):
    network = lively(MODEL)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.bias[::3] = 2.5  # so that some neurons without weights fire by their bias
    deployed = agrees(ticket(network, sparsity), MODEL, torch.randn(8, 3, 32, 32))
    hidden, of = deployed.left["fc1"]
    assert of == 2 * 4 * 64 and (hidden < of) == (sparsity >= 0.9)


def test_a_head_without_values_is_gone():
    network = lively(MODEL)
    with torch.no_grad():
        network.blocks[0].attention.proj.linear.weight[:, :32] = 0
    assert agrees(network, MODEL, torch.randn(4, 3, 32, 32)).left["heads"] == (3, 4)


def test_a_network_of_which_nothing_is_left_still_answers():
    network = lively(MODEL).eval()
    with torch.no_grad():
        for name, p in network.named_parameters():
            if p.ndim > 1 and not name.startswith("head"):
                p.zero_()
        images = torch.randn(2, 3, 32, 32)
        torch.testing.assert_close(Deployed(network, MODEL)(images), network(images))


@pytest.mark.parametrize("kind", ["learned", "firing_rate", "information"])
@pytest.mark.parametrize("dropped", ["removed", "bypass"])
def test_dropped_tokens_are_those_of_the_network(kind, dropped):
    model = replace(MODEL, depth=3)
    selector = Selector(kind=kind, dropped=dropped, keep_ratio=0.6, locations=(1, 2))
    agrees(lively(model, selector), model, torch.randn(6, 3, 32, 32))


def test_a_single_token_and_autocast():
    model = replace(MODEL, side=16, pool_stages=(0, 1, 2, 3))
    assert model.tokens == 1
    network, images = lively(model), torch.randn(5, 3, 16, 16)
    deployed = agrees(network, model, images)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = deployed(images)
    assert torch.equal(mixed, deployed(images))


def test_what_it_cannot_do_it_says():
    deployed = Deployed(Spikformer(MODEL), MODEL)
    for images in (
        torch.zeros(2, 3, 28, 28),
        torch.zeros(2, 4, 3, 32, 32),
        torch.zeros(2, 3, 32, 32).double(),
    ):
        with pytest.raises(
            ValueError, match=r"allowed: \[B, 3, 32, 32\], torch.float32, on the CPU"
        ):
            deployed(images)
    with pytest.raises(ValueError, match="one that goes by the tokens alone"):
        Deployed(Spikformer(MODEL, Selector(kind="attention", locations=(1,))), MODEL)


def test_without_a_compiler_it_says_so(monkeypatch):
    monkeypatch.setattr(build, "library", lambda *_, **__: None)
    with pytest.raises(ValueError, match="needs a C compiler"):
        Deployed(Spikformer(MODEL), MODEL)
