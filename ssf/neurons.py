"""The one spiking neuron used everywhere: SpikingJelly's leaky integrate-and-fire node, reset before every input."""

from spikingjelly.activation_based import surrogate
from spikingjelly.activation_based.neuron import LIFNode


class LIF(LIFNode):
    """Leaky integrate-and-fire over a sequence: currents [T, ...] in, spikes {0, 1} of the same shape out.

    With membrane potential V (unit: the threshold's), input current X and time constant tau (unit: time steps),

        H[t] = V[t-1] + (X[t] - V[t-1]) / tau       charge (decay_input = True, V_reset = 0)
        S[t] = 1 if H[t] >= v_threshold else 0      fire
        V[t] = H[t] (1 - S[t])                      hard reset to 0

    (Fang et al., Science Advances 2023, eqs. 1-3; the values are those of Spikformer, Zhou et al., ICLR 2023.)
    The step of `fire` has the gradient of sigmoid(alpha (H - v_threshold)); the reset passes none (detach_reset).
    V starts at 0 in every call: nothing leaks from one batch into the next.
    """

    def __init__(self, tau=2.0, v_threshold=1.0, alpha=4.0):
        super().__init__(
            tau=tau,
            decay_input=True,
            v_threshold=v_threshold,
            v_reset=0.0,
            surrogate_function=surrogate.Sigmoid(alpha),
            detach_reset=True,
            step_mode="m",
        )

    def multi_step_forward(self, x_seq):
        self.reset()
        spikes = super().multi_step_forward(x_seq)
        self.reset()  # drops the last potential, and with it the graph it hangs on
        return spikes
