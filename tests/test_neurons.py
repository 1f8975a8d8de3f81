import pytest
import torch
from torch import nn

from ssf import folders
from ssf.kernels import build
from ssf.model.neuron import LIF
from ssf.model.spikformer import MaxPool


def by_equation(x, tau, v_threshold):
    """Spikes of the LIF's three equations, one time step after the other."""
    v, out = torch.zeros_like(x[0]), []
    for current in x:
        h = v + (current - v) / tau
        s = (h >= v_threshold).float()
        v = h * (1 - s)
        out.append(s)
    return torch.stack(out)


def test_spikes_follow_the_equation():
    x = 3 * torch.randn(6, 5, 7)
    for tau, v_threshold in [(2.0, 1.0), (2.0, 0.5), (1.5, 1.0)]:
        spikes = LIF(tau, v_threshold)(x)
        assert 0 < spikes.mean() < 1
        assert torch.equal(spikes, by_equation(x, tau, v_threshold))


def test_a_potential_exactly_at_the_threshold_fires_and_is_reset():
    # tau = 2: H = 1 fires at once; after the reset the same current is needed again
    x = torch.tensor([2.0, 1.0, 1.5, 0.5])[:, None]
    assert LIF(2.0, 1.0)(x).flatten().tolist() == [1, 0, 1, 0]


def test_gradient_is_the_sigmoids_with_the_reset_detached():
    tau, v_threshold, alpha = 2.0, 1.0, 4.0
    x = (2 * torch.randn(4, 50)).requires_grad_()
    weights = torch.randn(4, 50)
    (LIF(tau, v_threshold, alpha)(x) * weights).sum().backward()

    # by hand: dH[t]/dV[t-1] = 1 - 1/tau, dV[t]/dH[t] = 1 - S[t], dS/dH = alpha sigma (1 - sigma)
    with torch.no_grad():
        v, hs = torch.zeros(50), []
        for current in x:
            h = v + (current - v) / tau
            v = h * (h < v_threshold)
            hs.append(h)
        expected, from_later = torch.zeros_like(x), torch.zeros(50)
        for t in reversed(range(4)):
            sigma = torch.sigmoid(alpha * (hs[t] - v_threshold))
            to_h = weights[t] * alpha * sigma * (1 - sigma) + from_later * (hs[t] < v_threshold)
            expected[t] = to_h / tau
            from_later = to_h * (1 - 1 / tau)
    torch.testing.assert_close(x.grad, expected)


@pytest.fixture(params=["kernel", "torch"])
def either(request, monkeypatch):
    """With the kernel, where a C compiler is there, and without."""
    if request.param == "torch":
        monkeypatch.setattr(build, "library", lambda *_, **__: None)
    elif build.library("lif", TIME=4) is None:
        pytest.skip("no C compiler here")


def test_nothing_leaks_from_one_call_into_the_next(either):
    lif, x = LIF(), torch.full((3, 4), 0.9)
    first = lif(x)
    assert torch.equal(first, lif(x)) and torch.equal(lif(-x), torch.zeros(3, 4))
    lif(x[:, :2].clone().requires_grad_()).sum().backward()  # another shape, and no graph left over
    lif(x[:, :2].clone().requires_grad_()).sum().backward()


def with_and_without_kernel(monkeypatch, compute):
    if build.library("lif", TIME=4) is None:
        pytest.skip("no C compiler here: SpikingJelly's own code runs, and is tested above")
    first = compute()
    monkeypatch.setattr(build, "library", lambda *_, **__: None)
    return first, compute()


