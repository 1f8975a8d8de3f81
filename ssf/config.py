"""What a run is: frozen parts, each field with its limits and its help, and the id of the whole."""

import hashlib
import json
import math
from dataclasses import fields, replace

from pydantic import TypeAdapter, ValidationError

from ssf import field
from ssf.field import Failed, Refused, demand, part, refusal  # noqa: F401

RESULTS_VERSION = 5  # part of every id; raise it when a change of the code changes what is measured

# every data set as the model sees it; Fashion-MNIST's 28×28 are zero-padded
DATASETS = {
    "fashion-mini": dict(encoding="direct", channels=1, side=32, classes=10),
    "fashion-mnist": dict(encoding="direct", channels=1, side=32, classes=10),
    "cluttered-fashion": dict(encoding="direct", channels=1, side=40, classes=10),
    "event-fashion": dict(encoding="frames", channels=2, side=32, classes=10),
    "cifar10": dict(encoding="direct", channels=3, side=32, classes=10),
    "cifar10-jpeg": dict(encoding="direct", channels=3, side=32, classes=10),
    "cifar100": dict(encoding="direct", channels=3, side=32, classes=100),
    "cifar10-dvs": dict(encoding="frames", channels=2, side=128, classes=10),
    "dvs128-gesture": dict(encoding="frames", channels=2, side=128, classes=11),
}
CLUTTERED = "cluttered-fashion"  # the only set with a difficulty, and with a known foreground


@part
class Data:
    """Which images, and how many of them."""

    name: field.choice(**dict.fromkeys(DATASETS, "")) = "fashion-mini"
    train_size: field.count("0 (the whole training split) or the training images to use", 0) = 0
    validation_share: field.number("a share of at least 0 and below 1", ge=0, lt=1) = 0.1
    augment: field.choice(
        none="",
        light="random shift by up to 2 pixels, horizontal flip",
        published="the recipe of the published code for images or for event frames",
    ) = "light"
    difficulty: field.number("for cluttered-fashion: 0 (an empty background) to 1", ge=0, le=1) = (
        0.5
    )

    def __post_init__(self):
        ok = self.name == CLUTTERED or self.difficulty == Data.difficulty
        demand(ok, "data.difficulty", self.difficulty, f"{Data.difficulty}, but with {CLUTTERED}")


