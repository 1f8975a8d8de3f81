"""Event cameras' data: CIFAR10-DVS and DVS128 Gesture through SpikingJelly, as T frames."""

import math
import shutil

import numpy as np
from tqdm import tqdm

from ssf.config import Failed, Refused
from ssf.datasets.cache import cached, lock
from ssf.datasets.static import CIFAR10_CLASSES, first_line

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

    unpack(CIFAR10DVS, root)
    chosen = {"train": [], "test": []}
    for of_class in recordings(root / "events_np", CIFAR10_CLASSES):
        cut = math.ceil((1 - TEST_SHARE) * len(of_class) - 1e-9)  # whatever float says
        chosen["train"] += of_class[:cut]
        chosen["test"] += of_class[cut:]
    return frames("cifar10-dvs", chosen, time_steps), CIFAR10_CLASSES


def dvs128_gesture(root, time_steps):
    """Arrays of DVS128 Gesture (Amir et al., CVPR 2017), split by person, and its classes."""
    from spikingjelly.datasets import DVS128Gesture

    unpack(DVS128Gesture, root, True)
    names = [str(label) for label in range(len(GESTURES))]
    splits = {split: recordings(root / "events_np" / split, names) for split in ("train", "test")}
    chosen = {split: sum(by_class, []) for split, by_class in splits.items()}
    return frames("dvs128-gesture", chosen, time_steps), GESTURES


def recordings(folder, names):
    """For each class, by the name of its folder, [(file of events, label)] in order of names."""
    by_class = []
    for label, name in enumerate(names):
        by_class.append([(path, label) for path in sorted((folder / name).glob("*.npz"))])
        if not by_class[-1]:
            raise Refused(
                f"{folder / name} is missing or empty; expected: files of events, one folder a "
                "class; remove events_np and extract to unpack the archives again."
            )
    return by_class


def unpack(kind, root, *arguments):
    """Fetch a set if need be and unpack it, whole or not at all.

    kind: SpikingJelly's class, called with the root and these arguments.
    """
    from torchvision.datasets.utils import check_integrity

    events, extract = root / "events_np", root / "extract"
    marker = root / "events_np.building"  # SpikingJelly's
    with lock(root):
        if marker.exists():
            raise Refused(
                f"{marker} says that unpacking was interrupted; remove it, {events} and {extract}."
            )
        if events.exists():
            return
        for name, url, md5 in kind.resource_url_md5():
            path = root / "download" / name
            to_fetch = kind.downloadable() and not path.exists()
            if not to_fetch and not check_integrity(path, md5):
                raise Refused(
                    f"{path} is missing or damaged: its MD5 is not {md5}; fetch it from {url}."
                )
        root.mkdir(parents=True, exist_ok=True)
        try:
            kind(root, *arguments)
        except Exception as error:  # of many libraries' kinds: network, archives, formats
            for path in (events, extract):
                shutil.rmtree(path, ignore_errors=True)
            marker.unlink(missing_ok=True)
            raise Failed(
                f"{kind.__name__} could not be fetched or unpacked in {root} "
                f"({first_line(error)}); try again, or put whole files into {root / 'download'}."
            ) from None


def frames(name, chosen, time_steps):
    """Arrays of the files' frames, uint8 [n,T,2,128,128], with equal numbers of events in each.

    That is SpikingJelly's split by "number". Both splits, {split: [(file, label)]}, are in an order
    drawn with a fixed seed, as files are sorted by class.
    """
    from spikingjelly.datasets.utils import integrate_events_by_fixed_frames_number as integrate

    def build(create):
        rng = np.random.default_rng(0)
        for split, files in chosen.items():
            images = create(f"{split}_images", (len(files), time_steps, 2, SIDE, SIDE), np.uint8)
            labels = create(f"{split}_labels", (len(files),), np.int64)
            order = rng.permutation(len(files))
            bar = tqdm(order, desc=f"{name} {split}", leave=False, disable=None)
            for row, i in enumerate(bar):
                path, labels[row] = files[i]
                counts = integrate(read(path, time_steps), "number", time_steps, SIDE, SIDE)
                images[row] = counts.clip(max=MOST)

    paths = [path for files in chosen.values() for path, _ in files]
    return cached(name, paths, build, time_steps)[0]


def read(path, time_steps):
    """{"t", "x", "y", "p": arrays} of a file; Refused if it is damaged or of another camera."""
    try:
        with np.load(path, allow_pickle=False) as file:
            events = {key: file[key] for key in "txyp"}
        places = np.stack([events["x"], events["y"]])
        whole = len({len(v) for v in events.values()}) == 1 and len(events["t"]) >= time_steps
        whole = whole and places.min() >= 0 and places.max() < SIDE
    except Exception:  # numpy's, zip's and the system's
        whole = False
    if not whole:
        raise Refused(
            f"{path} is damaged, has fewer events than frames, or events beyond {SIDE}×{SIDE} "
            f"pixels; remove {path.parents[1]} to have it made again."
        )
    return events