@pytest.mark.parametrize(
    "time, shape, tau", [(1, (3,), 2.0), (4, (5, 700), 2.0), (16, (513,), 3.0), (3, (2, 4, 8), 1.5)]
)
@pytest.mark.parametrize("repeated", [False, True])
def test_the_kernel_is_spikingjellys_neuron(monkeypatch, time, shape, tau, repeated):
    """Same spikes; gradients to rounding. Also for one current repeated in every step."""
    x = 3 * torch.randn(1 if repeated else time, *shape)
    weights = torch.randn(time, *shape)

    def compute():
        leaf = x.clone().requires_grad_()
        spikes = LIF(tau, 1.0, 4.0)(leaf.expand(time, *shape))
        (spikes * weights).sum().backward()
        return spikes.detach(), leaf.grad

    (spikes, grad), (expected_spikes, expected_grad) = with_and_without_kernel(monkeypatch, compute)
    assert torch.equal(spikes, expected_spikes)
    torch.testing.assert_close(grad, expected_grad, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize(
    "time, rows, channels, tau", [(4, 300, 24, 2.0), (3, 40, 700, 1.5), (1, 2000, 3, 2.0)]
)
def test_the_kernels_batchnorm_is_torchs(monkeypatch, time, rows, channels, tau, repeated):
    """Spikes but at the threshold, gradients, running statistics; far from 0, for lost digits."""
    torch.manual_seed(0)
    x = 40 + 3 * torch.randn(1 if repeated else time, rows, channels)
    weights = torch.randn(time, rows, channels)

    def compute():
        norm, leaf = nn.BatchNorm1d(channels), x.clone().requires_grad_()
        with torch.no_grad():
            norm.weight.copy_(torch.linspace(0.5, 3, channels))
            norm.bias.copy_(torch.linspace(-1, 1, channels))
        spikes = LIF(tau)(leaf, norm, time)
        (spikes * weights).sum().backward()
        with torch.no_grad():
            later = LIF(tau)(x, norm.eval(), time)
        return (
            spikes.detach(),
            leaf.grad,
            norm.weight.grad,
            norm.bias.grad,
            norm.running_mean,
            norm.running_var,
            later,
        )

    ours, torchs = with_and_without_kernel(monkeypatch, compute)
    for i in (0, 6):
        assert 0.01 < ours[i].mean() < 0.99 or i == 6
        assert (ours[i] != torchs[i]).float().mean() < 1e-3
    torch.testing.assert_close(ours[1], torchs[1], atol=2e-3, rtol=1e-2)
    for i in (2, 3):
        assert (ours[i] - torchs[i]).norm() < 1e-3 * torchs[i].norm()
    for i in (4, 5):
        torch.testing.assert_close(ours[i], torchs[i], rtol=1e-5, atol=1e-6)


def test_batchnorm_in_eval_mode_still_passes_gradients(monkeypatch):
    x = 2 * torch.randn(4, 50, 8)

    def compute():
        norm, leaf = nn.BatchNorm1d(8).eval(), x.clone().requires_grad_()
        LIF()(leaf, norm).sum().backward()
        return leaf.grad

    ours, torchs = with_and_without_kernel(monkeypatch, compute)
    torch.testing.assert_close(ours, torchs, atol=1e-6, rtol=1e-5)
    assert ours.norm() > 0


def test_a_current_that_is_not_dense_in_memory(either):
    x = (3 * torch.randn(4, 6, 5)).transpose(1, 2)
    assert torch.equal(LIF()(x), by_equation(x, 2.0, 1.0))


def test_without_a_compiler_spikingjellys_code_runs(monkeypatch):
    build.library.cache_clear()
    monkeypatch.setenv("SSF_KERNEL", "0")
    x = 3 * torch.randn(4, 50)
    assert build.library("lif", TIME=4) is None and torch.equal(LIF()(x), by_equation(x, 2.0, 1.0))
    build.library.cache_clear()


def test_the_kernel_is_kept_elsewhere_where_the_cache_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(folders.tempfile, "gettempdir", lambda: str(tmp_path))
    assert folders.cache().is_relative_to(tmp_path) and folders.cache().is_dir()


def test_whole_numbers_and_other_defaults_of_torch_change_nothing(either):
    x = (3 * torch.randn(4, 50)).requires_grad_()
    expected = LIF(2.0, 1.0, 4.0)(x)
    (grad,) = torch.autograd.grad(expected.sum(), x)
    torch.set_default_dtype(torch.float64)
    try:
        spikes = LIF(2, 1, 4)(x)
        (other,) = torch.autograd.grad(spikes.sum(), x)
    finally:
        torch.set_default_dtype(torch.float32)
    assert spikes.dtype == torch.float32 and torch.equal(spikes, expected)
    torch.testing.assert_close(other, grad)


def test_time_steps_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="currents are of 3 time steps; allowed: 4"):
        LIF()(torch.randn(3, 5, 8), nn.BatchNorm1d(8), 4)


