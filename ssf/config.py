"""What a run is: frozen dataclasses with their help beside them, presets, validation, a content hash."""

import ast
import dataclasses
import hashlib
import json
import math
import typing
from dataclasses import dataclass, field, fields, replace

RESULTS_VERSION = (
    5  # raise it when a change to the code changes what a run measures; it is part of every hash
)


def _input(encoding, channels, side, classes):
    return {"encoding": encoding, "channels": channels, "side": side, "classes": classes}


# every data set as the model sees it
DATASETS = {
    "fashion-mini": _input("direct", 1, 32, 10),  # 28×28, zero-padded
    "fashion-mnist": _input("direct", 1, 32, 10),  # the same
    "cluttered-fashion": _input("direct", 1, 40, 10),
    "event-fashion": _input("frames", 2, 32, 10),
    "cifar10": _input("direct", 3, 32, 10),
    "cifar10-jpeg": _input("direct", 3, 32, 10),
    "cifar100": _input("direct", 3, 32, 100),
    "cifar10-dvs": _input("frames", 2, 128, 10),
    "dvs128-gesture": _input("frames", 2, 128, 11),
}
OF_ONE_SET = {
    "split": "cifar10-dvs",
    "difficulty": "cluttered-fashion",
}  # fields of Data, and whose they are
WITH_FOREGROUND = ("cluttered-fashion",)  # the sets that tell which pixels are foreground


class Refused(ValueError):
    """A wrong argument, in one sentence: what it is called, what was given, what is allowed."""

    def _render_traceback_(
        self,
    ):  # IPython, and so a notebook, shows the sentence without the frames
        return [f"ValueError: {self}"]


class Failed(Refused):
    """What was right to ask for and could not be done, in one sentence."""


def _check(ok, name, given, allowed):
    if not ok:
        raise Refused(f"{name} is {given!r}; allowed: {allowed}.")


def _allowed(help_text, test, default):
    """A dataclass field with its help text and the test of its range beside it."""
    return field(default=default, metadata={"help": help_text, "test": test})


def _positive(default):
    return _allowed("a positive whole number", lambda v: v >= 1, default)


class _Part:
    """Checks every field of a part against its type and its range."""

    def __post_init__(self):
        part = type(self).__name__.lower()
        hints = typing.get_type_hints(type(self))
        for f in fields(self):
            value, kind = getattr(self, f.name), hints[f.name]
            given = value
            if typing.get_origin(kind) is tuple and isinstance(value, list):
                value = tuple(value)
                object.__setattr__(self, f.name, value)
            if kind is float and type(value) is int and abs(value) < 2**53:
                value = float(value)
                object.__setattr__(self, f.name, value)
            expected = typing.get_origin(kind) or kind
            allowed = f.metadata["help"]
            _check(type(value) is expected, f"{part}.{f.name}", given, allowed)
            try:
                ok = f.metadata["test"](value)
            except (TypeError, OverflowError):
                ok = False
            _check(ok, f"{part}.{f.name}", given, allowed)


@dataclass(frozen=True)
class Data(_Part):
    """Which images, and how many of them."""

    name: str = _allowed(f"one of {', '.join(DATASETS)}", lambda v: v in DATASETS, "fashion-mini")
    train_size: int = _allowed(
        "0 (the whole training split) or the number of training images to use", lambda v: v >= 0, 0
    )
    validation_share: float = _allowed(
        "a share of the training split, at least 0 and below 1", lambda v: 0 <= v < 1, 0.1
    )
    augment: str = _allowed(
        "none, light (random shift by up to 2 pixels, horizontal flip) or published (the recipe of the published code "
        "for images or for event frames)",
        lambda v: v in ("none", "light", "published"),
        "light",
    )
    split: str = _allowed(
        "for cifar10-dvs, which has no split of its own: file_order (the last tenth of each class is the test split, "
        "as published) or stratified (a tenth of each class, drawn)",
        lambda v: v in ("file_order", "stratified"),
        "file_order",
    )
    difficulty: float = _allowed(
        "for cluttered-fashion: 0 (an empty background) to 1", lambda v: 0 <= v <= 1, 0.5
    )

    def __post_init__(self):
        super().__post_init__()
        for f in fields(self):
            owner, given = OF_ONE_SET.get(f.name), getattr(self, f.name)
            ok = owner in (None, self.name) or given == f.default
            _check(ok, f"data.{f.name}", given, f"{f.default}, but with {owner}")


