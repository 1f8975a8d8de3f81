import numpy as np
import pytest
import torch

from ssf.datasets.draws import WEIGHTS, drawn, draws, hats, whole


def test_the_bits_are_those_of_splitmix64():
    """The first numbers of the generator with state 0, as its authors' reference implementation
    prints them."""
    from ssf.datasets.draws import mixed

    step = np.uint64(0x9E3779B97F4A7C15)
    first = mixed(np.arange(1, 4, dtype=np.uint64) * step)
    assert [hex(v) for v in first] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
    ]


def test_an_image_has_its_own_stream_whatever_is_drawn_beside_it():
    both = draws(3, [4, 7], 10)
    assert (both[1] == draws(3, [7], 10)[0]).all() and (both[1][:4] == draws(3, [7], 4)[0]).all()
    assert len(np.unique(draws(0, np.arange(100), 50))) == 5000
    assert not (both == draws(4, [4, 7], 10)).any()


def test_whole_numbers_are_even_between_their_bounds():
    numbers = whole(draws(0, np.arange(500), 60), -2, 3)
    counts = np.unique(numbers, return_counts=True)
    assert counts[0].tolist() == [-2, -1, 0, 1, 2, 3]
    assert np.abs(counts[1] - 5000).max() < 5 * 5000**0.5
    assert set(whole(draws(0, [0], 50), 4, 4).flatten()) == {4}


@pytest.mark.parametrize("size", [17, 28, 40])
def test_drawing_is_linear_interpolation(size):
    picture = torch.randint(0, 256, (1, 28, 28))
    matrix = hats([0], [size], [0], [28], size, 28)
    inside = matrix.sum(2) == WEIGHTS
    ours = (drawn(matrix, picture, matrix) / WEIGHTS**2)[:, inside[0]][:, :, inside[0]]
    theirs = torch.nn.functional.interpolate(
        picture[None].float(), (size, size), mode="bilinear", align_corners=False
    )[0]
    theirs = theirs[:, inside[0]][:, :, inside[0]]
    assert (ours - theirs).abs().max() < 255 * 3 / WEIGHTS  # places are rounded to 1/64 of a pixel


def test_the_same_size_is_the_same_picture_and_nothing_beside_it():
    picture = torch.randint(0, 256, (1, 28, 28))
    matrix = hats([WEIGHTS * 2], [28], [0], [28], 32, 28)
    out = drawn(matrix, picture, matrix) / WEIGHTS**2
    assert torch.equal(out[:, 2:30, 2:30], picture.float())
    assert out.sum() == picture.sum()
