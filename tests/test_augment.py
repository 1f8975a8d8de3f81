import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.transforms.v2.functional import equalize

from ssf.datasets import augment


def pictures(n=6, c=3, side=32):
    """Smooth pictures, uint8, with the whole range of grey levels."""
    coarse = torch.rand(n, c, 5, 5, generator=torch.Generator().manual_seed(0))
    fine = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1)
    return (255 * fine).round().to(torch.uint8)


def pil(function, image, *arguments, **keywords):
    """A function of PIL on one image uint8 [3,H,W]."""
    return torch.from_numpy(
        np.array(function(Image.fromarray(image.permute(1, 2, 0).numpy()), *arguments, **keywords))
    ).permute(2, 0, 1)


def affine(*coefficients):
    return lambda picture: picture.transform(
        picture.size, Image.AFFINE, coefficients, Image.BICUBIC, fillcolor=(9, 9, 9)
    )


LEVEL = 0.9  # magnitude 9 of 10: the arguments that timm derives from it
THEIRS = {
    "shear_x": affine(1, 0.3 * LEVEL, 0, 0, 1, 0),
    "translate_x": affine(1, 0, 0.45 * LEVEL * 32, 0, 1, 0),
    "translate_y": affine(1, 0, 0, 0, 1, 0.45 * LEVEL * 32),
    "rotate": lambda p: p.rotate(30 * LEVEL, Image.BICUBIC, fillcolor=(9, 9, 9)),
}


@pytest.mark.parametrize("name", augment.MOVES)
def test_each_operation_is_pils(name):
    """What timm calls, image by image, at the magnitude of the recipe; cubic splines differ at the
    border."""
    images = pictures()
    level, sign = torch.full((len(images),), LEVEL), torch.ones(len(images))
    ours = augment.warp(images, augment.MOVES[name](level, sign, 32), "bicubic", 9.0).clamp(0, 255)
    theirs = torch.stack([pil(THEIRS[name], image) for image in images]).float()
    assert ((ours - theirs).abs() <= 4).float().mean() > 0.88
    other = augment.warp(images, augment.MOVES[name](level, -sign, 32), "bicubic", 9.0).clamp(
        0, 255
    )
    assert ((other - theirs).abs() <= 4).float().mean() < 0.5


def test_equalize_is_pils():
    images = pictures()
    theirs = torch.stack([pil(ImageOps.equalize, image) for image in images])
    assert (equalize(images).int() - theirs.int()).abs().max() <= 1


RECIPES = {
    "light": lambda x, g: augment.light(x, g)[0],
    "rand_augment": augment.rand_augment,
    "erase": lambda x, g: augment.erase(x.float(), g),
    "flip": augment.flip,
    "event_frames": lambda x, g: augment.event_frames(
        x.unflatten(1, (-1, 1)).repeat(1, 1, 2, 1, 1), g
    ),
    "mixup": lambda x, g: augment.mixup(x.float(), torch.arange(len(x)) % 3, 3, g, 0.5)[0],
}


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_is_a_function_of_batch_and_generator(name):
    images, before = pictures(40), torch.get_rng_state()
    original = images.clone()
    a, b, other = (RECIPES[name](images, torch.Generator().manual_seed(s)) for s in (5, 5, 6))
    assert torch.equal(a, b) and not torch.equal(a, other)
    assert torch.equal(images, original) and torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", ["light", "rand_augment", "erase", "flip", "event_frames"])
def test_each_image_has_a_draw_of_its_own(name):
    """Copies of one picture in a batch do not stay copies."""
    out = RECIPES[name](pictures(1).expand(60, -1, -1, -1), torch.Generator().manual_seed(0))
    assert len({image.numpy().tobytes() for image in out}) > (1 if name == "flip" else 10)


def test_light_shifts_by_at_most_two_pixels_and_mirrors():
    images = torch.zeros(400, 1, 11, 11)
    images[:, :, 5, 4] = 1  # one bright pixel, off centre, so that a mirrored one is told apart
    out, _ = augment.light(images, torch.Generator().manual_seed(0))
    places = {tuple(p) for p in out[:, 0].nonzero()[:, 1:].tolist()}
    assert out.sum() == 400
    assert places == {(r, c) for r in range(3, 8) for c in [*range(2, 7), *range(4, 9)]}


def test_half_of_the_images_get_one_of_five_operations_at_magnitudes_around_9(monkeypatch):
    images, seen, levels = pictures(1).expand(4000, -1, -1, -1), {}, []

    def watched(name, move):
        def spy(level, sign, side):
            seen[name] = len(level)
            levels.append(level)
            assert abs(sign.mean()) < 0.25 and side == 32
            return move(level, sign, side)

        return spy

    for name, move in augment.MOVES.items():
        monkeypatch.setitem(augment.MOVES, name, watched(name, move))
    even = equalize(images[:1])
    out = augment.rand_augment(images, torch.Generator().manual_seed(0))
    seen["equalize"] = (out == even).flatten(1).all(1).sum().item()
    assert all(count == pytest.approx(400, abs=80) for count in seen.values()), seen
    assert (out == images).flatten(1).all(1).sum() == 4000 - sum(seen.values())
    levels = torch.cat(levels)
    assert levels.mean().item() == pytest.approx(
        0.9, abs=0.005
    ) and levels.std().item() == pytest.approx(0.04, abs=0.005)


