"""What the page of four blocks shows of its selector."""

import base64
import re
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import choices
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from ssf.config import Refused
from ssf.figures import inside


def test_a_selector_before_its_training_is_shown_beside_the_trained_one(monkeypatch):
    """In the seeds where both were asked; the trained one's place of seed 0 is in no map."""
    rows = [
        (0, "learned", 1.0, 1.0, 0.0),
        (1, "learned", 1.0, 0.0, 0.4),
        (1, "random", 0.3, 0.5, 0.5),
    ]
    columns = ["seed", "choice", "same", "place_0", "place_1"]
    frame = pd.DataFrame(rows, columns=columns).assign(accuracy=0.7, place_2=0.0, place_3=0.0)
    monkeypatch.setattr(choices.inside, "look", lambda _: frame)
    assert "not known" in choices.untrained() and len(choices.draw_places().axes) == 2
    new = frame[1:2].assign(choice="untrained", same=0.5, place_0=0.8)
    frame = pd.concat([frame, new])
    assert "selector keeps 50.0 % of the tokens" in choices.untrained()
    assert "30.0 % of them (one seed)" in choices.untrained()
    trained, before, _ = choices.draw_places().axes
    assert trained.images[0].get_array().max() == pytest.approx(40)
    assert before.images[0].get_array().max() == pytest.approx(80)
    last = list(choices.others())[-1]
    assert "before its training" in last["tokens that stay"] and last["seeds"] == 1


def test_the_middle_is_told_from_the_rim(monkeypatch):
    """Of four by four places, the middle four are kept always, the twelve others in one of four."""
    kept = [1.0 if row in (1, 2) and column in (1, 2) else 0.25
            for row in range(4) for column in range(4)]  # fmt: skip
    frame = pd.DataFrame([kept], columns=[f"place_{i}" for i in range(16)])
    monkeypatch.setattr(choices.inside, "look", lambda _: frame.assign(choice="learned", seed=0))
    told = choices.preferred()
    assert "each of the 4 places in the middle in 100.0 %" in told
    assert "each of the 12 at the rim in 25.0 %" in told
    monkeypatch.setattr(choices, "looks", lambda: pd.DataFrame(columns=["kind"]))
    assert "not measured" in choices.preferred()


def test_photographs_are_faded_where_a_choice_drops_a_token(monkeypatch):
    frame = pd.DataFrame({"image": [1] * 4, "token": range(4)} | dict.fromkeys(choices.SHOWN, 1))
    frame["untrained"] = [1, 0, 0, 0]
    images = torch.tensor([200, 40], dtype=torch.uint8)[:, None, None, None].expand(2, 3, 4, 4)
    monkeypatch.setattr(choices.inside, "look", lambda _: frame)
    monkeypatch.setattr(choices.sets, "load", lambda _: SimpleNamespace(test_images=images))
    (ax,) = choices.draw_photographs().axes
    shown, gap = np.asarray(ax.images[0].get_array())[..., 0], choices.GAP
    tiles = np.split(shown, 1 + len(choices.SHOWN), axis=1)
    whole, *left = (tile[gap:-gap, gap:-gap] for tile in tiles)
    assert (whole == np.float32(40 / 255)).all() and len(left) == len(choices.SHOWN)
    for choice, tile in zip(choices.SHOWN, left, strict=True):
        kept = np.isclose(tile, 40 / 255)
        assert kept[:2, :2].all() and kept.all() == (choice != "untrained")
    faded = left[list(choices.SHOWN).index("untrained")]
    assert np.ptp(faded[2:]) < 1e-6 and abs(faded[2, 0] - choices.GONE) < 0.2


def test_without_the_images_the_committed_photographs_stay(monkeypatch):
    frame = pd.DataFrame({"image": [1] * 4, "token": range(4)} | dict.fromkeys(choices.SHOWN, 1))
    monkeypatch.setattr(choices.inside, "look", lambda _: frame)
    monkeypatch.setattr(choices, "draw_places", lambda: None)

    def refuse(_):
        raise Refused("no images")

    monkeypatch.setattr(choices.sets, "load", refuse)
    assert "photographs" not in choices.figures()


def test_what_two_photographs_share_is_told(monkeypatch):
    """Half of four tokens each: the first two share one; of their usual places, three of four."""
    kept = [(1, 1, 0, 0), (1, 0, 1, 0)]
    rows = [(i, t, k, u) for i, each in enumerate(kept)
            for t, (k, u) in enumerate(zip(each, (1, 1, 0, 0), strict=True))]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["image", "token", "learned", "usual_places"])
    monkeypatch.setattr(choices.inside, "look", lambda _: frame)
    told = choices.alike()
    assert "photographs share 50.0 % of" in told and "Each shares 75.0 % with" in told
    assert "would share 50.0 %.)" in told
    assert told.endswith(" so 25.0 % of what it keeps lies outside them.")


def test_the_committed_photographs_are_faded_as_the_rows_say():
    svg = (Path(choices.__file__).parent / "_static/photographs.svg").read_text()
    raw = re.search(r"data:image/png;base64,([^\"]+)", svg)[1]
    shown = np.asarray(Image.open(BytesIO(base64.b64decode(raw))).convert("RGB")) / 255
    frame = inside.look("photographs")
    lines = np.split(shown, frame.image.nunique())
    for (_, part), line in zip(frame.groupby("image", sort=False), lines, strict=True):
        whole, *left = (
            tile[choices.GAP : -choices.GAP, choices.GAP : -choices.GAP]
            for tile in np.split(line, 1 + len(choices.SHOWN), axis=1)
        )
        faded = choices.GONE + (whole - choices.GONE) * choices.FADED
        for choice, tile in zip(choices.SHOWN, left, strict=True):
            side = round(len(part) ** 0.5)
            kept = part[choice].to_numpy().reshape(side, side)
            kept = np.kron(kept, np.ones((len(tile) // side,) * 2))[..., None]
            assert np.allclose(tile, np.where(kept, whole, faded), atol=0.02)
