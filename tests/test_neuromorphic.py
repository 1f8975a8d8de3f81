"""Event cameras' data: tiny recordings in the formats of the cameras, through SpikingJelly's own
unpacking."""

import hashlib
import io
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from spikingjelly.datasets import CIFAR10DVS, DVS128Gesture

from ssf.datasets import neuromorphic, sets
from ssf.datasets.static import CIFAR10_CLASSES

COUNT = 40  # events of a recording


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def aedat2(x, y):
    """A recording of CIFAR10-DVS: AEDAT 2.0, big-endian pairs of address and time. One pixel
    fires."""
    header = b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n"
    address = [(127 - x) << 8 | (127 - y) << 1 | i % 2 for i in range(COUNT)]
    return header + b"".join(struct.pack(">II", a, 100 * i) for i, a in enumerate(address))


def aedat3(events):
    """A recording of DVS128 Gesture: AEDAT 3.1, one packet of polarity events (time, x, y, p)."""
    header = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n"
    packet = struct.pack("<HHIIIIII", 1, 0, 8, 4, 0, len(events), len(events), len(events))
    return (
        header
        + packet
        + b"".join(struct.pack("<II", x << 17 | y << 2 | p << 1 | 1, t) for t, x, y, p in events)
    )


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def resources(monkeypatch, kind, root):
    """Tell SpikingJelly the checksums of the archives that were written."""
    told = [
        (name, "https://example.org", md5(root / "download" / name))
        for name, *_ in kind.resource_url_md5()
    ]
    monkeypatch.setattr(kind, "resource_url_md5", classmethod(lambda _: told))


@pytest.fixture
def dvs(tmp_path, monkeypatch):
    """Ten classes of twenty recordings; class c, recording r fires at x = c, y = r."""
    root = tmp_path / "cifar10-dvs"
    (root / "download").mkdir(parents=True)
    for c, name in enumerate(CIFAR10_CLASSES):
        with zipfile.ZipFile(root / "download" / f"{name}.zip", "w") as archive:
            for r in range(20):
                archive.writestr(f"{name}/cifar10_{name}_{r}.aedat", aedat2(c, r))
    resources(monkeypatch, CIFAR10DVS, root)
    return root


def fired(images):
    """x and y of the one pixel that fired in each sample."""
    places = np.argwhere(images.numpy().sum((1, 2)) > 0)
    assert places[:, 0].tolist() == list(range(len(images)))
    return places[:, 2], places[:, 1]


