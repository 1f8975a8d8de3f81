"""fit and evaluate: from a config and starting weights to trained ones and a learning curve."""

import math
import time
from dataclasses import dataclass, field
from functools import partial

import torch
import torch.nn.functional as F
from tqdm import tqdm

from ssf import distributed
from ssf.config import Failed
from ssf.datasets import batches, sets
from ssf.model import kernels
from ssf.model.neuron import LIF
from ssf.model.optimisers import optimiser
from ssf.model.selector import selector_loss
from ssf.model.spikformer import Spikformer

MOMENTS = "optimiser."  # prefix of the optimiser's tensors in a Moment
NEAR_ZERO = 1e-6  # the published code's idea of a pruned weight


@dataclass
class Moment:
    """Training after so many epochs: what `fit` starts from, and what it hands on after each.

    `tensors` is a `snapshot`, or a part of one: what is missing starts afresh.
    """

    epoch: int
    tensors: dict
    history: list = field(default_factory=list)  # one dict an epoch
    seconds: float = 0.0


@dataclass
class Trained:
    """The outcome of `fit`: the network, a dict an epoch, seconds of training, images an epoch."""

    network: Spikformer
    history: list
    seconds: float
    images: int


def device():
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def own_random_state():
    """A context in which seeds can be set without the rest of the program noticing."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    return torch.random.fork_rng(devices)


def make_network(config, seed=None):
    """The untrained network of a config, initialised by its seed (or another one)."""
    with own_random_state():
        torch.manual_seed(config.seed if seed is None else seed)
        return Spikformer(config.model, config.selector)


def learning_rate(train, progress, highest=None):
    """The rate after `progress` epochs: linear warm-up to `highest` (else train.lr), then decay."""
    above = (train.lr if highest is None else highest) - train.min_lr
    if progress < train.warmup_epochs:
        return train.min_lr + above * progress / train.warmup_epochs
    share = (progress - train.warmup_epochs) / max(train.epochs - train.warmup_epochs, 1e-9)
    if train.decay == "linear":
        return train.min_lr + above * (1 - min(share, 1))
    return train.min_lr + above * (1 + math.cos(math.pi * min(share, 1))) / 2


def truth(network, foreground):
    """What the oracle selector goes by, [B,N], of foreground pixels [B,H,W]; None for others."""
    if foreground is None or network.selector is None or network.selector.kind != "oracle":
        return None
    return batches.token_shares(foreground, network.selector.tokens)


@torch.no_grad()
def answers(network, images, foreground=None, prepare=None):
    """Logits [n,classes] of images on the network's device; `prepare` standardises, if it must."""
    network.eval()
    with own_random_state():
        torch.manual_seed(0)  # the random selector draws the same tokens every time
        parts = batches.parts((images, foreground))
        logits = [network(prepare(x) if prepare else x, truth(network, f)) for x, f in parts]
        return torch.cat(logits)


def evaluate(network, images, labels, foreground=None, prepare=None):
    """(accuracy, mean cross-entropy) of a network's `answers`."""
    logits = answers(network, images, foreground, prepare)
    accuracy = (logits.argmax(1) == labels).float().mean().item()
    return accuracy, F.cross_entropy(logits, labels).item()


def apply_masks(network, masks):
    """Set the pruned weights to exactly zero, in place."""
    with torch.no_grad():
        for name, mask in masks.items():
            network.get_parameter(name).mul_(mask)


def prepare_teacher(teacher, in_training_mode=False):
    """Put a teacher in eval mode with potentials at rest; or, `in_training_mode`, leave it as the
    published code does: it normalises by its batch, and its potentials are never reset."""
    teacher.train(in_training_mode)
    for module in teacher.modules():
        if isinstance(module, LIF):
            module.carries_over = in_training_mode
            module.reset()
    return teacher


@torch.enable_grad()  # whatever the caller is doing
def fit(config, network, dataset=None, masks=None, teacher=None, start=None, last_epoch=None,
        after_epoch=None):  # fmt: skip
    """Train `network`, in place and on `device()`, by `config.train`; returns a `Trained`.

    No step depends on the test images. Every epoch draws from seeds of its own, so that a Moment is
    all it takes to go on exactly. Started by torchrun, each process takes its share of a batch.

    Args:
        masks: {parameter name: bool tensor}, False where a weight is pruned and stays zero.
        teacher: a trained dense network; a selector whose distill_weight is not 0 needs one.
        start: a Moment to go on from: of an interrupted training, or the point of a rewinding.
        last_epoch: end after so many; the learning rate falls as if all were trained.
        after_epoch: called with the Moment after every epoch.

    Raises Failed where the loss or a weight is no finite number any more, or torch gives up.
    """
    start = start or Moment(0, {})
    dataset = (dataset or sets.load_for(config)).to(device())
    network = distributed.synchronised(network.to(device()))
    masks = {name: mask.to(device()) for name, mask in (masks or {}).items()}
    if teacher:
        teacher.to(device())
        if config.selector.teacher_in_training_mode:
            distributed.synchronised(teacher)
    size, validation_share = config.data.train_size, config.data.validation_share
    used, held_out = batches.split(dataset.train_labels, size, validation_share, config.seed)
    opt = optimiser(network, config.train)
    restore(network, opt, start.tensors)
    apply_masks(network, masks)
    forward = distributed.forward_of(network)
    history, seconds = list(start.history), start.seconds
    epochs = range(start.epoch, config.train.epochs if last_epoch is None else last_epoch)
    quiet = True if distributed.rank() else None  # None: only where there is a terminal
    bar = tqdm(epochs, "epochs", epochs.stop, leave=False, initial=epochs.start, disable=quiet)
    with own_random_state(), bar:
        for epoch in bar:
            began = time.perf_counter()
            others = masks, teacher, dataset, used, epoch
            learned = train_epoch(config, network, forward, opt, *others)
            seconds += time.perf_counter() - began
            history.append(learned | measure(network, dataset, held_out, learned))
            bar.set_postfix(loss=f"{learned['train_loss']:.3f}")
            if after_epoch:
                after_epoch(Moment(epoch + 1, snapshot(network, opt), list(history), seconds))
    return Trained(network.eval(), history, seconds, len(used))


