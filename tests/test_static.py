"""Still images from files: tiny ones, in the formats the sets are published in, through the real
loaders."""

import hashlib
import io
import pickle
import shutil
import tarfile
import urllib.request
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from test_data import idx
from torchvision import datasets

from ssf import folders
from ssf.datasets import cache, sets


@pytest.fixture(autouse=True)
def own_cache_and_no_network(tmp_path, monkeypatch):
    def closed(*_, **__):
        raise URLError("no network")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(urllib.request, "urlopen", closed)


def encoded(image, kind):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


def parquet(path, kind="PNG", rows=20, side=32, **columns):
    """A parquet file as the hubs have it, its rows sorted by class; an image's first pixel tells
    its label."""
    import pyarrow
    from pyarrow import parquet as pq

    labels = np.sort(np.arange(rows) % 10)
    images = np.zeros((rows, side, side, 3), np.uint8)
    images[:, 0, 0, 1] = labels
    table = {
        "img": [
            {"bytes": encoded(image, kind), "path": f"{i}.png"} for i, image in enumerate(images)
        ],
        "label": labels,
    }
    pq.write_table(pyarrow.table(table | columns), path)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "set").mkdir()
    parquet(tmp_path / "set" / "train.parquet", rows=50)
    parquet(tmp_path / "set" / "test.parquet")
    return tmp_path / "set"


def test_parquet_is_read_decoded_and_shuffled(folder):
    dataset = sets.load("cifar10", folder)
    assert (dataset.name, dataset.title) == ("cifar10", "CIFAR-10")
    assert dataset.train_images.shape == (50, 3, 32, 32) and dataset.test_images.shape == (
        20,
        3,
        32,
        32,
    )
    assert torch.equal(dataset.train_images[:, 1, 0, 0].long(), dataset.train_labels)
    assert dataset.train_labels.bincount().tolist() == [5] * 10
    assert dataset.train_labels.tolist() != sorted(dataset.train_labels.tolist())
    assert dataset.title == "CIFAR-10" and len(dataset.test_labels) == 20


def test_the_hubs_folders_and_shards_are_found(folder, monkeypatch):
    inner = folder / "cifar10" / "plain_text"
    inner.mkdir(parents=True)
    for i in range(2):
        shutil.copy(folder / "test.parquet", inner / f"train-0000{i}-of-00002.parquet")
    shutil.copy(folder / "test.parquet", inner / "test-00000-of-00001.parquet")
    monkeypatch.setenv("SSF_DATA", str(folder))
    assert len(sets.load("cifar10").train_labels) == 40


def test_jpegs_are_called_so_and_not_trained_on_under_another_name(folder, monkeypatch):
    parquet(folder / "train.parquet", "JPEG")
    assert sets.load("cifar10", folder).title == "CIFAR-10 (JPEG)"
    (folder / "cifar10").mkdir()
    for name in ("train", "test"):
        (folder / f"{name}.parquet").rename(folder / "cifar10" / f"{name}.parquet")
    monkeypatch.setenv("SSF_DATA", str(folder))
    with pytest.raises(
        ValueError,
        match=r"data.name is 'cifar10', but .* are CIFAR-10 \(JPEG\); allowed: cifar10-jpeg",
    ):
        sets.load_for(data_config("cifar10"))
    (folder / "cifar10").rename(folder / "cifar10-jpeg")
    assert sets.load_for(data_config("cifar10-jpeg")).name == "cifar10-jpeg"


def data_config(name):
    from ssf.presets import preset

    return preset("smoke", **{"data.name": name})


def test_a_missing_shard_and_pngs_under_the_name_of_jpegs_are_refused(folder, monkeypatch):
    (folder / "train.parquet").rename(folder / "train-00000-of-00002.parquet")
    with pytest.raises(ValueError, match=r"train\*.parquet is 1; allowed: 2 or more"):
        sets.load("cifar10", folder)
    (folder / "train-00000-of-00002.parquet").rename(folder / "train.parquet")
    folder.rename(folder.with_name("cifar10-jpeg"))
    monkeypatch.setenv("SSF_DATA", str(folder.parent))
    with pytest.raises(
        ValueError, match="data.name is 'cifar10-jpeg', but .* are CIFAR-10; allowed: cifar10"
    ):
        sets.load_for(data_config("cifar10-jpeg"))