@dataclass(frozen=True)
class Model(_Part):
    """Spikformer (Zhou et al., ICLR 2023): its input, its size, its neuron and its stem."""

    encoding: str = _allowed(
        "direct (an image, the same in every time step) or frames (one event frame a time step)",
        lambda v: v in ("direct", "frames"),
        "direct",
    )

    channels: int = _positive(1)
    side: int = _positive(32)
    classes: int = _positive(10)
    depth: int = _positive(2)
    width: int = _allowed(
        "a positive multiple of 8 (the stem starts with width/8 channels)",
        lambda v: v >= 8 and v % 8 == 0,
        32,
    )
    heads: int = _allowed("a positive whole number that divides the width", lambda v: v >= 1, 4)
    mlp_ratio: int = _positive(4)
    time_steps: int = _positive(4)
    tau: float = _allowed("a number above 1 (time steps)", lambda v: 1 < v < float("inf"), 2.0)
    v_threshold: float = _allowed("a positive number", lambda v: 0 < v < float("inf"), 1.0)
    attention_v_threshold: float = _allowed(
        "a positive number", lambda v: 0 < v < float("inf"), 0.5
    )
    attention_scale: float = _allowed("a positive number", lambda v: 0 < v < float("inf"), 0.125)
    qkv_bias: bool = _allowed(
        "True or False: whether the layers of q, k and v have biases", lambda v: True, True
    )
    surrogate_alpha: float = _allowed("a positive number", lambda v: 0 < v < float("inf"), 4.0)
    block_init: str = _allowed(
        "trunc_normal (std 0.02, biases 0) or torch (its default, which the published event models are left with)",
        lambda v: v in ("trunc_normal", "torch"),
        "trunc_normal",
    )
    pool_stages: tuple[int, ...] = _allowed(
        "a tuple of different stages, each 0, 1, 2 or 3, e.g. (2, 3)",
        lambda v: len(set(v)) == len(v) and all(type(s) is int and 0 <= s <= 3 for s in v),
        (2, 3),
    )

    def __post_init__(self):
        super().__post_init__()
        _check(
            self.width % self.heads == 0,
            "model.heads",
            self.heads,
            f"a divisor of the width, {self.width}",
        )
        _check(
            self.side % 2 ** len(self.pool_stages) == 0,
            "model.pool_stages",
            self.pool_stages,
            f"poolings that halve a side of {self.side} exactly",
        )

    @property
    def tokens(self):
        """Number of tokens N that the stem makes of one image."""
        return (self.side // 2 ** len(self.pool_stages)) ** 2


SELECTORS = (
    "learned",
    "random",
    "firing_rate",
    "attention",
    "information",
    "information_per_place",
    "oracle",
)


@dataclass(frozen=True)
class Selector(_Part):
    """The token selector: where it stands, what it keeps, how it is trained.

    The last three fields are habits of the published code, here as switches, off by default.
    """

    kind: str = _allowed(f"one of {', '.join(SELECTORS)}", lambda v: v in SELECTORS, "learned")
    keep_ratio: float = _allowed(
        "a share of the tokens above 0 and at most 1; location i keeps keep_ratio**(i+1)",
        lambda v: 0 < v <= 1,
        0.7,
    )
    locations: tuple[int, ...] = _allowed(
        "a tuple of rising block numbers, e.g. (1, 2, 3)",
        lambda v: (
            len(v) > 0 and list(v) == sorted(set(v)) and all(type(b) is int and b >= 0 for b in v)
        ),
        (1,),
    )
    dropped: str = _allowed(
        "removed (dropped tokens are gone for good) or bypass (they skip the block and come back after it)",
        lambda v: v in ("removed", "bypass"),
        "removed",
    )
    ratio_weight: float = _allowed("a number of at least 0", lambda v: 0 <= v < float("inf"), 2.0)
    distill_weight: float = _allowed("a number of at least 0", lambda v: 0 <= v < float("inf"), 0.5)
    teacher_in_training_mode: bool = _allowed(
        "True or False: the teacher normalises by its batch and its potentials are never reset",
        lambda v: True,
        False,
    )
    head_averages_dropped: bool = _allowed(
        "True or False: while training, the head's mean takes dropped tokens in, as at inference it can't",
        lambda v: True,
        False,
    )
    inference_keep_ratio: float = _allowed(
        "0 (the keep_ratio) or another share, at most 1, kept at inference only",
        lambda v: 0 <= v <= 1,
        0.0,
    )

    def __post_init__(self):
        super().__post_init__()
        _check(
            self.kind != "attention" or self.locations[0] > 0,
            "selector.locations",
            self.locations,
            "blocks above 0 with kind attention, which looks at the block before",
        )

    @property
    def removes(self):
        return self.dropped == "removed"

    def ratios(self, inference=False):
        """Share of the tokens kept at each location: rho, rho², rho³ … (DynamicViT, section 3.3)."""
        rho = inference and self.inference_keep_ratio or self.keep_ratio
        return [rho ** (i + 1) for i in range(len(self.locations))]

    def counts(self, tokens, inference=True):
        """Tokens left after each location: floor(tokens · ratio), at least 1."""
        rounding = 1e-9  # so that 10 · 0.3 is 3, whatever float says
        return [max(1, math.floor(tokens * r + rounding)) for r in self.ratios(inference)]


CONTROLS = ("ticket", "reinit", "random", "magnitude_at_init")
ORDERS = ("ticket_first", "selector_first", "together")


@dataclass(frozen=True)
class Ticket(_Part):
    """A sparse network of iterative magnitude pruning (Frankle & Carbin 2019), or one of its controls.

    One-shot pruning is a ticket of one round.
    """

    round: int = _positive(1)
    fraction: float = _allowed(
        "the share of the surviving weights removed per round, above 0 and below 1",
        lambda v: 0 < v < 1,
        0.25,
    )
    scope: str = _allowed(
        "global (all layers compete) or layer (the same fraction in each)",
        lambda v: v in ("global", "layer"),
        "global",
    )
    rewind_epoch: int = _allowed(
        "an epoch of the dense run, 0 for its initialisation", lambda v: v >= 0, 1
    )
    rewind: str = _allowed(
        "weights (all parameters; BatchNorm's running statistics and the optimiser start afresh) "
        "or state (these two go back as well)",
        lambda v: v in ("weights", "state"),
        "weights",
    )
    freeze: str = _allowed(
        "mask (pruned weights are held at zero) or near_zero (as published: whatever is below 1e-6 gets no gradient)",
        lambda v: v in ("mask", "near_zero"),
        "mask",
    )
    control: str = _allowed(
        "ticket (mask and rewound weights), reinit (mask, new initialisation), random (the mask shuffled within each "
        "layer, rewound weights) or magnitude_at_init (as sparse, by the magnitudes of the untrained weights)",
        lambda v: v in CONTROLS,
        "ticket",
    )

    search_time_steps: int = _allowed(
        "0 (the model's) or the time steps of the networks that are trained to find the mask: an early-time ticket "
        "(Kim et al. 2022)",
        lambda v: v >= 0,
        0,
    )
    order: str = _allowed(
        "with a selector, ticket_first (the student starts from a ticket of the dense network), selector_first (the "
        "student is pruned, and rewound to its own weights) or together (each round trains both at once, "
        "from the dense network's rewound weights)",
        lambda v: v in ORDERS,
        "ticket_first",
    )

    def __post_init__(self):
        super().__post_init__()
        _check(
            self.freeze == "mask" or self.rewind == "weights",
            "ticket.rewind",
            self.rewind,
            "weights, with ticket.freeze near_zero: the optimiser's old moments would move what is to be held",
        )

    def reaching(self, sparsity):
        """The same ticket with the fraction that removes this share of the weights in `round` rounds."""
        _check(
            isinstance(sparsity, int | float) and 0 < sparsity < 1,
            "ticket.sparsity",
            sparsity,
            "the share of the prunable weights removed after the last round, above 0 and below 1",
        )
        return replace(self, fraction=1 - (1 - sparsity) ** (1 / self.round))


@dataclass(frozen=True)
class Train(_Part):
    """How the weights are found."""

    epochs: int = _positive(6)
    batch_size: int = _positive(64)
    lr: float = _allowed("a positive number", lambda v: 0 < v < float("inf"), 3e-3)
    min_lr: float = _allowed("a number of at least 0", lambda v: 0 <= v < float("inf"), 1e-5)
    warmup_epochs: float = _allowed("a number of at least 0", lambda v: v >= 0, 1.0)
    weight_decay: float = _allowed("a number of at least 0", lambda v: 0 <= v < float("inf"), 0.06)
    label_smoothing: float = _allowed(
        "a share of at least 0 and below 1", lambda v: 0 <= v < 1, 0.1
    )
    mixed_precision: bool = _allowed(
        "True or False: products in bfloat16, neurons in float32", lambda v: True, False
    )
    mixup: float = _allowed(
        "0 (none) or the parameter of the Beta distribution that the shares of two images are drawn from (Zhang 2018)",
        lambda v: 0 <= v < float("inf"),
        0.0,
    )
    mixup_probability: float = _allowed(
        "a probability: that a batch is mixed", lambda v: 0 <= v <= 1, 1.0
    )
    mixup_epochs: int = _allowed("0 (all) or the number of epochs with mixup", lambda v: v >= 0, 0)


PARTS = {"data": Data, "model": Model, "selector": Selector, "ticket": Ticket, "train": Train}


@dataclass(frozen=True)
class RunConfig:
    """Everything that makes a trained network what it is. Two equal configs name the same run."""

    data: Data = Data()
    model: Model = Model()
    selector: Selector | None = None
    ticket: Ticket | None = None
    train: Train = Train()
    seed: int = 0

    def __post_init__(self):
        _check(
            type(self.seed) is int and 0 <= self.seed < 2**32,
            "seed",
            self.seed,
            "a whole number from 0 to 2³²−1",
        )
        for name, part in PARTS.items():
            value, optional = getattr(self, name), name in ("selector", "ticket")
            ok = isinstance(value, part) or (optional and value is None)
            _check(ok, name, value, f"a {part.__name__}{' or None' if optional else ''}")
        last = max(self.selector.locations) if self.selector else 0
        _check(
            last < self.model.depth,
            "selector.locations",
            getattr(self.selector, "locations", None),
            f"blocks below model.depth, {self.model.depth}",
        )
        _check(
            self.selector is None
            or self.selector.kind != "oracle"
            or self.data.name in WITH_FOREGROUND,
            "selector.kind",
            "oracle",
            f"with images whose foreground is known ({', '.join(WITH_FOREGROUND)}); {self.data.name} does not tell",
        )
        oracle = self.selector is not None and self.selector.kind == "oracle"
        for name, given, ok in (
            ("data.augment", self.data.augment, self.data.augment != "published"),
            ("train.mixup", self.train.mixup, self.train.mixup == 0),
        ):
            allowed = "none or light, and no mixup, with selector.kind oracle: the foreground goes no further"
            _check(ok or not oracle, name, given, allowed)
        rewind = self.ticket.rewind_epoch if self.ticket else 0
        _check(
            rewind < self.train.epochs,
            "ticket.rewind_epoch",
            rewind,
            f"an epoch below train.epochs, {self.train.epochs}",
        )
        if self.ticket and self.ticket.order != "ticket_first":
            alone = self.ticket.control == "ticket" and self.ticket.search_time_steps == 0
            allowed = "ticket_first, but for tickets without search_time_steps of a network with a selector"
            _check(self.selector is not None and alone, "ticket.order", self.ticket.order, allowed)
        for name, value in DATASETS[self.data.name].items():
            _check(
                getattr(self.model, name) == value,
                f"model.{name}",
                getattr(self.model, name),
                f"{value}, as in the data set {self.data.name}",
            )

    def as_dict(self):
        return {"results_version": RESULTS_VERSION, **dataclasses.asdict(self)}

    def flat(self):
        """{"model.width": 32, …}: every field of every part, None for those of a part that is not there."""
        flat = {"results_version": RESULTS_VERSION, "seed": self.seed}
        for name, part in PARTS.items():
            value = getattr(self, name)
            for f in fields(part):
                given = getattr(value, f.name, None)
                flat[f"{name}.{f.name}"] = str(given) if isinstance(given, tuple) else given
        return flat

    @classmethod
    def from_dict(cls, values):
        """The inverse of `as_dict`. ValueError, one sentence, for a newer version or fields that are not known."""
        _check(isinstance(values, dict), "a config", values, "what RunConfig.as_dict gave")
        values = dict(values)
        written = values.pop("results_version", None)
        _check(
            written == RESULTS_VERSION,
            "results_version",
            written,
            f"{RESULTS_VERSION}, that of this code",
        )
        for name, part in PARTS.items():
            if isinstance(values.get(name), dict):
                unknown = values[name].keys() - {f.name for f in fields(part)}
                _check(not unknown, name, sorted(unknown), "fields of this version")
                values[name] = part(**values[name])
        unknown = values.keys() - {f.name for f in fields(cls)}
        _check(
            not unknown, "a config's part", sorted(unknown), ", ".join(f.name for f in fields(cls))
        )
        return cls(**values)

    @classmethod
    def from_flat(cls, row):
        """The inverse of `flat`, also of its values as text, as a CSV file has them ("" for None).

        ValueError, one sentence, for rows of another version of the results and for values that no config has.
        """

        read = {
            str: str,
            float: float,
            int: lambda text: int(float(text)),  # a column with gaps makes 1 to 1.0
            bool: {"True": True, "False": False}.__getitem__,
            tuple: lambda text: tuple(ast.literal_eval(text)),
        }

        def value(name, kind):
            given = str(row.get(name, ""))
            try:
                return read[kind](given)
            except (ValueError, KeyError, SyntaxError, TypeError):
                raise Refused(
                    f"{name} is {given!r}; allowed: a value as in a row of results."
                ) from None

        written = value("results_version", int)
        _check(
            written == RESULTS_VERSION,
            "results_version",
            written,
            f"{RESULTS_VERSION}, that of this code",
        )
        parts = {}
        for name, part in PARTS.items():
            hints = typing.get_type_hints(part)
            kinds = {
                f"{name}.{f.name}": typing.get_origin(hints[f.name]) or hints[f.name]
                for f in fields(part)
            }
            there = any(str(row.get(key, "")) not in ("", "None", "nan") for key in kinds)
            parts[name] = (
                part(**{k.partition(".")[2]: value(k, kind) for k, kind in kinds.items()})
                if there
                else None
            )
        return cls(**parts, seed=value("seed", int))

    def hash(self):
        """16 hex digits of the SHA-256 of the canonical JSON form."""
        text = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def with_(self, **overrides):
        """A copy with whole parts (selector=None) or dotted fields (**{"train.epochs": 3}) replaced, all at once.

        Another data.name brings its model.channels, side, classes and encoding along, where they are not given, and
        leaves what is another set's behind.
        """
        changes, inside, name = {}, {}, str(overrides.get("data.name"))
        if name in DATASETS:
            shape = {} if "model" in overrides else DATASETS[name]
            usual = {
                f.name: f.default for f in fields(Data) if name != OF_ONE_SET.get(f.name, name)
            }
            brought = {"model": shape, "data": usual}
            overrides = {
                f"{part}.{f}": v for part, values in brought.items() for f, v in values.items()
            } | overrides
        allowed = [f.name for f in fields(RunConfig)]
        for key, value in overrides.items():
            part, dot, name = key.partition(".")
            _check(
                part in allowed, "a parameter", key, f"{', '.join(allowed)}, or one of their fields"
            )
            if dot:
                names = [f.name for f in fields(PARTS[part])] if part in PARTS else []
                known = ", ".join(f"{part}.{n}" for n in names) or f"{part} itself"
                _check(name in names, "a parameter", key, known)
                inside.setdefault(part, {})[name] = value
            else:
                changes[part] = value
        for part, values in inside.items():
            whole = changes.get(part, getattr(self, part)) or PARTS[part]()
            _check(isinstance(whole, PARTS[part]), part, whole, f"a {PARTS[part].__name__}")
            changes[part] = replace(whole, **values)
        return replace(self, **changes)
