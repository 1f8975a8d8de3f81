import hashlib

import numpy as np
import pytest
import torch

from ssf import folders
from ssf.datasets import camera, sets
from ssf.datasets.camera import Camera


@pytest.fixture(scope="module")
def items():
    return sets.embedded(folders.shipped())["test"][0][:100]


def test_every_machine_sees_the_same(items):
    """The digest of the first frames, as made when the set was defined."""
    seen = hashlib.sha256(camera.frames(items, 4).numpy().tobytes()).hexdigest()
    assert seen[:16] == "33b174a06697f21c"


def test_a_camera_at_rest_sees_nothing_but_noise(items):
    still = camera.see(items[:20], range(20), Camera(reach=0, noise=0.002))
    assert not camera.see(items[:20], range(20), Camera(reach=0, noise=0)).any()
    assert still.float().mean().item() == pytest.approx(0.001, rel=0.05)  # of both polarities


def test_an_edge_that_passes_makes_on_events_before_and_off_events_behind():
    """A bright bar that moves: where it arrives, brightness rises; where it leaves, it falls."""
    bar = torch.zeros(1, 28, 28, dtype=torch.uint8)
    bar[:, :, 12:16] = 255
    quiet = Camera(noise=0, mismatch=0)
    events = camera.see(bar, [0], quiet)[0]
    moves = np.diff(camera.path(camera.draws(0, [0], 4), quiet)[0, :, 1])
    for step in range(8):  # of the first saccade
        for polarity in (0, 1):
            columns = events[step, polarity, 10:22].any(0).nonzero().flatten().tolist()
            if columns:
                right = (moves[step] > 0) == (polarity == 1)
                assert all((c > 15.5) == right for c in columns), (step, polarity, columns)
    assert events.sum() > 100


def test_a_higher_threshold_and_a_longer_blindness_make_fewer_events(items):
    counts = [
        camera.see(items[:20], range(20), Camera(**changes)).sum()
        for changes in ({}, {"threshold": 0.5}, {"refractory": 4})
    ]
    assert counts[1] < 0.9 * counts[0] and counts[2] < 0.9 * counts[0]


def test_a_blind_pixel_sends_nothing(items):
    events = camera.see(items[:20], range(20), Camera(refractory=2, noise=0)).sum(2)
    assert events.max() == 1
    for gap in (1, 2):
        assert not (events[:, gap:] & events[:, :-gap]).any()


def test_frames_hold_every_event_once(items):
    events = camera.see(items, range(10))
    for time_steps in (1, 4, 5, 24):
        frames = camera.integrate(events, time_steps)
        assert frames.shape == (10, time_steps, 2, 32, 32)
        assert torch.equal(frames.sum((1, 3, 4)), events.sum((1, 3, 4)))
    assert torch.equal(camera.integrate(events, 24), events)
    with pytest.raises(ValueError, match="time_steps is 25; allowed: 1 to 24"):
        camera.integrate(events, 25)


def test_a_view_does_not_depend_on_those_beside_it(items):
    among, alone = camera.see(items, range(3, 9)), camera.see(items, [5])
    assert torch.equal(among[2], alone[0])
    assert not torch.equal(camera.see(items, [5], seed=1), alone)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 4},
        {"reach": -1},
        {"threshold": 0},
        {"mismatch": 1},
        {"refractory": -1},
        {"noise": 2},
    ],
)
def test_an_impossible_camera_is_refused(wrong):
    with pytest.raises(ValueError, match=f"camera.{next(iter(wrong))} is "):
        Camera(**wrong)