@part
class Model:
    """Spikformer (Zhou et al., ICLR 2023): its input, its size, its neuron and its stem."""

    encoding: field.choice(
        direct="an image, the same in every time step", frames="one event frame a time step"
    ) = "direct"
    channels: field.count() = 1
    side: field.count() = 32
    classes: field.count() = 10
    depth: field.count("the number of blocks; 0 is the stem alone", 0) = 2
    width: field.count("a positive multiple of 8 (the stem starts with width/8)", 8, of=8) = 32
    heads: field.count("a positive whole number that divides the width") = 4
    mlp_ratio: field.count() = 4
    time_steps: field.count() = 4
    tau: field.number("a number above 1 (time steps)", gt=1) = 2.0
    v_threshold: field.Positive = 1.0
    attention_v_threshold: field.Positive = 0.5
    attention_scale: field.Positive = 0.125
    qkv_bias: field.flag("whether the layers of q, k and v have biases") = True
    surrogate_alpha: field.Positive = 4.0
    block_init: field.choice(
        trunc_normal="std 0.02, biases 0",
        torch="its default, which the published event models are left with",
    ) = "trunc_normal"
    pool_stages: field.places(
        "a tuple of different stages, each 0, 1, 2 or 3, e.g. (2, 3)",
        fits=lambda stages: len(set(stages)) == len(stages) and max(stages, default=0) <= 3,
    ) = (2, 3)

    def __post_init__(self):
        allowed = f"a divisor of the width, {self.width}"
        demand(self.width % self.heads == 0, "model.heads", self.heads, allowed)
        ok = self.side % 2 ** len(self.pool_stages) == 0
        allowed = f"poolings that halve a side of {self.side} exactly"
        demand(ok, "model.pool_stages", self.pool_stages, allowed)

    @property
    def tokens(self):
        """Number of tokens N that the stem makes of one image."""
        return (self.side // 2 ** len(self.pool_stages)) ** 2


SELECTORS = ("learned", "random", "firing_rate", "attention", "information")
SELECTORS += ("information_per_place", "oracle")


@part
class Selector:
    """The token selector: where it stands, what it keeps, how it is trained.

    The last three fields are habits of the published code, here as switches, off by default.
    """

    kind: field.choice(**dict.fromkeys(SELECTORS, "")) = "learned"
    keep_ratio: field.number(
        "a share of the tokens, up to 1; location i keeps keep_ratio**(i+1)", gt=0, le=1
    ) = 0.7
    locations: field.places(
        "a tuple of rising block numbers, e.g. (1, 2, 3)",
        fits=lambda blocks: len(blocks) > 0 and list(blocks) == sorted(set(blocks)),
    ) = (1,)
    dropped: field.choice(
        removed="dropped tokens are gone for good",
        bypass="they skip the block and come back after it",
    ) = "removed"
    ratio_weight: field.NotNegative = 2.0
    distill_weight: field.NotNegative = 0.5
    teacher_in_training_mode: field.flag(
        "the teacher normalises by its batch and its potentials are never reset"
    ) = False
    head_averages_dropped: field.flag(
        "while training, the head's mean takes dropped tokens in, as at inference it can't"
    ) = False
    inference_keep_ratio: field.number(
        "0 (the keep_ratio) or another share, at most 1, kept at inference only", ge=0, le=1
    ) = 0.0

    def __post_init__(self):
        allowed = "blocks above 0 with kind attention, which looks at the block before"
        ok = self.kind != "attention" or self.locations[0] > 0
        demand(ok, "selector.locations", self.locations, allowed)

    @property
    def removes(self):
        return self.dropped == "removed"

    def ratios(self, inference=False):
        """Share of the tokens kept at each location: rho, rho² … (DynamicViT, section 3.3)."""
        rho = self.keep_ratio
        if inference and self.inference_keep_ratio > 0:
            rho = self.inference_keep_ratio
        return [rho ** (i + 1) for i in range(len(self.locations))]

    def counts(self, tokens, inference=True):
        """Tokens left after each location: floor(tokens · ratio), at least 1."""
        rounding = 1e-9  # so that 10 · 0.3 is 3, whatever float says
        return [max(1, math.floor(tokens * ratio + rounding)) for ratio in self.ratios(inference)]


@part
class Ticket:
    """A sparse network of iterative magnitude pruning (Frankle & Carbin 2019), or a control.

    One-shot pruning is a ticket of one round.
    """

    round: field.count() = 1
    fraction: field.number("a share of the weights left, above 0, below 1", gt=0, lt=1) = 0.25
    rewind_epoch: field.count("an epoch of the dense run, 0 for its initialisation", 0) = 1
    freeze: field.choice(
        mask="pruned weights are held at zero",
        near_zero="as published: whatever is below 1e-6 gets no gradient",
    ) = "mask"
    control: field.choice(
        ticket="mask and rewound weights",
        reinit="mask, new initialisation",
        random="the mask shuffled within each layer, rewound weights",
        magnitude_at_init="as sparse, by the magnitudes of the untrained weights",
    ) = "ticket"
    search_time_steps: field.count(
        "0 (the model's) or the time steps of the networks that are trained to find the mask: an "
        "early-time ticket (Kim et al. 2022)",
        least=0,
    ) = 0
    own_lr: field.number("0 (train.lr) or the learning rate of this round alone", ge=0) = 0.0
    order: field.choice(
        ticket_first="with a selector, the student starts from a ticket of the dense network",
        selector_first="the student is pruned, and rewound to its own weights",
        together="each round trains both at once, from the dense network's rewound weights",
    ) = "ticket_first"

    def reaching(self, sparsity):
        """The same ticket with the fraction that removes this share in `round` rounds."""
        allowed = "the share of the prunable weights removed in all, above 0 and below 1"
        ok = isinstance(sparsity, int | float) and 0 < sparsity < 1
        demand(ok, "ticket.sparsity", sparsity, allowed)
        return replace(self, fraction=1 - (1 - sparsity) ** (1 / self.round))


@part
class Train:
    """How the weights are found."""

    epochs: field.count() = 6
    batch_size: field.count() = 64
    lr: field.Positive = 3e-3
    min_lr: field.NotNegative = 1e-5
    warmup_epochs: field.NotNegative = 1.0
    decay: field.choice(cosine="as published", linear="a straight line") = "cosine"
    optimiser: field.choice(adamw="as published", muon="for matrices, AdamW on the rest") = "adamw"
    muon_lr: field.Positive = 0.02
    weight_decay: field.NotNegative = 0.06
    label_smoothing: field.number("a share of at least 0 and below 1", ge=0, lt=1) = 0.1
    mixed_precision: field.flag("products in bfloat16, neurons in float32") = False
    mixup: field.number("0 (none) or alpha of a Beta distribution (Zhang 2018)", ge=0) = 0.0
    mixup_probability: field.number("a probability: that a batch is mixed", ge=0, le=1) = 1.0
    mixup_epochs: field.count("0 (all) or the number of epochs with mixup", 0) = 0
    early_epochs: field.count("0 (none) or first epochs: 3/4 of the side, one time step", 0) = 0


PARTS = {"data": Data, "model": Model, "selector": Selector, "ticket": Ticket, "train": Train}


@part
class RunConfig:
    """Everything that makes a trained network what it is. Two equal configs name the same run."""

    prefix = ""  # of its fields' names in a sentence

    data: field.whole(Data) = Data()
    model: field.whole(Model) = Model()
    selector: field.whole(Selector, optional=True) = None
    ticket: field.whole(Ticket, optional=True) = None
    train: field.whole(Train) = Train()
    seed: field.count("a whole number from 0 to 2³²−1", least=0, most=2**32 - 1) = 0

    def __post_init__(self):
        for name, value in DATASETS[self.data.name].items():
            own = getattr(self.model, name)
            demand(own == value, f"model.{name}", own, f"{value}, as in {self.data.name}")
        early = self.train.early_epochs
        ok = early == 0 or self.early_model.encoding == "direct"
        demand(ok, "train.early_epochs", early, "0 with event frames")
        if self.selector:
            self._check_selector(self.selector)
        if self.ticket:
            self._check_ticket(self.ticket)

    @property
    def early_model(self):
        """The model as the first `train.early_epochs` train it."""
        return replace(self.model, side=self.model.side * 3 // 4, time_steps=1)

    def _check_selector(self, selector):
        depth, blocks = self.model.depth, selector.locations
        allowed = f"blocks below model.depth, {depth}"
        demand(blocks[-1] < depth, "selector.locations", blocks, allowed)
        if selector.kind == "oracle":
            allowed = f"with known foreground ({CLUTTERED}); {self.data.name} does not tell"
            demand(self.data.name == CLUTTERED, "selector.kind", "oracle", allowed)
            allowed = "none or light, no mixup and no early epochs, with selector.kind oracle"
            augment, mixup, early = self.data.augment, self.train.mixup, self.train.early_epochs
            demand(augment != "published", "data.augment", augment, allowed)
            demand(mixup == 0, "train.mixup", mixup, allowed)
            demand(early == 0, "train.early_epochs", early, allowed)

    def _check_ticket(self, ticket):
        epoch, allowed = ticket.rewind_epoch, f"an epoch below train.epochs, {self.train.epochs}"
        demand(epoch < self.train.epochs, "ticket.rewind_epoch", epoch, allowed)
        alone = ticket.control == "ticket" and ticket.search_time_steps == 0
        ok = ticket.order == "ticket_first" or (self.selector is not None and alone)
        allowed = "ticket_first, but for plain tickets of a network with a selector"
        demand(ok, "ticket.order", ticket.order, allowed)
        ok = ticket.own_lr == 0 or self.selector is None
        demand(ok, "ticket.own_lr", ticket.own_lr, "0 with a selector, whose student has train.lr")
        ok = ticket.freeze == "mask" or self.train.optimiser == "adamw"
        demand(ok, "ticket.freeze", ticket.freeze, "mask with muon, which moves all of a matrix")

    def flat(self):
        """{"model.width": 32, …}: every field, tuples as text; None for those of an absent part."""
        flat = {"results_version": RESULTS_VERSION, "seed": self.seed}
        for name, cls in PARTS.items():
            for f in fields(cls):
                value = getattr(getattr(self, name), f.name, None)
                flat[f"{name}.{f.name}"] = str(value) if isinstance(value, tuple) else value
        return flat

    @classmethod
    def from_flat(cls, row):
        """The inverse of `flat`, also of its values as text, as a CSV file has them ("" for None).

        A part's field without a column has its default; columns of no part are passed over. Raises
        Refused for rows of another version of the results, for columns as `model.x` that are no
        field, and for values that no config has.
        """
        texts = {name: str(value) for name, value in row.items()}
        texts = {name: text for name, text in texts.items() if text not in ("", "None", "nan")}
        version = texts.get("results_version")
        ok = version in (str(RESULTS_VERSION), f"{RESULTS_VERSION}.0")
        demand(ok, "results_version", version, f"{RESULTS_VERSION}, that of this code")
        parts = {}
        for name, part_class in PARTS.items():
            own = [key for key in texts if key.startswith(f"{name}.")]
            values = {key.removeprefix(f"{name}."): texts[key] for key in own}
            if values or cls.__pydantic_fields__[name].default is not None:
                try:
                    parts[name] = TypeAdapter(part_class).validate_python(values, strict=False)
                except ValidationError as error:
                    raise refusal(part_class, values, error) from None
        seed = texts.get("seed", "").removesuffix(".0")  # pandas writes 3.0 where others lack one
        return cls(**parts, seed=int(seed) if seed.isdecimal() else seed)

    def differences(self):
        """{part: {field: value}} of what is not the default; a chosen part stays, if empty."""
        differences = {"results_version": RESULTS_VERSION, "seed": self.seed}
        for name, cls in PARTS.items():
            value = getattr(self, name)
            if value is not None:
                changed = {f.name: getattr(value, f.name) for f in fields(cls)}
                differences[name] = {key: v for key, v in changed.items() if v != getattr(cls, key)}
        return differences

    def hash(self):
        """The id: 16 hex digits of the SHA-256 of `differences` as canonical JSON.

        A field that is added later, with a default that means "as before", renames nothing.
        """
        text = json.dumps(self.differences(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def with_(self, **overrides):
        """A copy with whole parts (selector=None) or dotted fields replaced, all at once.

        Another data.name brings its model.channels, side, classes and encoding along, where they
        are not among the overrides, and leaves another set's difficulty behind.
        """
        name = str(overrides.get("data.name"))
        if name in DATASETS:
            brought = {} if name == CLUTTERED else {"data.difficulty": Data.difficulty}
            if "model" not in overrides:
                brought |= {f"model.{key}": value for key, value in DATASETS[name].items()}
            overrides = brought | overrides
        wholes, inside = {}, {}
        for key, value in overrides.items():
            name, dot, inner = key.partition(".")
            known = [f.name for f in fields(RunConfig)]
            demand(name in known, "a parameter", key, f"{', '.join(known)}, or one of their fields")
            if not dot:
                wholes[name] = value
                continue
            known = [f.name for f in fields(PARTS[name])] if name in PARTS else []
            allowed = ", ".join(f"{name}.{inner}" for inner in known) or f"{name} itself"
            demand(inner in known, "a parameter", key, allowed)
            inside.setdefault(name, {})[inner] = value
        for name, values in inside.items():
            whole = wholes.get(name, getattr(self, name)) or PARTS[name]()
            demand(isinstance(whole, PARTS[name]), name, whole, f"a {PARTS[name].__name__}")
            wholes[name] = replace(whole, **values)
        return replace(self, **wholes)
