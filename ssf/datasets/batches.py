"""The images that are trained on, and batches of them: to look at, or drawn and augmented."""

import torch

from ssf import distributed
from ssf.config import demand
from ssf.datasets import augment

AT_ONCE = 2**22  # numbers in a batch that is only looked at; at most 250 images


def split(labels, size, validation_share, seed):
    """Indices (train, validation) of so many images in all (0: every), drawn with a seed."""
    allowed = f"at most {len(labels)}, the images there are"
    demand(size <= len(labels), "data.train_size", size, allowed)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)[: size or len(labels)]
    held_out = round(len(order) * validation_share)
    allowed = "enough images to leave some beside the validation split"
    demand(held_out < len(order), "data.train_size", size, allowed)
    return order[held_out:], order[:held_out]


def token_shares(foreground, tokens):
    """Share of each token's pixels that is foreground: bool [n,H,W] -> float32 [n,tokens]."""
    patch = foreground.shape[-1] // round(tokens**0.5)
    return torch.nn.functional.avg_pool2d(foreground[:, None].float(), patch).flatten(1)


def parts(tensors):
    """Tuples of the same rows of each tensor (None stays None): 250, or fewer large ones."""
    size = max(1, min(250, AT_ONCE // tensors[0][0].numel()))
    for start in range(0, len(tensors[0]), size):
        yield tuple(None if t is None else t[start : start + size] for t in tensors)


def training_batches(config, dataset, used, epoch, generator):
    """This process's shares of an epoch's batches of the training images `used`, augmented.

    All processes of a torchrun draw the same new order from the generator, and each augments its
    own share only, with draws of its own. Yields (images float32, standardised; labels, int64 [B]
    or, mixed up, float32 [B,classes]; foreground or None; weight, so that means over shares average
    to the mean of the batch; number of images in the whole batch).
    """
    order = used[torch.randperm(len(used), generator=generator)]
    if distributed.size() > 1:
        seed = generator.initial_seed() + 104729 * (1 + distributed.rank())
        generator = torch.Generator().manual_seed(seed)
    for chosen in order.split(config.train.batch_size):
        own, weight = distributed.share(chosen)
        images, labels, foreground = dataset.part("train", own)
        augmented = _augmented(config, dataset, images, labels, foreground, epoch, generator)
        yield *augmented, weight, len(chosen)


def _augmented(config, dataset, images, labels, foreground, epoch, generator):
    """(images, labels, foreground) as the config's recipe changes them; images standardised."""
    train, published = config.train, config.data.augment == "published"
    if config.data.augment == "light":
        images, foreground = augment.light(images, generator, foreground)
    elif published and dataset.counts_events:
        images = augment.event_frames(images, generator)
    elif published:
        images = augment.flip(images, generator)
        images = augment.rand_augment(images, generator, dataset.statistics[0])
    mixes = train.mixup > 0 and (epoch < train.mixup_epochs or train.mixup_epochs == 0)
    if mixes and len(labels) > 1:
        alpha, probability, classes = train.mixup, train.mixup_probability, len(dataset.classes)
        images, labels = augment.mixup(images, labels, classes, generator, alpha, probability)
    images = dataset.standardise(images)
    if published and not dataset.counts_events:
        images = augment.erase(images, generator)
    return images, labels, foreground
