import pytest
import torch

from ssf.config import preset


@pytest.fixture(autouse=True)
def own_runs(tmp_path_factory, monkeypatch):
    """Every test trains into a folder of its own, from the same random state."""
    monkeypatch.setenv("SSF_RUNS", str(tmp_path_factory.mktemp("runs")))
    torch.manual_seed(0)


@pytest.fixture
def smoke():
    return preset("smoke", **{"data.train_size": 96, "train.batch_size": 32})
