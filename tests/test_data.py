import gzip
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ssf import distributed
from ssf.config import CLUTTERED, DATASETS
from ssf.datasets import batches, sets
from ssf.presets import preset

DATA = Path(__file__).parents[1] / "data"
EVENTS = pytest.param("event-fashion", marks=pytest.mark.slow)  # making the set takes 5 s


@pytest.fixture(scope="module")
def fashion():
    return sets.load("fashion-mini")


def test_embedded_images_are_balanced_and_padded(fashion):
    assert fashion.train_images.shape == (10_000, 1, 32, 32) and fashion.test_images.shape == (
        2_000,
        1,
        32,
        32,
    )
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


def test_a_damaged_file_is_named_with_what_mends_it(tmp_path):
    copy(tmp_path)
    raw = bytearray((tmp_path / "fashion-mini.npz").read_bytes())
    raw[1000] ^= 1
    (tmp_path / "fashion-mini.npz").write_bytes(raw)
    with pytest.raises(
        ValueError, match=rf"fashion-mini.npz is missing or damaged: .*git checkout -- {tmp_path}"
    ):
        sets.load("fashion-mini", tmp_path)


@pytest.mark.parametrize("name", ["fashion-mini.npz", "SHA256SUMS"])
def test_a_missing_file_is_named_with_what_mends_it(tmp_path, name):
    copy(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=f"missing or damaged: .*SHA256SUMS.* -- {tmp_path}"):
        sets.load("fashion-mini", tmp_path)


def test_an_unknown_set_and_no_time_steps_are_refused():
    with pytest.raises(ValueError, match="data.name is 'imagenet'; allowed: fashion-mini"):
        sets.load("imagenet")
    with pytest.raises(ValueError, match="time_steps is 0; allowed: a whole number of at least 1"):
        sets.load("event-fashion", time_steps=0)
    with pytest.raises(ValueError, match="data.difficulty is 1.5; allowed: for cluttered-fashion"):
        sets.load("cluttered-fashion", difficulty=1.5)


@pytest.mark.parametrize("name", ["fashion-mini", "cluttered-fashion", EVENTS])
def test_every_set_that_is_always_there_fits_its_model(name):
    told, made = DATASETS[name], sets.load(name, time_steps=3)
    frames = () if told["encoding"] == "direct" else (3,)
    assert made.train_images.shape[1:] == (*frames, told["channels"], told["side"], told["side"])
    assert made.train_images.dtype == torch.uint8 and len(made.classes) == told["classes"]
    assert torch.equal(made.test_labels, sets.load("fashion-mini").test_labels)
    assert (made.train_foreground is not None) == (name == CLUTTERED)
    assert made.train_labels.bincount().tolist() == [1000] * 10
    assert made.test_labels.bincount().tolist() == [200] * 10


def test_split_is_disjoint_seeded_and_of_the_size_asked_for():
    labels = torch.zeros(1000)
    train, validation = batches.split(labels, 500, 0.1, seed=3)
    assert len(train) == 450 and len(validation) == 50
    assert len(set(train.tolist()) | set(validation.tolist())) == 500
    assert torch.equal(train, batches.split(labels, 500, 0.1, seed=3)[0])
    assert not torch.equal(train, batches.split(labels, 500, 0.1, seed=4)[0])
    with pytest.raises(ValueError, match="data.train_size is 1001; allowed: at most 1000"):
        batches.split(labels, 1001, 0.1, seed=0)


def test_batches_to_look_at_cover_every_image_once_in_order():
    images, labels = torch.arange(600.0).view(600, 1, 1, 1), torch.arange(600)
    parts = list(batches.parts((images, labels, None)))
    assert [len(y) for _, y, _ in parts] == [250, 250, 100]
    assert all(nothing is None for _, _, nothing in parts)
    assert torch.cat([y for _, y, _ in parts]).tolist() == list(range(600))
    assert torch.cat([x for x, *_ in parts]).flatten().tolist() == list(range(600))


def test_batches_to_look_at_shrink_as_samples_grow():
    assert len(next(batches.parts((torch.zeros(300, 1, 32, 32),)))[0]) == 250
    assert len(next(batches.parts((torch.zeros(20, 16, 2, 128, 128, dtype=torch.uint8),)))[0]) == 8


