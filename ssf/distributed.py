"""One training over several processes (torchrun): who am I, whose share of a batch, one BatchNorm
for all."""

import os
import warnings
from contextlib import contextmanager, nullcontext
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel


def rank():
    return dist.get_rank() if dist.is_initialized() else 0


def size():
    """Number of processes that train together, 1 without torchrun."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def processes():
    """Join the other processes where torchrun has started several: nccl on GPUs, gloo on CPUs."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        # what replaces these is not in the oldest torch that we run with
        for start in ("`broadcast_buffers` is deprecated", "torch.distributed.nn.functional"):
            warnings.filterwarnings("ignore", start, FutureWarning)
        # of one-channel convolutions
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view")
        cuda = torch.cuda.is_available()
        if cuda:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        # a long wait: the first process may find another training the same run
        dist.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(days=7))
    try:
        yield
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


@contextmanager
def first_process_in(context):
    """The first process enters the context, the others wait until it has, and at the end until all
    are done."""
    with context if rank() == 0 else nullcontext():
        barrier()
        yield
        barrier()


def barrier():
    if size() > 1:
        dist.barrier()


def agreed(fact):
    """What the first process takes for a fact, so that all do the same."""
    if size() == 1:
        return fact
    facts = [fact]
    dist.broadcast_object_list(facts)
    return facts[0]


def share(*tensors):
    """This process's part of each tensor [B, ...], and its weight, so that means over parts average
    to the mean of all.

    A batch with fewer images than processes is done by each as a whole.
    """
    if size() == 1 or len(tensors[0]) < size():
        return *tensors, 1.0
    parts = [tensor.tensor_split(size())[rank()] for tensor in tensors]
    return *parts, len(parts[0]) * size() / len(tensors[0])


def mean(value):
    """Mean of a tensor over the processes."""
    if size() == 1:
        return value
    value = value.clone()
    dist.all_reduce(value)
    return value / size()


class SyncBatchNorm(nn.BatchNorm1d):
    """BatchNorm over the batches of all processes; x [n, C]. torch's own runs on GPUs only."""

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        dtype = x.dtype
        x = x.to(torch.promote_types(dtype, torch.float32))  # bfloat16 can't count
        count = all_reduce(torch.tensor([len(x)], dtype=x.dtype, device=x.device))
        mean = all_reduce(x.sum(0)) / count
        centred = x - mean
        var = all_reduce((centred**2).sum(0)) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * count / (count - 1), self.momentum)
        scale = (var + self.eps).rsqrt() * self.weight
        return (centred * scale + self.bias).to(dtype)


def synchronised(network):
    """The network with one BatchNorm for all processes, in place; its weights keep their names."""
    if size() == 1:
        return network
    if next(network.parameters()).is_cuda:
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.__class__ = SyncBatchNorm
    return network


class _Step(nn.Module):
    """DistributedDataParallel averages the gradients of what goes through `forward`."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images, foreground=None):
        return self.network.forward_tokens(images, foreground)


def forward_of(network):
    """The network's forward_tokens, with gradients averaged over the processes."""
    if size() == 1:
        return network.forward_tokens
    return DistributedDataParallel(_Step(network), broadcast_buffers=False)