def in_float64(x, norm, grad, tau, v_threshold, alpha):
    """Spikes of currents x, and the gradients of x, to_x and `scale`, by hand in float64.

    to_x: the gradient of the normalised current; `scale` times it is what BatchNorm passes on.
    """
    x = x.double().requires_grad_()
    mean, var = x.mean((0, 1)), x.var((0, 1), unbiased=False)
    scale = norm.weight.double() / (var + norm.eps).sqrt()
    currents = (x - mean) * scale + norm.bias.double()
    currents.retain_grad()
    spikes = LIF(tau, v_threshold, alpha)(currents)
    (spikes * grad.double()).sum().backward()
    return spikes, x.grad, currents.grad, scale.detach()


def test_gradients_in_bfloat16_err_by_two_roundings():
    """Against float64, with the currents as they are in memory.

    The kernel computes in float32 and rounds twice to bfloat16, each time by a relative 2⁻⁸ at
    most: the normalised current's gradient g, and scale · g + b · x + c, what BatchNorm makes of
    it. So the result errs by 2⁻⁸ (|scale · g| + |result|), and what float32 adds.
    """
    if build.library("lif", TIME=4, HALF=1) is None:
        pytest.skip("no C compiler here")
    torch.manual_seed(0)
    x, grad = (torch.randn(4, 500, 24).bfloat16() for _ in range(2))
    norm, neuron = nn.BatchNorm1d(24), (2.0, 1.0, 4.0)
    nn.init.constant_(norm.bias, 0.5)  # or few would fire
    leaf = x.clone().requires_grad_()
    spikes = LIF(*neuron)(leaf, norm)
    spikes.backward(grad)
    expected, to_x, to_current, scale = in_float64(x, norm, grad, *neuron)
    assert spikes.dtype == leaf.grad.dtype == torch.bfloat16
    same = (spikes == expected).all(0)  # but potentials within float32's rounding of the threshold
    assert same.float().mean() > 0.999 and 0.05 < spikes.float().mean() < 0.95
    error = (leaf.grad.double() - to_x).abs()[:, same]
    bound = (2**-8 * ((scale * to_current).abs() + to_x.abs()) + 1e-5)[:, same]
    assert (error <= bound).all() and (error > 0.2 * bound).any()


def test_a_neuron_without_batchnorm_rounds_once():
    x, grad = torch.randn(4, 700).bfloat16(), torch.randn(4, 700).bfloat16()
    leaf, wide = x.clone().requires_grad_(), x.double().requires_grad_()
    spikes, expected = LIF()(leaf), LIF()(wide)
    assert torch.equal(spikes.double(), expected)
    spikes.backward(grad)
    expected.backward(grad.double())
    torch.testing.assert_close(leaf.grad.double(), wide.grad, rtol=2**-8, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 16, 8, 8), (2, 5, 7, 9), (2, 130, 4, 4)])
@pytest.mark.parametrize("values", ["spikes", "numbers"])
def test_the_kernels_pooling_is_torchs(monkeypatch, dtype, shape, values):
    x = torch.randn(shape)
    x = (x > 0.5).float() if values == "spikes" else x
    x = x.to(dtype).contiguous(memory_format=torch.channels_last)

    def compute():
        leaf = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
        maxima = MaxPool()(leaf)
        maxima.backward(torch.linspace(-1, 1, maxima.numel()).view(maxima.shape).to(dtype))
        return maxima.detach(), leaf.grad

    (ours, to_x), (torchs, expected) = with_and_without_kernel(monkeypatch, compute)
    assert torch.equal(ours, torchs)
    if dtype == torch.float32:
        assert torch.equal(to_x, expected)
    else:  # torch rounds after each of up to four additions
        torch.testing.assert_close(to_x, expected, rtol=2**-7, atol=2**-7)
