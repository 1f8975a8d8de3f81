import torch

from ssf.neurons import LIF


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


def test_nothing_leaks_from_one_call_into_the_next():
    lif, x = LIF(), torch.full((3, 4), 0.9)
    first = lif(x)
    assert torch.equal(first, lif(x)) and torch.equal(lif(-x), torch.zeros(3, 4))
