import analyses
import numpy as np
import pytest

from ssf.config import Failed
from ssf.engine import records
from ssf.presets import preset
from ssf.study import answers, experiments, results
from ssf.study.statistics import Estimate


def test_the_bootstrap_covers_seeds_and_images():
    """Of values with effects of seeds and images, it is as wide as the two variances say."""
    draw = np.random.default_rng(3)
    seeds, images = draw.normal(0, 0.02, (40, 1)), draw.normal(0, 1, (1, 2500))
    spread = (0.02**2 / 40 + 1 / 2500) ** 0.5
    low, high = analyses.bootstrap(seeds + images)
    assert (high - low) / (2 * 1.96 * spread) == pytest.approx(1, abs=0.25)
    low, high = analyses.bootstrap(np.repeat(seeds, 2500, axis=1))  # no image matters
    assert (high - low) / (2 * 1.96 * 0.02 / 40**0.5) == pytest.approx(1, abs=0.35)
    assert analyses.bootstrap(np.full((3, 5), 0.25)) == (0.25, 0.25)


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
    for _, run in results.run("pair", [0, 1]):
        answers.keep(run)
    return records.committed("study_pair", "")


def test_answers_are_kept_and_give_their_rows_accuracies(pair):
    kept = answers.read("fashion-mini")
    assert kept.keys() == {"labels", *pair.id}
    for row in pair.itertuples():
        assert (kept[row.id] == kept["labels"]).mean() == pytest.approx(row.accuracy)
    these, those = (pair[pair.kind == kind] for kind in ("random", "dense"))
    estimate, error, (low, high) = analyses.over_images(these, those)
    right = [kept[i] == kept["labels"] for frame in (these, those) for i in frame.id]
    one, other = (np.subtract(right[i], right[i + 2], dtype=float) for i in (0, 1))
    assert error == pytest.approx(max(np.cov(one, other)[0, 1] / len(one), 0) ** 0.5)
    assert estimate.mean == pytest.approx(these.accuracy.mean() - those.accuracy.mean())
    assert low < estimate.mean < high and isinstance(estimate, Estimate)


def test_an_interval_widens_by_the_error_of_images():
    """As the variances of both add up; without an error it stays."""
    estimate = Estimate((-0.01, 0.0, 0.02))
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