def test_cifar10_dvs_is_unpacked_integrated_and_split_in_file_order(dvs):
    dataset = sets.load("cifar10-dvs", dvs, time_steps=4)
    assert dataset.train_images.shape == (180, 4, 2, 128, 128) and dataset.test_images.shape == (
        20,
        4,
        2,
        128,
        128,
    )
    assert (
        dataset.train_images.sum((2, 3, 4)) == COUNT // 4
    ).all()  # an equal number of events in each frame
    assert (dataset.train_images.sum((1, 3, 4)) == COUNT // 2).all()  # ON and OFF
    x, y = fired(dataset.test_images)
    assert x.tolist() == dataset.test_labels.tolist()
    names = sorted(
        f"cifar10_airplane_{r}.npz" for r in range(20)
    )  # the order of file names: 0, 1, 10, 11, …
    last = {int(name.removesuffix(".npz").rsplit("_", 1)[1]) for name in names[18:]}
    assert set(y.tolist()) == last == {8, 9}
    assert dataset.train_labels.tolist() != sorted(
        dataset.train_labels.tolist()
    )  # not class by class
    assert (
        dataset.standardise(dataset.test_images).max() == dataset.test_images.max()
    )  # counts stay counts


@pytest.fixture
def gestures(tmp_path, monkeypatch):
    """Two people's recordings, one gesture after the other; gesture g fires at x = g, a second
    person's at y = 1."""
    root = tmp_path / "gestures"
    (root / "download").mkdir(parents=True)
    with tarfile.open(root / "download" / "DvsGesture.tar.gz", "w:gz") as tar:

        def add(name, content):
            info = tarfile.TarInfo(f"DvsGesture/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))

        for person, split in enumerate(("train", "test")):
            events = [(1000 * g + i, g, person, i % 2) for g in range(11) for i in range(COUNT)]
            add(f"user{person}_led.aedat", aedat3(events))
            spans = "".join(f"{g + 1},{1000 * g},{1000 * g + 500}\n" for g in range(11))
            add(
                f"user{person}_led_labels.csv",
                b"class,startTime_usec,endTime_usec\n" + spans.encode(),
            )
            add(f"trials_to_{split}.txt", f"user{person}_led.aedat\n".encode())
    for name in ("gesture_mapping.csv", "LICENSE.txt", "README.txt"):
        (root / "download" / name).write_text(name)
    resources(monkeypatch, DVS128Gesture, root)
    return root


def test_gestures_are_split_by_person_and_labelled_in_their_order(gestures):
    """SpikingJelly's own labels follow the names of folders as text, 0, 1, 10, 2: here 10 is the
    eleventh."""
    dataset = sets.load("dvs128-gesture", gestures, time_steps=2)
    assert dataset.train_images.shape == dataset.test_images.shape == (11, 2, 2, 128, 128)
    x, y = fired(dataset.train_images)
    assert x.tolist() == dataset.train_labels.tolist() and set(y) == {0}
    assert set(fired(dataset.test_images)[1]) == {1} and dataset.classes[10] == "other gestures"


def test_a_pixel_that_fires_too_often_is_capped(dvs, monkeypatch):
    monkeypatch.setattr(neuromorphic, "MOST", 3)
    assert sets.load("cifar10-dvs", dvs, time_steps=1).train_images.max() == 3


def test_gestures_that_are_not_there_must_be_fetched_by_hand(tmp_path):
    with pytest.raises(
        ValueError,
        match="DvsGesture.tar.gz is missing or damaged: .* fetch it from https.*box",
    ):
        sets.load("dvs128-gesture", tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_a_half_downloaded_archive_is_named_and_not_deleted(dvs):
    archive = dvs / "download" / "bird.zip"
    archive.write_bytes(archive.read_bytes()[:500])
    with pytest.raises(ValueError, match="bird.zip is missing or damaged: .* fetch it from https"):
        sets.load("cifar10-dvs", dvs)
    assert archive.exists()


def test_a_failed_unpacking_leaves_nothing_half_done(dvs, monkeypatch):
    from spikingjelly.datasets import cifar10_dvs

    real, calls = cifar10_dvs._read_aedat_save_to_np, []

    def full(*arguments):
        calls.append(arguments)
        if len(calls) == 30:
            raise OSError("no space left")
        return real(*arguments)

    monkeypatch.setattr(cifar10_dvs, "_read_aedat_save_to_np", full)
    with pytest.raises(ValueError, match="no space left"):
        sets.load("cifar10-dvs", dvs)
    assert len(sets.load("cifar10-dvs", dvs).train_labels) == 180


def test_what_can_not_be_fetched_ends_in_a_sentence_and_can_be_tried_again(tmp_path, monkeypatch):
    def closed(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("spikingjelly.datasets.base.download_url", closed)
    for _ in range(2):
        with pytest.raises(
            ValueError,
            match=r"CIFAR10DVS could not be fetched or unpacked in .* \(no network\); try",
        ):
            sets.load("cifar10-dvs", tmp_path / "set")


@pytest.mark.parametrize(
    "spoil, sentence",
    [
        (
            lambda f: [p.unlink() for p in f.parent.iterdir()],
            "events_np/cat is missing or empty; expected: files",
        ),
        (lambda f: f.write_bytes(b"no file"), "cifar10_cat_3.npz is damaged"),
        (lambda f: np.savez(f, frames=np.zeros(3)), "cifar10_cat_3.npz is damaged"),
        (
            lambda f: np.savez(f, **{k: np.full(COUNT, 200) for k in "txyp"}),
            "cifar10_cat_3.npz .* or events beyond 128×128 pixels",
        ),
        (
            lambda f: np.savez(f, **{k: np.zeros(1, int) for k in "txyp"}),
            "cifar10_cat_3.npz .* has fewer events than frames",
        ),
        (
            lambda f: (f.parents[1].with_name("events_np.building")).touch(),
            "says that unpacking was interrupted",
        ),
    ],
)
def test_bad_files_end_in_a_sentence(dvs, spoil, sentence):
    sets.load("cifar10-dvs", dvs, time_steps=2)
    spoil(dvs / "events_np" / "cat" / "cifar10_cat_3.npz")
    with pytest.raises(ValueError, match=sentence) as failure:
        sets.load("cifar10-dvs", dvs, time_steps=3)
    assert "remove" in str(failure.value) and "\n" not in str(failure.value)


def test_no_frames_are_refused(dvs):
    with pytest.raises(ValueError, match="time_steps is 0; allowed: a whole number of at least 1"):
        sets.load("cifar10-dvs", dvs, time_steps=0)
