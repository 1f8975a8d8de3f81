import pandas as pd
import pytest

from ssf import store, study
from ssf.__main__ import main
from ssf.config import preset


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """An experiment of two small networks, its rows in a folder of its own."""

    def experiment(seed):
        dense = preset("smoke", seed=seed, **{"data.train_size": 64, "train.epochs": 2})
        yield "dense", dense
        yield "ticket", dense.with_(**{"ticket.fraction": 0.5})

    monkeypatch.setattr(study, "EXPERIMENTS", {"tiny": experiment})
    monkeypatch.setattr(store, "ROOT", tmp_path)
    return tmp_path / "data" / "results" / "study_tiny.csv"


def test_rows_are_written_as_networks_are_done_and_survive_the_runs(tiny, monkeypatch, tmp_path_factory, capsys):
    assert main(["study", "tiny", "--seeds", "0"]) == 0
    first = pd.read_csv(tiny)
    assert first.kind.tolist() == ["dense", "ticket"] and first.sparsity.tolist() == [0, pytest.approx(0.5, abs=1e-3)]
    monkeypatch.setenv("SSF_RUNS", str(tmp_path_factory.mktemp("elsewhere")))  # another clone: no runs, but rows
    before = tiny.read_text()
    store.export(study.frame("tiny", [0]), tiny.stem)
    assert tiny.read_text() == before
    assert "ticket, seed 0: accuracy" in capsys.readouterr().out


def test_an_interrupted_experiment_leaves_the_rows_so_far(tiny):
    networks = study.run("tiny", [0])
    next(networks)
    next(networks)
    networks.close()
    assert pd.read_csv(tiny).kind.tolist() == ["dense"]


def test_wrong_use_is_refused(tiny, capsys):
    for arguments in (["study", "nothing"], ["study", "tiny", "--seeds", "a"]):
        assert main(arguments) == 2
        assert "allowed:" in capsys.readouterr().err


@pytest.mark.parametrize("name", study.EXPERIMENTS)
def test_the_committed_rows_are_of_the_study_as_it_stands(name):
    """Each row's config, as the experiment names it, hashes to its id."""
    path = store.ROOT / "data" / "results" / f"study_{name}.csv"
    if not path.exists():
        pytest.skip(f"{path.name} is not there yet")
    rows = pd.read_csv(path)
    named = {config.hash(): kind for seed in set(rows.seed) for kind, config in study.EXPERIMENTS[name](seed)}
    assert named.items() >= dict(zip(rows.id, rows.kind, strict=True)).items()
    for seed, part in rows.groupby("seed"):
        configs = {config.hash(): config for _, config in study.EXPERIMENTS[name](seed)}
        for row in part.itertuples():
            assert configs[row.id].seed == seed and not row.accuracy != row.accuracy
