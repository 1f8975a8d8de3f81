"""fit and evaluate: from a RunConfig and starting weights to trained weights and a learning curve."""

import math
import time
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from tqdm import tqdm

from ssf import distributed
from ssf.config import Failed
from ssf.datasets import sets
from ssf.model.neuron import LIF
from ssf.model.selector import selector_loss
from ssf.model.spikformer import Spikformer


@dataclass
class Moment:
    """Training as it is after so many epochs: what `fit` can start from, and what it hands on after every epoch.

    `tensors` is a `snapshot`, or a part of one: what is missing starts afresh. One dict an epoch in `history`.
    """

    epoch: int
    tensors: dict
    history: list = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class Trained:
    """The outcome of `fit`: the network, one dict an epoch, seconds of training, images of one epoch."""

    network: Spikformer
    history: list
    seconds: float
    images: int


def device():
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def own_random_state():
    """A context in which seeds can be set without the rest of the program noticing."""
    return torch.random.fork_rng(
        devices=[torch.cuda.current_device()] if torch.cuda.is_available() else []
    )


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
        [
            {"params": decayed, "weight_decay": train.weight_decay},
            {"params": rest, "weight_decay": 0.0},
        ],
        lr=train.lr,
    )


def make_network(config, seed=None):
    """The untrained network of a config, initialised by its seed (or another one)."""
    with own_random_state():
        torch.manual_seed(config.seed if seed is None else seed)
        return Spikformer(config.model, config.selector)


def truth(network, foreground):
    """What the oracle selector goes by, [B,N], of the pixels that are foreground [B,H,W]; None for other networks."""
    if foreground is None or network.selector is None or network.selector.kind != "oracle":
        return None
    return sets.token_shares(foreground, network.selector.tokens)


@torch.no_grad()
def evaluate(network, images, labels, foreground=None, prepare=None):
    """(accuracy, mean cross-entropy) on standardised images, or on others and what prepares them, batch by batch.

    The random selector draws the same tokens every time.
    """
    network.eval()
    with own_random_state():
        torch.manual_seed(0)
        parts = sets.batches((images, foreground))
        logits = torch.cat(
            [network(prepare(x) if prepare else x, truth(network, f)) for x, f in parts]
        )
    return (logits.argmax(1) == labels).float().mean().item(), F.cross_entropy(
        logits, labels
    ).item()


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


@torch.enable_grad()  # whatever the caller is doing
def fit(
    config,
    network,
    dataset=None,
    masks=None,
    teacher=None,
    start=None,
    last_epoch=None,
    after_epoch=None,
):
    """Train `network` by `config.train`. Test images are looked at after every epoch, and nothing follows from it.

    Every epoch draws from seeds of its own, so a Moment is all it takes to go on exactly. Started by torchrun, each
    process takes its share of every batch.

    Args:
        masks: {parameter name: bool tensor}; weights outside it are held at exactly zero.
        teacher: a trained dense network, for the selector's distillation loss.
        start: a Moment to go on from: that of an interrupted training, or the point a ticket is rewound to.
        last_epoch: stop the schedule after so many epochs.
        after_epoch: called with the Moment after every epoch.

    Raises ValueError (Failed) where the loss or a weight stops being a finite number, or torch gives up.
    """
    start = start or Moment(0, {})
    where = device()
    dataset = (dataset or sets.load_for(config)).to(where)
    network = distributed.synchronised(network.to(where))
    masks = {name: mask.to(where) for name, mask in (masks or {}).items()}
    if teacher:
        teacher = teacher.to(where)
        if config.selector.teacher_in_training_mode:
            teacher = distributed.synchronised(teacher)
    parts = sets.split(
        dataset.train_labels, config.data.train_size, config.data.validation_share, config.seed
    )
    learned_from, held_out, test = parts[0], dataset.part("train", parts[1]), dataset.part("test")
    opt = optimiser(network, config.train)
    restore(network, opt, start.tensors)
    apply_masks(network, masks)
    forward = distributed.forward_of(network)
    history, seconds = list(start.history), start.seconds
    last_epoch = config.train.epochs if last_epoch is None else last_epoch
    quiet = True if distributed.rank() else None  # None: only where there is a terminal
    bar = tqdm(total=last_epoch, initial=start.epoch, desc="epochs", leave=False, disable=quiet)
    with own_random_state(), bar:
        for epoch in range(start.epoch, last_epoch):
            began = time.perf_counter()
            if teacher:  # every epoch anew, so that an interrupted training goes on exactly
                prepare_teacher(teacher, config.selector.teacher_in_training_mode)
            seed = config.seed * 1009 + epoch
            torch.manual_seed(seed + 7919 * distributed.rank())  # of Gumbel noise and random tokens
            generator = torch.Generator().manual_seed(seed)
            stream = sets.training_batches(config, dataset, learned_from, epoch, generator)
            steps = math.ceil(len(learned_from) / config.train.batch_size)
            loss, accuracy = _epoch(
                config, network, forward, opt, epoch, masks, teacher, stream, steps
            )
            seconds += time.perf_counter() - began
            row = {"epoch": epoch + 1, "train_loss": loss, "train_accuracy": accuracy}
            if len(held_out[1]):
                row["validation_accuracy"], _ = evaluate(network, *held_out, dataset.standardise)
            row["test_accuracy"], row["test_loss"] = evaluate(network, *test, dataset.standardise)
            if not all(map(math.isfinite, row.values())) or not all(
                p.isfinite().all() for p in network.parameters()
            ):
                raise Failed(
                    f"weights or losses are no finite numbers after epoch {epoch + 1}; a smaller train.lr may help"
                )
            history.append(row)
            bar.set_postfix(
                validation=f"{100 * row.get('validation_accuracy', math.nan):.1f} %",
                loss=f"{loss:.3f}",
            )
            bar.update()
            if after_epoch:
                after_epoch(Moment(epoch + 1, snapshot(network, opt), list(history), seconds))
    return Trained(network.eval(), history, seconds, len(learned_from))