def test_the_second_time_nothing_is_decoded(folder, monkeypatch):
    first = sets.load("cifar10", folder)
    monkeypatch.setattr(Image, "open", None)
    assert torch.equal(sets.load("cifar10", folder).train_images, first.train_images)
    parquet(folder / "test.parquet", rows=30)  # another file: decoded anew
    with pytest.raises(ValueError, match="parquet is not CIFAR-10 as parquet"):
        sets.load("cifar10", folder)


@pytest.mark.parametrize(
    "spoil, sentence",
    [
        (lambda f: f.unlink(), r"the number of .*train\*.parquet is 0; allowed: 1"),
        (lambda f: f.write_bytes(f.read_bytes()[:-200]), r"train.parquet .* not whole \("),
        (lambda f: parquet(f, label=[0.5] * 20), "labels float64.*and label, from 0 to 9"),
        (lambda f: parquet(f, img=["?"] * 20), "train.parquet .*expected: img, with an encoded"),
        (lambda f: parquet(f, label=[10] * 20), "train.parquet .*labels from 10 to 10"),
        (lambda f: parquet(f, rows=0), "train.parquet is not CIFAR-10 as parquet"),
        (lambda f: parquet(f, side=28), r"images \(3, 28, 28\).*expected: .* 32×32 pixels"),
        (
            lambda f: parquet(f, img=[{"bytes": b"no picture"}] * 20),
            r"train.parquet .* not whole \(cannot identify",
        ),
    ],
)
def test_bad_parquet_ends_in_a_sentence(folder, spoil, sentence):
    spoil(folder / "train.parquet")
    with pytest.raises(ValueError, match=sentence) as failure:
        sets.load("cifar10", folder)
    assert str(folder) in str(failure.value) and "\n" not in str(failure.value)


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def cifar(root, monkeypatch, kind, folder, files, meta):
    """An archive as CIFAR's authors publish it, four images a file, and its checksums for
    torchvision."""
    inner, lists = root / folder, []
    inner.mkdir(parents=True)
    for number, (name, key) in enumerate(files):
        images = np.full((4, 3072), number, np.uint8)
        inner.joinpath(name).write_bytes(pickle.dumps({"data": images, key: [number % 3] * 4}))
        lists.append([name, md5(inner / name)])
    inner.joinpath(meta["filename"]).write_bytes(pickle.dumps({meta["key"]: ["a", "b", "c"]}))
    archive = root / kind.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(inner, folder)
    for name, value in (
        ("train_list", lists[:-1]),
        ("test_list", lists[-1:]),
        ("tgz_md5", md5(archive)),
        ("meta", meta | {"md5": md5(inner / meta["filename"])}),
    ):
        monkeypatch.setattr(kind, name, value)
    shutil.rmtree(inner)
    return archive


def test_cifar_goes_through_torchvision(tmp_path, monkeypatch):
    files = [*((f"data_batch_{i}", "labels") for i in range(1, 6)), ("test_batch", "labels")]
    meta = {"filename": "batches.meta", "key": "label_names"}
    cifar(tmp_path / "10", monkeypatch, datasets.CIFAR10, "cifar-10-batches-py", files, meta)
    dataset = sets.load("cifar10", tmp_path / "10")
    assert dataset.classes == ("a", "b", "c") and dataset.train_images.shape == (20, 3, 32, 32)
    assert dataset.train_labels.tolist() == [n % 3 for n in range(5) for _ in range(4)]
    assert dataset.test_images.unique().tolist() == [5]
    with monkeypatch.context() as patch:
        patch.setattr(datasets, "CIFAR10", None)  # the second time, nothing is unpickled
        assert torch.equal(sets.load("cifar10", tmp_path / "10").train_images, dataset.train_images)

    meta = {"filename": "meta", "key": "fine_label_names"}
    files = [("train", "fine_labels"), ("test", "fine_labels")]
    cifar(tmp_path / "100", monkeypatch, datasets.CIFAR100, "cifar-100-python", files, meta)
    assert sets.load("cifar100", tmp_path / "100").train_images.shape == (4, 3, 32, 32)


