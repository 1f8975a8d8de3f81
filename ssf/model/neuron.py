"""The one spiking neuron used everywhere: SpikingJelly's LIF node, reset before every input."""

import torch
from spikingjelly.activation_based import surrogate
from spikingjelly.activation_based.neuron import LIFNode

from ssf.config import Refused
from ssf.model import kernels


class LIF(LIFNode):
    """Leaky integrate-and-fire over a sequence: currents [T, ...] -> spikes {0, 1} [T, ...].

    With membrane potential V, current I (both in the threshold's unit) and tau in time steps::

        H[t] = V[t-1] + (I[t] - V[t-1]) / tau       charge (decay_input = True, V_reset = 0)
        S[t] = 1 if H[t] >= v_threshold else 0      fire
        V[t] = H[t] (1 - S[t])                      hard reset to 0

    (Fang et al., Science Advances 2023, eqs. 1-3; values as in Spikformer, Zhou et al., ICLR 2023.)
    The step has the gradient of sigmoid(alpha (H - v_threshold)); the reset passes none. V starts
    at 0 in every call, unless `carries_over` is set, to show what the published code does to its
    teacher. Currents may be bfloat16, and so are the spikes then; potentials are float32 always.
    """

    carries_over = False

    def __init__(self, tau=2.0, v_threshold=1.0, alpha=4.0):
        fire = surrogate.Sigmoid(alpha)
        super().__init__(float(tau), True, float(v_threshold), 0.0, fire, True, step_mode="m")
        self.alpha = alpha

    def multi_step_forward(self, x_seq, norm=None, time_steps=None):
        """Spikes of currents [T, ..., C], or of one, [1, ..., C], seen in each of `time_steps`.

        norm: a BatchNorm over the last dimension that comes first. Raises Refused for another T.
        """
        if time_steps and len(x_seq) not in (1, time_steps):
            raise Refused(f"currents are of {len(x_seq)} time steps; "
                          f"allowed: {time_steps}, or one that is repeated.")  # fmt: skip
        if not self.carries_over:
            spikes = kernels.lif(x_seq, norm, time_steps, self.tau, self.v_threshold, self.alpha)
            if spikes is not None:
                return spikes
        dtype, x_seq = x_seq.dtype, x_seq.to(torch.promote_types(x_seq.dtype, torch.float32))
        if norm is not None:
            x_seq = norm(x_seq.flatten(0, -2)).view(x_seq.shape)
        x_seq = x_seq.expand(time_steps or -1, *x_seq.shape[1:])
        if not self.carries_over or getattr(self.v, "shape", None) != x_seq.shape[1:]:
            self.reset()
        spikes = super().multi_step_forward(x_seq).to(dtype)
        if not self.carries_over:
            self.reset()  # drops the last potential, and with it the graph it hangs on
        return spikes