def epoch(name, number=0, **overrides):
    """The batches of an epoch over 40 images."""
    config = preset("smoke", **{"data.name": name, "train.batch_size": 16, **overrides})
    made = sets.load_for(config)
    return list(
        batches.training_batches(
            config, made, torch.arange(40), number, torch.Generator().manual_seed(number)
        )
    )


@pytest.mark.parametrize("name", ["cluttered-fashion", EVENTS])
@pytest.mark.parametrize("kind", ["none", "light", "published"])
def test_an_epoch_is_a_function_of_its_seed(name, kind):
    a, b, other = (epoch(name, number, **{"data.augment": kind}) for number in (0, 0, 1))
    assert [x.shape[0] for x, *_ in a] == [16, 16, 8] and a[0][0].dtype == torch.float32
    assert all(
        torch.equal(x, y)
        for one, two in zip(a, b, strict=True)
        for x, y in zip(one[:2], two[:2], strict=True)
    )
    assert not torch.equal(a[0][0], other[0][0])


def test_without_augmentation_an_epoch_is_the_images_as_they_are():
    made, drawn = sets.load("fashion-mini"), epoch("fashion-mini", **{"data.augment": "none"})
    images = torch.cat([x for x, *_ in drawn])
    expected = made.standardise(made.train_images[:40])
    assert sorted(images.flatten(1).sum(1).tolist()) == pytest.approx(
        sorted(expected.flatten(1).sum(1).tolist())
    )


def test_mixup_ends_with_its_epochs():
    mixed = {"train.mixup": 0.5, "train.mixup_epochs": 2}
    for number, ndim in ((0, 2), (1, 2), (2, 1)):
        assert {y.ndim for _, y, *_ in epoch("fashion-mini", number, **mixed)} == {ndim}


def test_what_is_erased_stays_erased_when_images_are_mixed():
    """As timm's loader has it: mix, standardise, erase; so a rectangle of the mean is in a quarter
    of the images."""
    drawn = epoch(
        "cluttered-fashion",
        **{"data.augment": "published", "train.mixup": 0.5, "train.batch_size": 40},
    )
    holes = (drawn[0][0] == 0).flatten(1).sum(1)
    assert 2 <= (holes >= 0.015 * 1600).sum() <= 20


def test_the_splits_of_what_is_drawn_have_nothing_in_common():
    dataset = sets.load("cluttered-fashion", difficulty=0.0)
    places = [
        torch.stack([f.any(1).float().argmax(1), f.any(2).float().argmax(1)])
        for f in (dataset.train_foreground[:2000], dataset.test_foreground)
    ]
    together = torch.corrcoef(torch.cat(places).float())
    assert together[:2, 2:].abs().max() < 0.1


def test_the_foreground_moves_with_the_image():
    for images, _, foreground, *_ in epoch(
        "cluttered-fashion", **{"data.augment": "light", "data.difficulty": 0.0}
    ):
        dark = images.amin(
            (1, 2, 3), keepdim=True
        )  # an empty canvas: nothing but the item is bright
        around = torch.nn.functional.max_pool2d(foreground[:, None].float(), 3, 1, 1)[:, 0] > 0
        assert not (images > dark)[:, 0][~around].any()
        assert (images > dark)[:, 0][foreground].float().mean() > 0.9


def test_token_shares_are_means_over_patches():
    foreground = torch.rand(3, 8, 8) < 0.5
    shares = batches.token_shares(foreground, 16)
    for token in range(16):
        r, c = divmod(token, 4)
        patch = foreground[:, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2]
        torch.testing.assert_close(shares[:, token], patch.float().mean((1, 2)))


def idx(array):
    header = np.array([0x801 if array.ndim == 1 else 0x803, *array.shape], ">u4")
    return gzip.compress(header.tobytes() + array.astype(np.uint8).tobytes())


