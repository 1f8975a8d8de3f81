"""The library held against a second implementation: forward, gradients, tokens, events."""

from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naive import Naive, published
from torch.utils.flop_counter import FlopCounterMode

from ssf.config import Model, Selector
from ssf.model import cost
from ssf.model.spikformer import Spikformer

shapes = st.builds(
    lambda heads, width, **rest: Model(
        channels=2, side=16, heads=heads, width=8 * heads * width, mlp_ratio=2, **rest
    ),
    encoding=st.sampled_from(["direct", "frames"]),
    heads=st.sampled_from([1, 2, 4]),
    width=st.integers(1, 2),
    depth=st.integers(1, 3),
    time_steps=st.integers(1, 4),
    classes=st.integers(2, 5),
    attention_scale=st.sampled_from([0.125, 0.25]),
    qkv_bias=st.booleans(),
    pool_stages=st.sampled_from([(0, 1), (2, 3), (0, 1, 2), (0, 1, 2, 3)]),
)
selectors = st.none() | st.builds(
    Selector,
    keep_ratio=st.floats(0.2, 1.0),
    locations=st.sampled_from([(0,), (1,), (0, 2), (1, 2)]),
    dropped=st.sampled_from(["removed", "bypass"]),
    head_averages_dropped=st.booleans(),
)
property_test = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def make(model, selector):
    """A network in float64 that fires, no scale or bias at 1 or 0, its selector and images."""
    torch.manual_seed(0)
    if selector and selector.locations[-1] >= model.depth:
        selector = replace(selector, locations=(0,))
    network = Spikformer(model, selector).double()
    frames = (model.time_steps,) if model.encoding == "frames" else ()
    images = torch.randn(3, *frames, model.channels, model.side, model.side).double()
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    for parameter in network.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.3 * torch.rand_like(parameter)
    with torch.no_grad():
        network.train()(
            images
        )  # leaves these images' own statistics behind, so that eval mode fires too
    return network, selector, images


@property_test
@given(shapes, selectors)
def test_inference_is_the_one_written_out_from_the_equations(model, selector):
    network, selector, images = make(model, selector)
    with torch.no_grad():
        logits = network.eval()(images)
        expected = Naive(published(network, model.encoding == "frames"), model, selector).logits(
            images
        )
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)


@property_test
@given(shapes, selectors)
def test_training_logits_and_gradients_are_the_naive_ones(model, selector):
    network, selector, images = make(model, selector)
    taken = {}
    if selector:
        drawn = network.selector.decide

        def decide(block, tokens):
            taken[block] = drawn(block, tokens).detach().requires_grad_()
            if selector.removes:
                assert (
                    len(taken) < 2 or (list(taken.values())[-1] <= list(taken.values())[-2]).all()
                )
            return taken[block]

        network.selector.decide = decide
    weights = torch.randn(3, model.classes).double()
    network.train()
    logits = network(images)
    leaves = {n: p for n, p in network.named_parameters() if not n.startswith("selector")}
    ours = torch.autograd.grad((logits * weights).sum(), [*leaves.values(), *taken.values()])
    naive = Naive(
        published(network, model.encoding == "frames"),
        model,
        selector,
        training=True,
        decisions=taken,
    )
    expected = naive.logits(images)
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)
    theirs = torch.autograd.grad((expected * weights).sum(), [*leaves.values(), *taken.values()])
    for name, a, b in zip([*leaves, *taken], ours, theirs, strict=True):
        torch.testing.assert_close(
            a, b, rtol=1e-6, atol=1e-9, msg=lambda m, name=name: f"{name}: {m}"
        )


@property_test
@given(shapes, selectors)
def test_the_published_count_of_macs_is_that_of_the_naive_network(model, selector):
    """Every convolution in every time step, and (q kᵀ) v; torch counts, and counts a MAC as two."""
    network, selector, images = make(model, selector)
    state = published(network, model.encoding == "frames")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        Naive(state, model, selector).logits(images)
    assert counter.get_total_flops() == 2 * 3 * cost.macs(model, selector)


@pytest.mark.parametrize("encoding", ["direct", "frames"])
def test_the_networks_compared_do_fire(encoding):
    network, selector, images = make(
        Model(encoding, channels=2, side=16, depth=2, width=32, pool_stages=(0, 1)),
        Selector(keep_ratio=0.5),
    )
    logits = network.eval()(images)
    assert logits.std() > 0.005 and (logits[0] != logits[1]).any(), (
        "silent networks would pass any comparison"
    )
    loss = network.train()(images).square().sum()
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    assert sum(bool(g.any()) for g in gradients) > 0.8 * len(gradients)
