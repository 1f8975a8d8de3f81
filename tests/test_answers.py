import analyses
import numpy as np
import pytest

from ssf import folders
from ssf.config import Failed
from ssf.engine import records
from ssf.presets import preset
from ssf.study import answers, experiments, results
from ssf.study.statistics import Estimate


def test_the_error_of_images_is_of_what_seeds_share():
    """Values of effects of seeds, of images and of both: the second's error alone comes out."""
    draw = np.random.default_rng(5)
    seeds, images = draw.normal(0, 0.5, (3, 1)), draw.normal(0, 1, (1, 20_000))
    values = seeds + images + draw.normal(0, 2, (3, 20_000))
    assert analyses.error_of_images(values) == pytest.approx(20_000**-0.5, rel=0.05)
    assert analyses.error_of_images(np.array([[1.0, 0.0], [0.0, 1.0]])) == 0


@pytest.fixture
def pair(monkeypatch, tmp_path):
    """An experiment of two small networks, its rows and answers in a folder of its own."""

    def experiment(seed):
        dense = preset("smoke", seed=seed, **{"data.train_size": 512})
        yield "dense", dense
        yield "stem", dense.with_(**{"model.depth": 0, "train.epochs": 1})
        yield "random", dense.with_(**{"train.lr": 0.01})

    monkeypatch.setattr(experiments, "EXPERIMENTS", {"pair": experiment})
    monkeypatch.setenv("SSF_RESULTS", str(tmp_path))
    monkeypatch.setattr(answers, "EXPERIMENTS", ("pair",))
    assert len(list(results.run("pair", [0, 1]))) == 6
    return records.committed("study_pair", "")


def test_answers_are_kept_and_give_their_rows_accuracies(pair):
    kept = answers.read("fashion-mini")
    assert kept.keys() == {"labels", *pair.id}
    for row in pair.itertuples():
        assert (kept[row.id] == kept["labels"]).mean() == pytest.approx(row.accuracy)
    these, those = (pair[pair.kind == kind] for kind in ("random", "dense"))
    estimate, error = analyses.over_images(these, those)
    right = [kept[i] == kept["labels"] for frame in (these, those) for i in frame.id]
    one, other = (np.subtract(right[i], right[i + 2], dtype=float) for i in (0, 1))
    assert error == pytest.approx(max(np.cov(one, other)[0, 1] / len(one), 0) ** 0.5)
    assert estimate.mean == pytest.approx(these.accuracy.mean() - those.accuracy.mean())
    assert list(results.run("pair", [0, 1])) == []  # all there
    del kept[pair.id[1]]
    with answers.path("fashion-mini").open("wb") as file:
        np.savez(file, **kept)
    (again,) = results.run("pair", [0, 1])  # one whose answers were lost
    assert again[0] == "stem" and answers.read("fashion-mini").keys() == {"labels", *pair.id}


def test_every_row_of_the_replication_has_its_answers():
    named = set(results.as_text("replication"))
    assert answers.read("fashion-mini").keys() == {"labels", *named}


def test_fresh_seeds_count_when_they_are_complete(pair, monkeypatch):
    """A seed without all of its networks is left out of every comparison."""
    frame = pair.assign(kind=pair.kind.replace({"stem": "all_tokens", "random": "selector"}))
    one = {"loss": Estimate((0.0, 0.1)), "random": Estimate((0.0, 0.1))}
    for claim in ("c1", "c3", "c4"):
        monkeypatch.setattr(analyses.ledger, claim, lambda: one)
    monkeypatch.setattr(experiments, "replication", lambda seed: [None] * 3)
    monkeypatch.setattr(results, "path", lambda name: folders.results())
    monkeypatch.setattr(analyses, "rows", lambda name: frame)
    (study, fresh, _) = analyses.replicated()["C3: selector − all tokens"]
    assert study is one["loss"] and fresh.seeds == 2
    monkeypatch.setattr(analyses, "rows", lambda name: frame[:-1])
    assert analyses.replicated() == {}


def test_a_change_is_of_seeds_that_are_not_paired():
    fresh, study = Estimate((0.01, 0.03)), Estimate((0.0, 0.01, 0.02))
    mean, (low, high) = analyses.change(fresh, study)
    half = 3.182 * ((0.0002 + 0.0002) / 3 * (1 / 2 + 1 / 3)) ** 0.5
    assert mean == pytest.approx(0.01) and high - mean == pytest.approx(half, rel=1e-3)
    assert low == pytest.approx(mean - half, rel=1e-3)


def test_an_interval_widens_by_the_error_of_images():
    """As the variances of both add up; without an error it stays."""
    estimate = Estimate((-0.01, 0.0, 0.02))
    assert analyses.widened(Estimate((0.01, 0.01)), 0.1).mean == 0.01  # finite
    assert analyses.widened(estimate, 0.0).values == pytest.approx(estimate.values)
    spread, error = np.std(estimate.values, ddof=1) / 3**0.5, 0.004
    wider = analyses.widened(estimate, error)
    low, high = wider.interval
    assert high - low == pytest.approx(2 * 4.303 * (spread**2 + error**2) ** 0.5, rel=1e-3)
    assert wider.mean == pytest.approx(estimate.mean)


def test_answers_of_another_network_are_refused(pair):
    these, those = (pair[pair.kind == kind] for kind in ("random", "dense"))
    with pytest.raises(Failed, match="are not those of the network of its row"):
        analyses.over_images(these.assign(accuracy=0.5), those)
    assert analyses.over_images(these[these.seed == 0], those) is None
