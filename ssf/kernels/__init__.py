"""Kernels in C for the CPU. `build`: compiled and bound; `neurons`, `pooling`, `spikes`: the calls.

The model makes one call for each product (`linear`, `conv3x3`), neuron (`lif`) and pooling
(`max_pool`); None is the answer where torch's or SpikingJelly's own code is to compute. `path()`
says, for a run's record, what computes on this machine.
"""

from ssf.kernels.build import multiplies_bfloat16, path
from ssf.kernels.neurons import lif
from ssf.kernels.pooling import max_pool
from ssf.kernels.spikes import conv3x3, linear

__all__ = ["conv3x3", "lif", "linear", "max_pool", "multiplies_bfloat16", "path"]