def test_erasing_hits_a_quarter_with_rectangles_of_the_asked_sizes():
    out = augment.erase(torch.ones(4000, 3, 32, 32), torch.Generator().manual_seed(0))
    gone = (out == 0).all(1).flatten(1).float().mean(1)
    assert (gone > 0).float().mean().item() == pytest.approx(0.25, abs=0.03)
    hit = gone[gone > 0]
    assert hit.min() > 0.01 and hit.max() < 0.36 and hit.std() > 0.05
    for image in out[gone > 0][:50]:
        rows, columns = (image == 0).all(0).any(1).sum(), (image == 0).all(0).any(0).sum()
        assert rows * columns == (image == 0).all(0).sum()  # a rectangle
        assert abs(math.log(rows / columns)) < math.log(1 / 0.3) + 0.4


def test_event_frames_of_a_sample_move_together():
    """All frames and both polarities get the same operation: equal frames stay equal."""
    frames = (pictures(1, 1, 128) > 128).to(torch.uint8)[:, None].expand(300, 2, 2, -1, -1)
    out = augment.event_frames(frames, torch.Generator().manual_seed(0))
    assert torch.equal(out, out[:, :1, :1].expand_as(out)) and out.dtype == torch.uint8
    same = ((out == frames) | (out == frames.flip(-1))).flatten(1).all(1).float().mean()
    # nothing; shifts by 0 of 5 pixels (5 of 31 magnitudes, int() rounds towards 0); 0 degrees of
    # shear and rotation
    assert same.item() == pytest.approx(1 / 6 + 2 / 6 * 5 / 31 + 2 / 6 / 31, abs=0.08)


def test_a_sixth_of_the_events_lose_a_square_of_a_tenth_at_most():
    out = augment.event_frames(
        torch.ones(600, 1, 2, 64, 64, dtype=torch.uint8), torch.Generator().manual_seed(0)
    )
    gone = (out == 0).all(2)[:, 0]
    inner = gone[:, 20:44, 20:44].flatten(1).any(1) & ~gone[:, [0, 0, -1, -1], [0, -1, 0, -1]].any(
        1
    )
    assert 0.03 < inner.float().mean() < 1 / 6 + 0.05
    assert gone[inner].flatten(1).float().mean(1).max() < 0.12


def test_event_moves_are_torchvisions():
    """As the published code calls it: nearest neighbour, about the centre."""
    from torchvision.transforms import functional as tv

    frames, m = pictures(1, 2, 128).float(), 0.8
    theirs = {
        "shear_x": tv.affine(frames, 0.0, [0, 0], 1.0, [math.degrees(0.3 * m), 0.0]),
        "translate_x": tv.affine(frames, 0.0, [int(5 * m), 0], 1.0, [0.0, 0.0]),
        "translate_y": tv.affine(frames, 0.0, [0, int(5 * m)], 1.0, [0.0, 0.0]),
        "rotate": tv.rotate(frames, 30 * m),
    }
    assert theirs.keys() == augment.EVENT_MOVES.keys()
    for name, move in augment.EVENT_MOVES.items():
        ours = augment.warp(frames, move(torch.tensor([m]), 128), "nearest")
        assert (ours != theirs[name]).float().mean() < 0.02, name


def test_mixup_mixes_labels_as_images():
    images = torch.eye(4)[:, None, None, :].repeat(1, 1, 2, 1)
    for seed in range(5):
        mixed, soft = augment.mixup(
            images, torch.arange(4), 4, torch.Generator().manual_seed(seed), 0.5
        )
        torch.testing.assert_close(mixed[:, 0, 0], soft)
        torch.testing.assert_close(soft.sum(1), torch.ones(4))
    whole, _ = augment.mixup(pictures(), torch.arange(6), 6, torch.Generator().manual_seed(0), 0.5)
    assert torch.equal(whole, whole.round()) and whole.dtype == torch.float32
    _, hard = augment.mixup(images, torch.arange(4), 4, torch.Generator(), 0.5, probability=0.0)
    assert torch.equal(hard, torch.eye(4))


def test_mixups_shares_are_beta():
    """Beta(1/2, 1/2): a third of its mass below 1/4."""
    shares = []
    for seed in range(400):
        _, soft = augment.mixup(
            torch.zeros(2, 1), torch.arange(2), 2, torch.Generator().manual_seed(seed), 0.5
        )
        shares.append(soft[0, 0].item())
    assert np.mean(np.array(shares) < 0.25) == pytest.approx(1 / 3, abs=0.08)