def make(folder, out):
    return subprocess.run(
        [sys.executable, DATA / "make_fashion_mini.py", folder, "--out", out],
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_the_script_that_made_the_set_draws_it_from_idx_files(tmp_path):
    rng = np.random.default_rng(0)
    for name, count in (("train", 11_000), ("t10k", 2_500)):
        labels = np.arange(count) % 10
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        images[:, 0, 0] = labels  # so that an image tells its label
        (tmp_path / f"{name}-images-idx3-ubyte.gz").write_bytes(idx(images))
        (tmp_path / f"{name}-labels-idx1-ubyte.gz").write_bytes(idx(labels))
    out = tmp_path / "fashion-mini.npz"
    assert make(tmp_path, out).returncode == 0
    made = sets.load("fashion-mini", tmp_path)
    assert made.train_labels.bincount().tolist() == [1000] * 10
    assert torch.equal(made.test_images[:, 0, 2, 2].long(), made.test_labels)
    first = out.read_bytes()
    make(tmp_path, out)
    assert out.read_bytes() == first

    images = tmp_path / "t10k-images-idx3-ubyte.gz"
    images.write_bytes(images.read_bytes()[:5000])
    broken = make(tmp_path, out)
    assert (
        broken.returncode == 1 and str(images) in broken.stderr and "Traceback" not in broken.stderr
    )


def test_a_garbled_checksum_file_counts_as_damage(tmp_path):
    copy(tmp_path)
    (tmp_path / "SHA256SUMS").write_bytes(b"\xff\n\nnonsense")
    with pytest.raises(ValueError, match="fashion-mini.npz is missing or damaged"):
        sets.load("fashion-mini", tmp_path)


@pytest.mark.parametrize("name", ["cluttered-fashion", EVENTS])
def test_the_datasheet_has_the_checksum_of_what_is_made_on_the_fly(name):
    images, _, foreground = sets.load(name).part("test")
    raw = images.numpy().tobytes() + (b"" if foreground is None else foreground.numpy().tobytes())
    told = re.search(
        rf"\| {name} \| test .* \| SHA-256 (\w+) \|", (DATA / "README.md").read_text()
    )[1]
    assert hashlib.sha256(raw).hexdigest() == told


def test_the_datasheet_has_the_checksums_that_the_loaders_check():
    from spikingjelly.datasets import CIFAR10DVS, DVS128Gesture
    from torchvision.datasets import CIFAR10, CIFAR100, FashionMNIST

    expected = [
        (kind.filename, kind.tgz_md5) for kind in (CIFAR10, CIFAR100)
    ] + FashionMNIST.resources
    expected += [
        (name, md5)
        for kind in (CIFAR10DVS, DVS128Gesture)
        for name, _, md5 in kind.resource_url_md5()
    ]
    sheet = (DATA / "README.md").read_text()
    for name, md5 in expected:
        assert f"| {name} | MD5 {md5} |" in sheet


def test_a_set_is_itself_where_it_is(monkeypatch):
    """By whatever name the device goes: cuda is cuda:0, as cpu is cpu:0."""
    dataset = sets.load("fashion-mini")
    statistics = dataset.statistics
    assert dataset.to("cpu:0") is dataset and dataset.to("cpu") is dataset
    assert dataset.to("cpu:0").statistics is statistics
    assert dataset.to("meta").train_images.is_meta


def test_each_process_augments_its_own_share_of_every_batch(monkeypatch):
    dataset, used = sets.load("fashion-mini"), torch.arange(41)
    light = batches.augment.light
    config = preset("smoke", **{"data.augment": "none", "train.batch_size": 20})

    def drawn(config, rank=0, size=1):
        monkeypatch.setattr(distributed, "rank", lambda: rank)
        monkeypatch.setattr(distributed, "size", lambda: size)
        generator = torch.Generator().manual_seed(3)
        return list(batches.training_batches(config, dataset, used, 0, generator))

    whole, first, second = drawn(config), drawn(config, 0, 2), drawn(config, 1, 2)
    for batch, one, other in zip(whole[:2], first, second, strict=False):
        assert torch.equal(torch.cat([one[0], other[0]]), batch[0])
        assert torch.equal(torch.cat([one[1], other[1]]), batch[1])
        assert (batch[3:], one[3:], other[3:]) == ((1.0, 20),) * 3
    for share in (whole, first, second):  # one image left: each does it as a whole
        assert torch.equal(share[2][0], whole[2][0]) and share[2][3:] == (1.0, 1)
    seen = []
    monkeypatch.setattr(
        batches.augment,
        "light",
        lambda images, *more: seen.append(len(images)) or light(images, *more),
    )
    lit = config.with_(**{"data.augment": "light"})
    one, other = drawn(lit, 0, 2), drawn(lit, 1, 2)
    assert seen == [10, 10, 1] * 2
    assert not torch.equal(one[2][0], other[2][0])  # draws of its own
