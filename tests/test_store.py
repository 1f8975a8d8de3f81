import math

import pandas as pd
import pytest
import torch

from ssf import store


def test_aggregate_is_students_interval_over_the_rows():
    rows = pd.DataFrame({"sparsity": [0.5] * 3 + [0.9], "accuracy": [0.80, 0.82, 0.87, 0.7]})
    out = store.aggregate(rows, "sparsity").set_index("sparsity")
    mean, sd = 0.83, math.sqrt((0.03**2 + 0.01**2 + 0.04**2) / 2)
    half = 4.302653 * sd / math.sqrt(3)  # t of 2 degrees of freedom, 97.5 %
    assert out.loc[0.5, "mean"] == pytest.approx(mean) and out.loc[0.5, "n"] == 3
    assert out.loc[0.5, "low"] == pytest.approx(mean - half) and out.loc[0.5, "high"] == pytest.approx(mean + half)
    assert out.loc[0.9, "mean"] == 0.7 and math.isnan(out.loc[0.9, "low"])  # one row has no interval


def test_tensors_survive_a_round_trip(tmp_path):
    tensors = {"a": torch.rand(3, 4).T, "mask": torch.rand(5) < 0.5}
    store.write_tensors(tmp_path / "t.safetensors", tensors)
    again = store.read_tensors(tmp_path / "t.safetensors")
    assert all(torch.equal(tensors[n], again[n]) for n in tensors)


def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "record.json"
    store.write_json(path, {"a": 1})

    def fail(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError):
        store.write(path, fail)
    assert store.read_json(path) == {"a": 1} and list(tmp_path.iterdir()) == [path]


def test_flatten():
    assert store.flatten({"a": {"b": (1, 2)}, "c": None}) == {"a.b": [1, 2], "c": None}
