"""Event cameras' data: CIFAR10-DVS and DVS128 Gesture through SpikingJelly, as frames of T
slices."""

import math
import shutil

import numpy as np
from tqdm import tqdm

from ssf.config import Failed, Refused
from ssf.datasets.cache import cached, lock
from ssf.datasets.static import CIFAR10_CLASSES

GESTURES = (
    "hand clapping",
    "right hand wave",
    "left hand wave",
    "right arm clockwise",
    "right arm counter clockwise",
    "left arm clockwise",
    "left arm counter clockwise",
    "arm roll",
    "air drums",
    "air guitar",
    "other gestures",
)
SIDE = 128
TEST_SHARE = 0.1  # of CIFAR10-DVS, in both its splits
MOST = 255  # events of a pixel in a frame; what is more counts as so many


def cifar10_dvs(root, time_steps):
    """Arrays of CIFAR10-DVS (Li et al., Frontiers in Neuroscience 2017), and its classes.

    It has no split of its own: as in the published code, the last tenth of each class, in the order
    of file names, is the test split.
    """
    from spikingjelly.datasets import CIFAR10DVS

    events, chosen = (
        prepared(CIFAR10DVS, root, {"": CIFAR10_CLASSES})[""],
        {"train": [], "test": []},
    )
    for label in range(len(CIFAR10_CLASSES)):
        of_class = [(path, own) for path, own in events if own == label]
        cut = math.ceil((1 - TEST_SHARE) * len(of_class) - 1e-9)
        chosen["train"] += of_class[:cut]
        chosen["test"] += of_class[cut:]
    return frames("cifar10-dvs", str(root.resolve()), chosen, time_steps)[0], CIFAR10_CLASSES


def dvs128_gesture(root, time_steps):
    """Arrays of DVS128 Gesture (Amir et al., CVPR 2017), split by its authors by person, and its
    classes."""
    from spikingjelly.datasets import DVS128Gesture

    folders = tuple(str(label) for label in range(len(GESTURES)))
    chosen = prepared(DVS128Gesture, root, {"train": folders, "test": folders}, True)
    return frames("dvs128-gesture", str(root.resolve()), chosen, time_steps)[0], GESTURES


def prepared(kind, root, folders, *arguments):
    """{split: [(file of events, label)]} by SpikingJelly, in the order of file names; fetched and
    unpacked if need be.

    folders: {split: the folders of its classes, in the order of labels}. arguments: those of `kind`
    after the root. Raises ValueError (Failed or Refused), one sentence, for what is missing,
    damaged or can't be fetched.
    """
    with lock(root):
        unpack(kind, root, arguments)
    events = root / "events_np"
    found = {}
    for split, names in folders.items():
        found[split] = []
        for label, name in enumerate(names):
            folder = events / split / name
            paths = sorted(folder.glob("*.npz"))
            if not paths:
                raise Refused(
                    f"{folder} is missing or empty; expected: files of events, one folder a class; "
                    f"remove {events} and "
                    f"{root / 'extract'} to unpack the archives again."
                )
            found[split] += [(path, label) for path in paths]
    return found


def unpack(kind, root, arguments):
    """Fetch a set if need be and unpack it, whole or not at all."""
    events, extract = root / "events_np", root / "extract"
    marker = root / "events_np.building"
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
    """Whole archives in root/download, as far as they are there; all of them, where they must be
    fetched by hand."""
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


def frames(name, source, chosen, time_steps):
    """Arrays of the files' frames, uint8 [n,T,2,128,128]: equal numbers of events in each
    (SpikingJelly's "number").

    Both splits are in an order drawn with a fixed seed, as files are sorted by class.
    """
    from spikingjelly.datasets.utils import integrate_events_by_fixed_frames_number

    def build(room):
        rng = np.random.default_rng(0)
        for split, files in chosen.items():
            images = room(f"{split}_images", (len(files), time_steps, 2, SIDE, SIDE), np.uint8)
            labels = room(f"{split}_labels", (len(files),), np.int64)
            order = tqdm(
                rng.permutation(len(files)), desc=f"{name} {split}", leave=False, disable=None
            )
            for place, i in enumerate(order):
                path, labels[place] = files[i]
                counts = integrate_events_by_fixed_frames_number(
                    read(path, time_steps), "number", time_steps, SIDE, SIDE
                )
                images[place] = counts.clip(max=MOST)

    sizes = [
        (str(path.name), path.stat().st_size) for files in chosen.values() for path, _ in files
    ]
    return cached(name, f"{source} {time_steps} {sizes}", build)


def read(path, time_steps):
    """{"t", "x", "y", "p": arrays} of a file. ValueError, one sentence, if it is no such file or of
    another camera."""
    mend = f"remove {path.parents[1]} to have it made again"
    try:
        with np.load(path, allow_pickle=False) as file:
            events = {key: file[key] for key in "txyp"}
    except Exception as error:  # numpy's, zip's and the system's
        raise Refused(
            f"{path} is no whole file of events ({type(error).__name__}); {mend}."
        ) from None
    if len({len(v) for v in events.values()}) != 1 or len(events["t"]) < time_steps:
        raise Refused(
            f"{path} has fewer events than frames, or not as many of each of t, x, y and p; {mend}."
        )
    if (
        max(events["x"].max(), events["y"].max()) >= SIDE
        or min(events["x"].min(), events["y"].min()) < 0
    ):
        raise Refused(
            f"{path} has events beyond {SIDE}×{SIDE} pixels; expected: those of a DVS128; {mend}."
        )
    return events