def _loss(config, forward, teacher, x, y, foreground=None):
    """Training loss of one batch, and its logits [B,classes]."""
    with torch.autocast(x.device.type, torch.bfloat16, enabled=config.train.mixed_precision):
        logits, kept = forward(x, foreground)
        if config.selector:
            with torch.no_grad():
                target = teacher(x).float()
    logits = logits.float()
    if config.selector:
        return selector_loss(
            logits, y, kept, target, config.selector, config.train.label_smoothing
        ), logits
    return F.cross_entropy(logits, y, label_smoothing=config.train.label_smoothing), logits


def _epoch(config, network, forward, opt, epoch, masks, teacher, stream, steps):
    """One epoch; returns (mean training loss, training accuracy). No step is taken on a single image (BatchNorm)."""
    network.train()
    near_zero = config.ticket is not None and config.ticket.freeze == "near_zero"
    total = correct = seen = 0
    for step, (x, y, foreground) in enumerate(stream):
        if len(y) == 1 and seen:
            continue
        rate = learning_rate(config.train, epoch + step / steps)
        for group in opt.param_groups:
            group["lr"] = rate
        given = [t for t in (x, y, truth(network, foreground)) if t is not None]
        *mine, weight = distributed.share(*given)
        loss, logits = _loss(config, forward, teacher, *mine)
        loss = loss * weight
        labels = mine[1] if mine[1].ndim == 1 else mine[1].argmax(1)
        right = (logits.argmax(1) == labels).float().mean() * weight
        mean_loss, mean_right = distributed.mean(torch.stack([loss.detach(), right])).tolist()
        if not math.isfinite(mean_loss):
            raise Failed(
                f"the loss is {mean_loss} in epoch {epoch + 1}, step {step + 1}, at a learning rate of {rate:.2g}; "
                "a smaller train.lr may help"
            )
        opt.zero_grad()
        loss.backward()
        if near_zero:
            freeze_near_zero(network)
        try:
            opt.step()
        except RuntimeError as error:  # a learning rate beyond float32, say
            reason = str(error).splitlines()[0]
            raise Failed(
                f"step {step + 1} of epoch {epoch + 1} at a learning rate of {rate:.2g}: {reason}"
            ) from None
        if not near_zero:
            apply_masks(network, masks)
        total += mean_loss * len(y)
        correct += mean_right * len(y)
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


def restore(network, opt, tensors):
    """Give network and optimiser what a snapshot, or a part of one, holds of them."""
    own = network.state_dict()
    network.load_state_dict(own | {name: t for name, t in tensors.items() if name in own})
    for name, p in network.named_parameters():
        prefix = f"{MOMENTS}{name}."
        state = {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
        if state:
            opt.state[p] = {
                k: t.clone().to(p.device if t.ndim else "cpu") for k, t in state.items()
            }
