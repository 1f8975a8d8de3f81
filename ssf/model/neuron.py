"""The one spiking neuron used everywhere: SpikingJelly's leaky integrate-and-fire node, reset before every input."""

import torch
from spikingjelly.activation_based import surrogate
from spikingjelly.activation_based.neuron import LIFNode
from torch import nn

from ssf.config import Refused
from ssf.kernels import build


def affine(norm):
    """What a BatchNorm does at inference, scale · x + shift: both [C], float64."""
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return scale, norm.bias.double() - norm.running_mean.double() * scale


class LIF(LIFNode):
    """Leaky integrate-and-fire over a sequence: currents [T, ...] in, spikes {0, 1} of the same shape out.

    With membrane potential V (unit: the threshold's), input current X and time constant tau (unit: time steps),

        H[t] = V[t-1] + (X[t] - V[t-1]) / tau       charge (decay_input = True, V_reset = 0)
        S[t] = 1 if H[t] >= v_threshold else 0      fire
        V[t] = H[t] (1 - S[t])                      hard reset to 0

    (Fang et al., Science Advances 2023, eqs. 1-3; the values are those of Spikformer, Zhou et al., ICLR 2023.)
    The step of `fire` has the gradient of sigmoid(alpha (H - v_threshold)); the reset passes none (detach_reset).
    V starts at 0 in every call: nothing leaks from one batch into the next, unless `carries_over` is set, which is
    there to show what the published code does to its teacher. Potentials are float32 also under autocast.
    """

    carries_over = False

    def __init__(self, tau=2.0, v_threshold=1.0, alpha=4.0):
        super().__init__(
            tau=float(tau), decay_input=True, v_threshold=float(v_threshold), v_reset=0.0,
            surrogate_function=surrogate.Sigmoid(alpha), detach_reset=True, step_mode="m",
        )  # fmt: skip
        self.alpha = alpha

    def multi_step_forward(self, x_seq, norm=None, time_steps=None):
        """Spikes of currents [T, ..., C], or of one current [1, ..., C] seen in each of `time_steps`.

        norm: a BatchNorm over the last dimension that comes first. On a CPU it is one pass over memory with the neuron
        (at inference that is its folding into the layer before it).
        """
        if x_seq.dtype in (torch.bfloat16, torch.float16):
            x_seq = x_seq.float()
        constants = float(self.tau), float(self.v_threshold), float(self.alpha)
        fast = (
            x_seq.device.type == "cpu"
            and x_seq.dtype == torch.float32
            and x_seq.numel()
            and not self.carries_over
        )
        fast = fast and build.library("lif", TIME=time_steps or len(x_seq))
        if time_steps and len(x_seq) not in (1, time_steps):
            raise Refused(
                f"currents are of {len(x_seq)} time steps; allowed: {time_steps}, or one that is repeated."
            )
        if fast and self._knows(norm, x_seq):
            if norm.training:
                return self._of_batch(x_seq, norm, time_steps, constants)
            if not torch.is_grad_enabled():
                steps = build.Steps(x_seq, x_seq.shape[-1], time_steps)
                return build.lif_forward(
                    steps, *map(steps.over_block, affine(norm)), *constants[:2]
                )
        if norm is not None:
            x_seq = norm(x_seq.flatten(0, -2)).view(x_seq.shape)
        x_seq = x_seq.expand(time_steps or -1, *x_seq.shape[1:])
        if fast:
            return build.LIF.apply(x_seq, constants)
        if self.carries_over:
            if (
                getattr(self.v, "shape", None) != x_seq.shape[1:]
            ):  # the first batch, or a smaller last one
                self.reset()
            return super().multi_step_forward(x_seq)
        self.reset()
        spikes = super().multi_step_forward(x_seq)
        self.reset()  # drops the last potential, and with it the graph it hangs on
        return spikes

    @staticmethod
    def _knows(norm, x):
        """Is this a BatchNorm that the kernel computes?"""
        if (
            type(norm) is not nn.BatchNorm1d
            or norm.momentum is None
            or not (norm.affine and norm.track_running_stats)
        ):
            return False
        return (
            norm.weight.device.type == "cpu"
            and norm.weight.dtype == torch.float32
            and x.numel() > x.shape[-1]
        )

    @staticmethod
    def _of_batch(x, norm, time_steps, constants):
        spikes, mean, var = build.LIFOfNorm.apply(
            x, norm.weight, norm.bias, norm.eps, time_steps, constants
        )
        count = x.numel() / x.shape[-1]
        with torch.no_grad():
            norm.num_batches_tracked += 1
            norm.running_mean.lerp_(mean.float(), norm.momentum)
            norm.running_var.lerp_((var * count / (count - 1)).float(), norm.momentum)
        return spikes
