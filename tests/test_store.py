import pytest
import torch

from ssf import store


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
