"""fit and evaluate: from a RunConfig and starting weights to trained weights and a learning curve."""

import math
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from tqdm import tqdm

from ssf import data
from ssf.config import Refused
from ssf.neurons import LIF
from ssf.selector import selector_loss
from ssf.spikformer import Spikformer


@dataclass
class Trained:
    """The outcome of `fit`: the network, one dict an epoch, snapshots asked for by epoch, seconds of training."""

    network: Spikformer
    history: list
    snapshots: dict
    seconds: float


def device():
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def own_random_state():
    """A context in which seeds can be set without the rest of the program noticing."""
    return torch.random.fork_rng(devices=[torch.cuda.current_device()] if torch.cuda.is_available() else [])


def learning_rate(train, progress):
    """Learning rate after `progress` epochs: linear warm-up from min_lr, then a cosine back to it at the last epoch."""
    if progress < train.warmup_epochs:
        return train.min_lr + (train.lr - train.min_lr) * progress / train.warmup_epochs
    share = (progress - train.warmup_epochs) / max(train.epochs - train.warmup_epochs, 1e-9)
    return train.min_lr + (train.lr - train.min_lr) * (1 + math.cos(math.pi * min(share, 1))) / 2


def optimiser(network, train):
    """AdamW; weight decay on weights only, not on biases and BatchNorm (as timm does for the published code)."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    rest = [p for p in network.parameters() if p.ndim <= 1]
    return torch.optim.AdamW(
        [{"params": decayed, "weight_decay": train.weight_decay}, {"params": rest, "weight_decay": 0.0}], lr=train.lr
    )


def make_network(config, seed=None):
    """The untrained network of a config, initialised by its seed (or another one)."""
    with own_random_state():
        torch.manual_seed(config.seed if seed is None else seed)
        return Spikformer(config.model, config.selector)


@torch.no_grad()
def evaluate(network, images, labels, batch_size=250):
    """(accuracy, mean cross-entropy) on standardised images. The random selector draws the same tokens every time."""
    network.eval()
    with own_random_state():
        torch.manual_seed(0)
        logits = torch.cat([network(x) for x, _ in data.batches(images, labels, batch_size)])
    return (logits.argmax(1) == labels).float().mean().item(), F.cross_entropy(logits, labels).item()


def apply_masks(network, masks):
    """Set the pruned weights to exactly zero, in place."""
    with torch.no_grad():
        for name, mask in masks.items():
            network.get_parameter(name).mul_(mask)


def prepare_teacher(teacher, in_training_mode=False):
    """Put a teacher in eval mode with potentials that start at rest; or leave it as the published code does.

    in_training_mode: it normalises by its batch, and its potentials are never reset.
    """
    teacher.train(in_training_mode)
    for module in teacher.modules():
        if isinstance(module, LIF):
            module.carries_over = in_training_mode
            module.reset()
    return teacher


NEAR_ZERO = 1e-6  # the published code's idea of a pruned weight


def freeze_near_zero(network):
    """No gradient for weights below 1e-6, pruned or not: how the published code holds pruned weights at zero."""
    for p in network.parameters():
        if p.ndim > 1 and p.grad is not None:
            p.grad[p.abs() < NEAR_ZERO] = 0


def fit(
    config,
    network,
    dataset=None,
    masks=None,
    teacher=None,
    first_epoch=0,
    last_epoch=None,
    snapshot_epochs=(),
    optimiser_state=None,
):
    """Train `network` by `config.train`; test images are not looked at.

    Args:
        masks: {parameter name: bool tensor}; weights outside it are held at exactly zero.
        teacher: a trained dense network, for the selector's distillation loss.
        first_epoch, last_epoch: resume the schedule at this epoch, stop it before that one (late rewinding).
        snapshot_epochs: keep a `snapshot` as it is after so many epochs.
        optimiser_state: a snapshot whose moments the optimiser starts from.

    Raises ValueError where the loss stops being a number.
    """
    dataset = dataset or data.load(config.data.name)
    where = device()
    network = network.to(where)
    masks = {name: mask.to(where) for name, mask in (masks or {}).items()}
    if teacher:
        prepare_teacher(teacher.to(where), config.selector.teacher_in_training_mode)
    (images, labels), held_out = (
        (dataset.standardise(dataset.train_images[part]).to(where), dataset.train_labels[part].to(where))
        for part in data.split(dataset.train_labels, config.data.train_size, config.data.validation_share, config.seed)
    )
    opt = optimiser(network, config.train)
    if optimiser_state:
        restore_moments(network, opt, optimiser_state)
    apply_masks(network, masks)
    history, snapshots, start = [], {}, time.perf_counter()
    last_epoch = config.train.epochs if last_epoch is None else last_epoch
    with own_random_state():
        for epoch in tqdm(range(first_epoch, last_epoch), desc="epochs", leave=False, disable=None):
            if epoch in snapshot_epochs:
                snapshots[epoch] = snapshot(network, opt)
            seed = config.seed * 1009 + epoch
            torch.manual_seed(seed)  # of Gumbel noise and random tokens
            generator = torch.Generator().manual_seed(seed)
            loss, accuracy = _epoch(
                config,
                network,
                opt,
                epoch,
                masks,
                teacher,
                data.batches(images, labels, config.train.batch_size, generator, config.data.augment),
                math.ceil(len(labels) / config.train.batch_size),
            )
            row = {"epoch": epoch + 1, "train_loss": loss, "train_accuracy": accuracy}
            if len(held_out[1]):
                row["validation_accuracy"], _ = evaluate(network, *held_out)
            history.append(row)
    if last_epoch in snapshot_epochs:
        snapshots[last_epoch] = snapshot(network, opt)
    return Trained(network.eval(), history, snapshots, time.perf_counter() - start)


def _loss(config, network, teacher, x, y):
    """Training loss of one batch, and its logits [B,classes]."""
    with torch.autocast(x.device.type, torch.bfloat16, enabled=config.train.mixed_precision):
        logits, kept = network.forward_tokens(x)
        if config.selector:
            with torch.no_grad():
                target = teacher(x).float()
    logits = logits.float()
    if config.selector:
        return selector_loss(logits, y, kept, target, config.selector, config.train.label_smoothing), logits
    return F.cross_entropy(logits, y, label_smoothing=config.train.label_smoothing), logits


def _epoch(config, network, opt, epoch, masks, teacher, stream, steps):
    """One epoch; returns (mean training loss, training accuracy). No step is taken on a single image (BatchNorm)."""
    network.train()
    near_zero = config.ticket is not None and config.ticket.freeze == "near_zero"
    total = correct = seen = 0
    for step, (x, y) in enumerate(stream):
        if len(y) == 1 and seen:
            continue
        for group in opt.param_groups:
            group["lr"] = learning_rate(config.train, epoch + step / steps)
        loss, logits = _loss(config, network, teacher, x, y)
        if not torch.isfinite(loss):
            raise Refused(
                f"the loss is {loss.item()} in epoch {epoch + 1}, step {step + 1}, at a learning rate of "
                f"{opt.param_groups[0]['lr']:.2g}; try a smaller train.lr."
            )
        opt.zero_grad()
        loss.backward()
        if near_zero:
            freeze_near_zero(network)
        opt.step()
        if not near_zero:
            apply_masks(network, masks)
        total += loss.item() * len(y)
        correct += (logits.argmax(1) == y).sum().item()
        seen += len(y)
    return total / seen, correct / seen


def copy_weights(network):
    """{name: tensor} of all parameters and buffers, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


MOMENTS = "optimiser."  # prefix of the optimiser's tensors in a snapshot


def snapshot(network, opt):
    """{name: tensor} of a moment in training: weights, BatchNorm's statistics and the optimiser's moments."""
    moments = {
        f"{MOMENTS}{name}.{key}": value.detach().cpu().clone()
        for name, p in network.named_parameters()
        for key, value in opt.state[p].items()
    }
    return copy_weights(network) | moments


def restore_moments(network, opt, tensors):
    """Give the optimiser the moments of a snapshot."""
    for name, p in network.named_parameters():
        prefix = f"{MOMENTS}{name}."
        opt.state[p] = {
            k.removeprefix(prefix): v.clone().to(p.device if v.ndim else "cpu")
            for k, v in tensors.items()
            if k.startswith(prefix)
        }