def train_epoch(config, network, forward, opt, masks, teacher, dataset, used, epoch):
    """One epoch over the training images `used`; its number, mean training loss and accuracy."""
    seed = config.seed * 1009 + epoch
    torch.manual_seed(seed + 7919 * distributed.rank())  # of Gumbel noise and random tokens
    generator = torch.Generator().manual_seed(seed)
    if teacher:  # every epoch anew, so that an interrupted training goes on exactly
        prepare_teacher(teacher, config.selector.teacher_in_training_mode)
    network.train()
    model = config.early_model if epoch < config.train.early_epochs else config.model
    network.expect(model)
    if model is not config.model:
        forward = of_small_images(forward, model.side)
    stream = batches.training_batches(config, dataset, used, epoch, generator)
    steps = math.ceil(len(used) / config.train.batch_size)
    places, sizes, means = [], [], []
    for step, (x, y, foreground, weight, size) in enumerate(stream):
        if size == 1 and sizes:  # BatchNorm needs two images
            continue
        set_rates(config, opt, epoch + step / steps)
        loss, logits = batch_loss(config, forward, teacher, x, y, truth(network, foreground))
        loss = loss * weight
        labels = y if y.ndim == 1 else y.argmax(1)
        right = (logits.argmax(1) == labels).float().mean() * weight
        rate = opt.param_groups[0]["lr"]
        places.append(f"epoch {epoch + 1}, step {step + 1}, at a learning rate of {rate:.2g}")
        means.append(distributed.mean(torch.stack([loss.detach(), right])))
        sizes.append(size)
        take_step(config, network, opt, masks, loss, places[-1])
    network.expect(config.model)
    means = torch.stack(means).cpu().double()  # once an epoch: no step waits for a GPU
    for place, loss in zip(places, means[:, 0].tolist(), strict=True):
        if not math.isfinite(loss):
            raise Failed(f"the loss is {loss} in {place}; a smaller train.lr may help")
    loss, accuracy = (torch.tensor(sizes).double() @ means / sum(sizes)).tolist()
    return {"epoch": epoch + 1, "train_loss": loss, "train_accuracy": accuracy}


def of_small_images(forward, side):
    """The same forward pass of images [B,c,H,W] that it shrinks to a side first."""
    shrink = partial(F.interpolate, size=(side, side), mode="bilinear", antialias=True)
    return lambda images, foreground: forward(shrink(images), foreground)


def batch_loss(config, forward, teacher, x, y, foreground=None):
    """Training loss of one batch, and its logits [B,classes]."""
    selector, target = config.selector, None
    mixed = config.train.mixed_precision and kernels.multiplies_bfloat16(x.device)
    with torch.autocast(x.device.type, torch.bfloat16, enabled=mixed):
        logits, kept = forward(x, foreground)
        if selector and selector.distill_weight:
            with torch.no_grad():
                target = teacher(x).float()
    logits, smoothing = logits.float(), config.train.label_smoothing
    if selector:
        return selector_loss(logits, y, kept, target, selector, smoothing), logits
    return F.cross_entropy(logits, y, label_smoothing=smoothing), logits


def set_rates(config, opt, progress):
    """The optimiser's learning rates after `progress` epochs, a ticket's own if it has one."""
    own = config.ticket.own_lr if config.ticket else 0
    for group in opt.param_groups:
        highest = group.setdefault("highest", group["lr"])
        group["lr"] = learning_rate(config.train, progress, own or highest)


def take_step(config, network, opt, masks, loss, place):
    """One step down the loss; what is pruned stays pruned."""
    near_zero = config.ticket is not None and config.ticket.freeze == "near_zero"
    network.zero_grad()
    loss.backward()
    if near_zero:  # so the published code holds pruned weights, and others, at zero
        for p in network.parameters():
            if p.ndim > 1 and p.grad is not None:
                p.grad[p.abs() < NEAR_ZERO] = 0
    try:
        opt.step()
    except RuntimeError as error:  # a learning rate beyond float32, say
        raise Failed(f"{place}: {str(error).splitlines()[0]}") from None
    if not near_zero:
        apply_masks(network, masks)


def measure(network, dataset, held_out, learned):
    """Accuracy on the validation images `held_out`, if any; accuracy and loss on the test's."""
    row = {}
    if len(held_out):
        validation = dataset.part("train", held_out)
        row["validation_accuracy"], _ = evaluate(network, *validation, dataset.standardise)
    test = dataset.part("test")
    row["test_accuracy"], row["test_loss"] = evaluate(network, *test, dataset.standardise)
    weights = all(p.isfinite().all() for p in network.parameters())
    if not weights or not all(map(math.isfinite, (learned | row).values())):
        raise Failed(
            f"weights or losses are no finite numbers after epoch {learned['epoch']}; "
            "a smaller train.lr may help"
        )
    return row


def copy_weights(network):
    """{name: tensor} of all parameters and buffers, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def snapshot(network, opt):
    """{name: tensor} of a moment: weights, BatchNorm's statistics and the optimiser's moments."""
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
        for key, tensor in tensors.items():
            if key.startswith(prefix):
                place = p.device if tensor.ndim else "cpu"  # AdamW counts its steps there
                opt.state[p][key.removeprefix(prefix)] = tensor.clone().to(place)
