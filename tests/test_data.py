import gzip
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ssf import data

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def fashion():
    return data.load("fashion-mini")


def test_embedded_images_are_balanced_and_padded(fashion):
    assert fashion.train_images.shape == (10_000, 1, 32, 32) and fashion.test_images.shape == (2_000, 1, 32, 32)
    assert fashion.train_images.dtype == torch.uint8
    assert fashion.train_labels.bincount().tolist() == [1000] * 10
    assert fashion.test_labels.bincount().tolist() == [200] * 10
    border = torch.ones(32, 32, dtype=torch.bool)
    border[2:-2, 2:-2] = False
    assert not fashion.train_images[:, 0, border].any() and len(fashion.classes) == 10


def test_no_test_image_is_a_training_image(fashion):
    train = {i.numpy().tobytes() for i in fashion.train_images}
    shared = sum(i.numpy().tobytes() in train for i in fashion.test_images)
    assert shared <= 2  # the full set has a few doubles of its own


def test_standardised_pixels_have_zero_mean_and_unit_variance(fashion):
    images = fashion.standardise(fashion.train_images)
    assert images.mean().abs() < 1e-4 and images.std().item() == pytest.approx(1, abs=1e-4)


def copy(folder):
    for name in ("fashion-mini.npz", "SHA256SUMS"):
        shutil.copy(DATA / name, folder)


def test_a_damaged_file_is_named_with_what_mends_it(tmp_path, monkeypatch):
    copy(tmp_path)
    monkeypatch.setenv("SSF_DATA", str(tmp_path))
    raw = bytearray((tmp_path / "fashion-mini.npz").read_bytes())
    raw[1000] ^= 1
    (tmp_path / "fashion-mini.npz").write_bytes(raw)
    with pytest.raises(ValueError, match=rf"fashion-mini.npz is damaged: .*git checkout -- {tmp_path}"):
        data.load("fashion-mini")


@pytest.mark.parametrize("name", ["fashion-mini.npz", "SHA256SUMS"])
def test_a_missing_file_is_named_with_what_mends_it(tmp_path, monkeypatch, name):
    copy(tmp_path)
    (tmp_path / name).unlink()
    monkeypatch.setenv("SSF_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=f"{name} is missing; .*git checkout -- {tmp_path}"):
        data.load("fashion-mini")


def test_an_unknown_set_is_refused():
    with pytest.raises(ValueError, match="data.name is 'imagenet'; allowed: fashion-mini"):
        data.load("imagenet")


def test_split_is_disjoint_seeded_and_of_the_size_asked_for():
    labels = torch.zeros(1000)
    train, validation = data.split(labels, 500, 0.1, seed=3)
    assert len(train) == 450 and len(validation) == 50
    assert len(set(train.tolist()) | set(validation.tolist())) == 500
    assert torch.equal(train, data.split(labels, 500, 0.1, seed=3)[0])
    assert not torch.equal(train, data.split(labels, 500, 0.1, seed=4)[0])
    with pytest.raises(ValueError, match="data.train_size is 1001; allowed: at most 1000"):
        data.split(labels, 1001, 0.1, seed=0)


def test_augmentation_shifts_by_at_most_two_pixels_and_mirrors():
    images = torch.zeros(400, 1, 11, 11)
    images[:, :, 5, 4] = 1  # one bright pixel, off centre, so that a mirrored one is told apart
    out = data.augment(images, torch.Generator().manual_seed(0))
    places = {tuple(p) for p in out[:, 0].nonzero()[:, 1:].tolist()}
    assert out.sum() == 400
    assert places == {(r, c) for r in range(3, 8) for c in [*range(2, 7), *range(4, 9)]}


def test_augmentation_is_a_function_of_batch_and_generator():
    images, kept = torch.rand(8, 3, 16, 16), None
    for _ in range(2):
        out = data.augment(images, torch.Generator().manual_seed(5))
        assert kept is None or torch.equal(out, kept)
        kept = out
    assert not torch.equal(kept, data.augment(images, torch.Generator().manual_seed(6)))


def test_batches_cover_every_image_once_in_an_order_of_the_generator():
    images, labels = torch.arange(10.0).view(10, 1, 1, 1), torch.arange(10)
    drawn = [y for _, y in data.batches(images, labels, 4, torch.Generator().manual_seed(0))]
    assert [len(y) for y in drawn] == [4, 4, 2] and sorted(torch.cat(drawn).tolist()) == list(range(10))
    assert torch.cat(drawn).tolist() != list(range(10))
    assert torch.cat([y for _, y in data.batches(images, labels, 4)]).tolist() == list(range(10))


def idx(array):
    header = np.array([0x801 if array.ndim == 1 else 0x803, *array.shape], ">u4")
    return gzip.compress(header.tobytes() + array.astype(np.uint8).tobytes())


def make(folder, out):
    return subprocess.run(
        [sys.executable, DATA / "make_fashion_mini.py", folder, "--out", out], capture_output=True, text=True
    )


def test_the_script_that_made_the_set_draws_it_from_idx_files(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for name, count in (("train", 11_000), ("t10k", 2_500)):
        labels = np.arange(count) % 10
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        images[:, 0, 0] = labels  # so that an image tells its label
        (tmp_path / f"{name}-images-idx3-ubyte.gz").write_bytes(idx(images))
        (tmp_path / f"{name}-labels-idx1-ubyte.gz").write_bytes(idx(labels))
    out = tmp_path / "fashion-mini.npz"
    assert make(tmp_path, out).returncode == 0
    monkeypatch.setenv("SSF_DATA", str(tmp_path))
    made = data.load("fashion-mini")
    assert made.train_labels.bincount().tolist() == [1000] * 10
    assert torch.equal(made.test_images[:, 0, 2, 2].long(), made.test_labels)
    first = out.read_bytes()
    make(tmp_path, out)
    assert out.read_bytes() == first

    images = tmp_path / "t10k-images-idx3-ubyte.gz"
    images.write_bytes(images.read_bytes()[:5000])
    broken = make(tmp_path, out)
    assert broken.returncode == 1 and str(images) in broken.stderr and "Traceback" not in broken.stderr


def test_a_garbled_checksum_file_counts_as_damage(tmp_path, monkeypatch):
    copy(tmp_path)
    (tmp_path / "SHA256SUMS").write_bytes(b"\xff\n\nnonsense")
    monkeypatch.setenv("SSF_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="fashion-mini.npz is damaged"):
        data.load("fashion-mini")
