import pytest
import torch

from ssf import neurons
from ssf.neurons import LIF, kernel


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


@pytest.mark.parametrize("compiled", [True, False])
def test_nothing_leaks_from_one_call_into_the_next(monkeypatch, compiled):
    if not compiled:
        monkeypatch.setattr(neurons, "kernel", lambda: None)
    lif, x = LIF(), torch.full((3, 4), 0.9)
    first = lif(x)
    assert torch.equal(first, lif(x)) and torch.equal(lif(-x), torch.zeros(3, 4))
    lif(x[:, :2].clone().requires_grad_()).sum().backward()  # another shape, and no graph left over
    lif(x[:, :2].clone().requires_grad_()).sum().backward()


@pytest.mark.skipif(kernel() is None, reason="no C compiler here: SpikingJelly's own code runs, and is tested above")
@pytest.mark.parametrize(
    "time, shape, tau", [(1, (3,), 2.0), (4, (5, 700), 2.0), (16, (513,), 3.0), (3, (2, 4, 8), 1.5)]
)
@pytest.mark.parametrize("repeated", [False, True])
def test_the_kernel_is_spikingjellys_neuron(monkeypatch, time, shape, tau, repeated):
    """Same spikes; gradients to rounding. Also for one current repeated in every step, without a copy of it."""
    x = 3 * torch.randn(1 if repeated else time, *shape)
    weights = torch.randn(time, *shape)
    outcome = []
    for use in (kernel, lambda: None):
        monkeypatch.setattr(neurons, "kernel", use)
        leaf = x.clone().requires_grad_()
        spikes = LIF(tau, 1.0, 4.0)(leaf.expand(time, *shape))
        (spikes * weights).sum().backward()
        outcome.append((spikes.detach(), leaf.grad))
    (spikes, grad), (expected_spikes, expected_grad) = outcome
    assert torch.equal(spikes, expected_spikes)
    torch.testing.assert_close(grad, expected_grad, atol=1e-6, rtol=1e-5)


def test_a_current_that_is_not_dense_in_memory():
    x = (3 * torch.randn(4, 6, 5)).transpose(1, 2)
    assert torch.equal(LIF()(x), by_equation(x, 2.0, 1.0))


def test_without_a_compiler_spikingjellys_code_runs(monkeypatch):
    neurons.kernel.cache_clear()
    monkeypatch.setenv("SSF_KERNEL", "0")
    x = 3 * torch.randn(4, 50)
    assert kernel() is None and torch.equal(LIF()(x), by_equation(x, 2.0, 1.0))
    neurons.kernel.cache_clear()


def test_the_kernel_is_kept_elsewhere_where_the_cache_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(neurons.tempfile, "gettempdir", lambda: str(tmp_path))
    assert neurons.own_folder().is_relative_to(tmp_path) and neurons.own_folder().is_dir()