def test_a_half_downloaded_archive_ends_in_a_sentence(tmp_path, monkeypatch):
    files = [("data_batch_1", "labels"), ("test_batch", "labels")]
    meta = {"filename": "batches.meta", "key": "label_names"}
    archive = cifar(tmp_path, monkeypatch, datasets.CIFAR10, "cifar-10-batches-py", files, meta)
    archive.write_bytes(archive.read_bytes()[:300])
    with pytest.raises(
        ValueError,
        match="cifar10 is not whole in .*no network.*put cifar-10-python.tar.gz there, from",
    ):
        sets.load("cifar10", tmp_path)


def test_fashion_mnist_goes_through_torchvision(tmp_path, monkeypatch):
    raw, resources = tmp_path / "FashionMNIST" / "raw", []
    raw.mkdir(parents=True)
    for name, count in (("train", 30), ("t10k", 20)):
        labels = np.arange(count) % 10
        images = np.repeat(labels, 28 * 28).reshape(-1, 28, 28)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            path = raw / f"{name}-{kind}-ubyte.gz"
            path.write_bytes(idx(array))
            resources.append((path.name, md5(path)))
    monkeypatch.setattr(datasets.FashionMNIST, "resources", resources)
    dataset = sets.load("fashion-mnist", tmp_path)
    assert dataset.train_images.shape == (30, 1, 32, 32) and dataset.classes[9] == "Ankle boot"
    assert torch.equal(dataset.test_images[:, 0, 15, 15].long(), dataset.test_labels)
    assert not dataset.train_images[..., :2].any()

    images = raw / "t10k-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-1] + b"\0")  # damaged after it was unpacked
    with monkeypatch.context() as patch:
        patch.setattr(datasets, "FashionMNIST", None)  # the second time, nothing is read anew
        assert torch.equal(sets.load("fashion-mnist", tmp_path).test_images, dataset.test_images)
    shutil.rmtree(folders.cache() / "sets")
    assert torch.equal(
        sets.load("fashion-mnist", tmp_path).test_images, dataset.test_images
    )  # unpacked again
    packed = raw / "t10k-images-idx3-ubyte.gz"
    packed.write_bytes(packed.read_bytes()[:-9])
    images.unlink()
    with pytest.raises(
        ValueError,
        match="fashion-mnist is not whole in .*remove .*-ubyte and put its four .gz files",
    ):
        sets.load("fashion-mnist", tmp_path)


def build(create):
    create("numbers", (5,), np.int64)[:] = range(5)


def kept():
    (folder,) = (f for f in (folders.cache() / "sets").iterdir() if f.is_dir())
    return folder


@pytest.mark.parametrize(
    "spoil",
    [
        lambda f: f.joinpath("meta.json").write_text("{"),
        lambda f: f.joinpath("meta.json").unlink(),
        lambda f: f.joinpath("numbers.npy").write_bytes(
            f.joinpath("numbers.npy").read_bytes()[:-1] + b"\7"
        ),
        lambda f: f.joinpath("numbers.npy").unlink(),
    ],
    ids=["no JSON", "no checksums", "a changed byte", "a missing file"],
)
def test_a_cache_that_does_not_fit_is_built_anew(spoil):
    assert cache.cached("toy", [], build)[0]["numbers"].tolist() == [0, 1, 2, 3, 4]
    spoil(kept())
    built = []
    again, _ = cache.cached("toy", [], lambda create: built.append(1) or build(create))
    assert again["numbers"].tolist() == [0, 1, 2, 3, 4] and built
    cache.cached("toy", [], None)  # whole now: nothing to build


def test_another_version_a_changed_file_and_other_settings_are_built_anew(tmp_path, monkeypatch):
    file, built = tmp_path / "file", []

    def count(create):
        built.append(1)
        build(create)

    def load(*settings):
        cache.cached("toy", [file], count, *settings)
        return len(built)

    file.write_text("a")
    assert (load(), load(), load(4), load(4)) == (1, 1, 2, 2)
    file.write_text("ab")
    assert (load(), load()) == (3, 3)
    monkeypatch.setattr(cache, "VERSION", 0)
    assert (load(), load()) == (4, 4)


def test_a_cache_is_not_changed_by_its_readers_and_not_left_half_built():
    cache.cached("toy", [], build)[0]["numbers"][0] = 99
    assert cache.cached("toy", [], None)[0]["numbers"][0] == 0

    def broken(create):
        build(create)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        cache.cached("toy", [], broken, "y")
    assert kept().name.startswith("toy-")
    assert cache.cached("toy", [], build, "y")[0]["numbers"][4] == 4
