"""Products with spikes: the same numbers and gradients as torch's."""

import pytest
import torch
import torch.nn.functional as F

from ssf.kernels import build
from ssf.kernels.spikes import DENSE, Grid, product

pytestmark = pytest.mark.skipif(
    build.library("events", TIME=1, VECS=1) is None, reason="no C compiler here"
)


def spikes(*shape, rate=0.1):
    return (torch.rand(shape) < rate).float()


@pytest.mark.parametrize("c_in, c_out", [(5, 16), (64, 48), (100, 128), (200, 32)])
@pytest.mark.parametrize("tokens", [1, 9])
def test_a_linear_layer(c_in, c_out, tokens):
    x = spikes(6, tokens, c_in).requires_grad_()
    weight = torch.randn(c_out, c_in, requires_grad=True)
    bias = torch.randn(c_out, requires_grad=True)
    ours = product(x, weight[..., None], bias, Grid(tokens=tokens))
    compare(ours, F.linear(x, weight, bias), (x, weight, bias))


@pytest.mark.parametrize(
    "c_in, c_out, side", [(3, 16, 7), (8, 16, 8), (16, 32, 5), (32, 64, 4), (70, 16, 3)]
)
def test_a_convolution(c_in, c_out, side):
    x = spikes(3, side * side, c_in).requires_grad_()
    weight = torch.randn(c_out, c_in, 3, 3, requires_grad=True)
    maps = x.unflatten(1, (side, side)).permute(0, 3, 1, 2)
    torchs = F.conv2d(maps, weight, padding=1).permute(0, 2, 3, 1).flatten(1, 2)
    compare(product(x, weight.flatten(2), None, Grid(side=side)), torchs, (x, weight))


def compare(ours, torchs, leaves):
    torch.testing.assert_close(ours, torchs, atol=1e-4, rtol=1e-4)
    grad = torch.randn_like(torchs)
    for mine, theirs in zip(
        *(torch.autograd.grad(out, leaves, grad) for out in (ours, torchs)), strict=True
    ):
        torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=1e-4)


def test_where_a_product_is_better_it_says_none():
    weight, grid = torch.randn(16, 64, 1), Grid(tokens=4)
    assert product(spikes(8, 4, 64, rate=DENSE + 0.2), weight, None, grid) is None
    assert product(spikes(8, 4, 64), weight[:5], None, grid) is None
    assert product(spikes(8, 4, 64).double(), weight.double(), None, grid) is None
    assert product(spikes(8, 4, 64), weight.bfloat16(), None, grid) is None
    assert product(spikes(8, 4, 64), weight, None, grid) is not None


def test_spikes_that_need_no_gradient():
    weight = torch.randn(16, 64, 1, requires_grad=True)
    product(spikes(8, 4, 64), weight, None, Grid(tokens=4)).sum().backward()
    assert weight.grad.norm() > 0
