"""The fields of a config, and the presets, as tables of the library's page."""

from dataclasses import fields

import tables

from ssf.config import PARTS
from ssf.datasets.camera import Camera
from ssf.model import cost
from ssf.presets import PRESETS

SHOWN = PARTS | {"camera": Camera}

MEANINGS = {
    "data.name": "the data set",
    "data.train_size": "how many training images are used",
    "data.validation_share": "share of them that is held out, to choose settings by",
    "data.augment": "how training images are varied from epoch to epoch",
    "data.difficulty": "how many fragments and how much noise surround the item",
    "model.encoding": "what a time step sees; given by the data set, as the next three",
    "model.channels": "colours of an image, or ON and OFF of events",
    "model.side": "height and width of an image, in pixels",
    "model.classes": "classes to choose from",
    "model.depth": "blocks behind the stem, L",
    "model.width": "channels of a token, C",
    "model.heads": "heads of the attention",
    "model.mlp_ratio": "hidden channels of a block's MLP, in multiples of the width",
    "model.time_steps": "how often an image is seen, or its event frames, T",
    "model.tau": "time constant of the membrane potential, τ",
    "model.v_threshold": "potential from which on a neuron fires",
    "model.attention_v_threshold": "the same of the neuron behind the attention's two products",
    "model.attention_scale": "factor of these products",
    "model.qkv_bias": "biases in the attention",
    "model.surrogate_alpha": "steepness α of the sigmoid whose slope replaces a spike's",
    "model.block_init": "how the blocks' weights begin",
    "model.pool_stages": "stages of the stem, of four, that end in a pooling which halves the side",
    "selector.kind": "what scores the tokens, as [chapter 03](03_token_selector.ipynb) explains",
    "selector.keep_ratio": "share of the tokens that is kept, ρ",
    "selector.locations": "blocks before which tokens are dropped",
    "selector.dropped": "what becomes of dropped tokens",
    "selector.ratio_weight": "weight of the loss that holds the learned share near its target",
    "selector.distill_weight": "weight of the distance to the teacher's answers",
    "selector.teacher_in_training_mode": "whether the teacher is left as in training, as published",
    "selector.head_averages_dropped": "whether dropped tokens count in training, as published",
    "selector.inference_keep_ratio": "another share at inference, as in published event models",
    "ticket.round": "rounds of pruning",
    "ticket.fraction": "share that a round removes",
    "ticket.rewind_epoch": "epoch whose weights those that are left go back to, below train.epochs",
    "ticket.freeze": "how pruned weights stay zero",
    "ticket.control": "the ticket, or a control that it is compared with",
    "ticket.search_time_steps": "time steps while the mask is searched",
    "ticket.own_lr": "learning rate of the last training",
    "ticket.order": "what is first, selector or ticket",
    "train.epochs": "times that all training images are seen",
    "train.batch_size": "images of a step",
    "train.lr": "highest learning rate of AdamW, and with Muon of what AdamW trains",
    "train.min_lr": "learning rate at the start and at the end",
    "train.warmup_epochs": "epochs in which the rate rises to its highest",
    "train.decay": "how it falls after that",
    "train.optimiser": "what takes the steps",
    "train.muon_lr": "highest learning rate of Muon's part",
    "train.weight_decay": "decoupled weight decay",
    "train.label_smoothing": "share of a target that is spread over all classes",
    "train.mixed_precision": "half precision, where the processor multiplies it",
    "train.mixup": "how strongly two images of a batch are mixed",
    "train.mixup_probability": "how often a batch is mixed",
    "train.mixup_epochs": "how long batches are mixed, from the first epoch on",
    "train.early_epochs": "cheap epochs at the start",
    "camera.steps": "time steps of the simulation, a third of them for each saccade",
    "camera.reach": "pixels that a saccade may end from the centre",
    "camera.threshold": "change of the logarithm of brightness that sends an event",
    "camera.mismatch": "share by which a pixel's threshold may be off",
    "camera.dark": "grey levels that are added, the brightness of black",
    "camera.refractory": "steps after an event in which a pixel is blind",
    "camera.noise": "events a pixel and step that nothing caused",
}


def lines_of(name):
    """Rows of a part's table, in the order of its fields."""
    known = SHOWN[name].__pydantic_fields__
    for f in fields(SHOWN[name]):
        yield {
            "field": f"`{f.name}`",
            "what it is": MEANINGS[f"{name}.{f.name}"],
            "allowed": known[f.name].description,
        }


def presets():
    """Rows of what can be trained by name."""
    for name, config in PRESETS.items():
        model, size = config.model, cost.parameters(config.model, config.selector)
        parts = [config.data.name, f"{config.train.epochs} epochs"]
        if config.selector:
            parts.append(f"selector, ρ = {config.selector.keep_ratio:g}")
        if config.ticket:
            parts.append(f"ticket, round {config.ticket.round}")
        yield {
            "preset": f"`{name}`",
            "network": f"{model.depth} blocks of {model.width} channels, T = {model.time_steps}, "
            f"{size:,} parameters",
            "training": ", ".join(parts),
        }


def pages(book):
    """Write the tables that the library's page includes."""
    for name in SHOWN:
        (book / f"_options_{name}.md").write_text(tables.in_markdown(lines_of(name)))
    (book / "_presets.md").write_text(tables.in_markdown(presets()))
