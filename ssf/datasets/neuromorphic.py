"""Event cameras' data: CIFAR10-DVS and DVS128 Gesture through SpikingJelly, as T frames."""

import math
import shutil

import numpy as np
from tqdm import tqdm

from ssf.config import Failed, Refused
from ssf.datasets.cache import cached, lock
from ssf.datasets.static import CIFAR10_CLASSES

GESTURES = (
    "hand clapping", "right hand wave", "left hand wave", "right arm clockwise",
    "right arm counter clockwise", "left arm clockwise", "left arm counter clockwise",
    "arm roll", "air drums", "air guitar", "other gestures",
)  # fmt: skip
SIDE = 128
TEST_SHARE = 0.1  # of CIFAR10-DVS
MOST = 255  # events of a pixel in a frame; what is more counts as so many


def cifar10_dvs(root, time_steps):
    """Arrays of CIFAR10-DVS (Li et al., Frontiers in Neuroscience 2017), and its classes.

    It has no split of its own: as in the published code, the last tenth of each class, in the order
    of file names, is the test split.
    """
    from spikingjelly.datasets import CIFAR10DVS

    recordings = prepared(CIFAR10DVS, root, {"": CIFAR10_CLASSES})[""]
    chosen = {"train": [], "test": []}
    for label in range(len(CIFAR10_CLASSES)):
        of_class = [recording for recording in recordings if recording[1] == label]
        cut = math.ceil((1 - TEST_SHARE) * len(of_class) - 1e-9)  # whatever float says
        chosen["train"] += of_class[:cut]
        chosen["test"] += of_class[cut:]
    return frames("cifar10-dvs", root, chosen, time_steps), CIFAR10_CLASSES


def dvs128_gesture(root, time_steps):
    """Arrays of DVS128 Gesture (Amir et al., CVPR 2017), split by person, and its classes."""
    from spikingjelly.datasets import DVS128Gesture

    names = [str(label) for label in range(len(GESTURES))]
    chosen = prepared(DVS128Gesture, root, {"train": names, "test": names}, True)
    return frames("dvs128-gesture", root, chosen, time_steps), GESTURES


def prepared(kind, root, classes, *arguments):
    """{split: [(file of events, label)]}, in the order of file names; unpacked if need be.

    Args:
        kind: SpikingJelly's class, called with the root and these arguments.
        classes: {split: names of its classes' folders, in the order of labels}.
    """
    with lock(root):
        unpack(kind, root, arguments)
    events, recordings = root / "events_np", {split: [] for split in classes}
    for split, names in classes.items():
        for label, name in enumerate(names):
            paths = sorted((events / split / name).glob("*.npz"))
            if not paths:
                raise Refused(
                    f"{events / split / name} is missing or empty; expected: files of events, one "
                    f"folder a class; remove {events} and {root / 'extract'} to unpack the "
                    "archives again."
                )
            recordings[split] += [(path, label) for path in paths]
    return recordings


def unpack(kind, root, arguments):
    """Fetch a set if need be and unpack it, whole or not at all."""
    events, extract = root / "events_np", root / "extract"
    marker = root / "events_np.building"  # SpikingJelly's
    if marker.exists():
        raise Refused(
            f"{marker} says that unpacking was interrupted; remove it, {events} and {extract}."
        )
    if events.exists():
        return
    check_archives(kind, root)
    root.mkdir(parents=True, exist_ok=True)
    try:
        kind(root, *arguments)
    except Exception as error:  # of many libraries' kinds: network, archives, formats
        for path in (events, extract):
            shutil.rmtree(path, ignore_errors=True)
        marker.unlink(missing_ok=True)
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise Failed(
            f"{kind.__name__} could not be fetched or unpacked in {root} ({reason}); try again, or "
            f"put whole files into {root / 'download'}."
        ) from None


def check_archives(kind, root):
    """Raise Refused for a damaged archive in root/download, or one to be fetched by hand."""
    from torchvision.datasets.utils import check_integrity

    for name, url, md5 in kind.resource_url_md5():
        path = root / "download" / name
        if path.exists() and not check_integrity(str(path), md5):
            raise Refused(
                f"{path} is damaged or half-downloaded: its MD5 is not {md5}; remove it, or fetch "
                f"it again from {url}."
            )
        if not path.exists() and not kind.downloadable():
            raise Refused(
                f"{path} is missing; {kind.__name__} must be fetched by hand: put {name} there, "
                f"from {url}."
            )


def frames(name, root, chosen, time_steps):
    """Arrays of the files' frames, uint8 [n,T,2,128,128], with equal numbers of events in each.

    That is SpikingJelly's split by "number". Both splits are in an order drawn with a fixed seed,
    as files are sorted by class.
    """
    from spikingjelly.datasets.utils import integrate_events_by_fixed_frames_number

    def build(create):
        rng = np.random.default_rng(0)
        for split, files in chosen.items():
            images = create(f"{split}_images", (len(files), time_steps, 2, SIDE, SIDE), np.uint8)
            labels = create(f"{split}_labels", (len(files),), np.int64)
            order = rng.permutation(len(files))
            bar = tqdm(order, desc=f"{name} {split}", leave=False, disable=None)
            for row, i in enumerate(bar):
                path, labels[row] = files[i]
                counts = integrate_events_by_fixed_frames_number(
                    read(path, time_steps), "number", time_steps, SIDE, SIDE
                )
                images[row] = counts.clip(max=MOST)

    paths = [path for files in chosen.values() for path, _ in files]
    sizes = [(path.name, path.stat().st_size) for path in paths]
    return cached(name, f"{root.resolve()} {time_steps} {sizes}", build)[0]


def read(path, time_steps):
    """{"t", "x", "y", "p": arrays} of a file; Refused if it is damaged or of another camera."""
    mend = f"remove {path.parents[1]} to have it made again"
    try:
        with np.load(path, allow_pickle=False) as file:
            events = {key: file[key] for key in "txyp"}
    except Exception as error:  # numpy's, zip's and the system's
        reason = type(error).__name__
        raise Refused(f"{path} is no whole file of events ({reason}); {mend}.") from None
    if len({len(v) for v in events.values()}) != 1 or len(events["t"]) < time_steps:
        raise Refused(
            f"{path} has fewer events than frames, or not as many of each of t, x, y and p; {mend}."
        )
    places = np.stack([events["x"], events["y"]])
    if places.min() < 0 or places.max() >= SIDE:
        raise Refused(
            f"{path} has events beyond {SIDE}×{SIDE} pixels; expected: those of a DVS128; {mend}."
        )
    return events
