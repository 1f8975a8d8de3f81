"""Networks that compute in a page: the file, and the script in Node beside torch."""

import hashlib
import json

import numpy as np
import page_network
import pandas as pd
import pytest
import torch

from ssf.__main__ import main
from ssf.config import Refused, Selector
from ssf.engine import observe, runs
from ssf.figures import live
from ssf.study import experiments, results

IMAGES = 200
RUN = """
  const net = ssf.read(given.network), out = [];
  for (let i = 0; i < given.count; i++) {
    const {logits, left, macs, sops, energy} = ssf.run(net, ssf.stem(net, part(i)), given.chosen);
    out.push({logits: Array.from(logits), left, macs, sops, energy});
  }
  return out;
"""


def run_in_node(raw, images, chosen=None):
    given = {"network": live.text(raw), "images": live.text(images), "chosen": chosen}
    return page_network.in_node(RUN, **given, size=images[0].numel(), count=len(images))


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1, -1], ids=["selector", "dense", "sparsest"])
def test_the_page_computes_what_torch_does(which):
    """Of 200 test images: every class, every logit, and the tokens that its own selector keeps."""
    raw, dataset = page_network.committed()[which], page_network.data_set()
    network, *_ = page_network.in_torch(raw)
    seen = run_in_node(raw, dataset.test_images[:IMAGES])
    with torch.no_grad():
        expected, kept = network.forward_tokens(live.pixels(dataset, slice(IMAGES)))
    logits = torch.tensor([row["logits"] for row in seen], dtype=torch.float64)
    assert (logits - expected).abs().max() < 1e-3
    assert (
        torch.equal(logits.argmax(1), expected.argmax(1)) and len(expected.argmax(1).unique()) > 5
    )
    for choice, row in zip(kept[0] if kept else [], seen, strict=bool(kept)):
        assert choice.nonzero().flatten().tolist() == row["left"]


@pytest.mark.parametrize(
    "which, chosen", [(0, [*range(3, 40)]), (1, [0, 9, 63]), (-1, [*range(64)])]
)
def test_costs_are_the_librarys(which, chosen):
    """MACs, additions for spikes and energy of the weights left, for tokens that were chosen."""
    raw, dataset = page_network.committed()[which], page_network.data_set()
    network, model, _ = page_network.in_torch(raw)
    row, *_ = run_in_node(raw, dataset.test_images[:1], chosen)
    density = {
        f"{name}.{'conv' if name.startswith('stem') else 'linear'}.weight": layer.weight
        for name, (layer, norm) in live.layers(network).items()
        if norm is not None
    } | {"head.weight": network.head.weight}
    masks = {name: weight != 0 for name, weight in density.items()}
    page_network.keeping(network, chosen)
    selector = Selector("firing_rate", len(chosen) / 64, (0,))
    _, operations = observe.activity(network, model, selector, live.pixels(dataset, [0]))
    left = observe.surviving(operations, masks)
    assert row["macs"] == pytest.approx(sum(each.layer.macs for each in left))
    assert row["sops"] == pytest.approx(sum(each.sops for each in left if each.binary))
    assert row["energy"] == pytest.approx(sum(observe.energy(left, "one addition").values()))


def test_the_committed_files_are_those_of_their_checksums_and_rows():
    rows = results.as_text("live")
    named = {config.hash(): config for _, config in experiments.live(0)}
    assert [name.removesuffix(".safetensors") for name in page_network.NAMES] == [*named]
    lines = (page_network.FOLDER / "SHA256SUMS").read_text().splitlines()
    for line, raw in zip(lines, page_network.committed(), strict=True):
        about = live.read(raw)
        row = rows[about["record"]["id"]]
        assert hashlib.sha256(raw).hexdigest() == line.split()[0] and len(raw) <= live.LIMIT
        assert about["version"] == live.VERSION and about["same"] == about["checked"] == IMAGES
        assert about["record"]["accuracy"] == float(row["accuracy"])
        assert about["record"]["commit"] == row["commit"]


def test_what_the_page_says_of_its_pictures_is_so():
    """Fewest tokens that keep the answer, and losses that flip it, of three pictures by Node."""
    pictures = pd.read_csv(page_network.FOLDER / "pictures.csv")
    raw, dataset = page_network.committed()[0], page_network.data_set()
    chosen = pictures.sort_values("lost").head(3)
    code = """
      const net = ssf.read(given.network), every = [...Array(64).keys()];
      return Array.from({length: given.count}, (_, i) => {
        const stemmed = ssf.stem(net, part(i));
        const answer = kept => {
          const {logits} = ssf.run(net, stemmed, kept);
          return logits.indexOf(Math.max(...logits));
        };
        const middle = numbers => numbers.sort((a, b) => a - b)[numbers.length >> 1];
        const ranked = way => ssf.order(ssf.scores(net, stemmed.x, 64, way));
        const fewest = order => {
          let n = 64;
          const best = k => order.slice(0, k).sort((a, b) => a - b);
          while (n > 1 && answer(best(n - 1)) == answer(every)) n--;
          return n;
        };
        const ways = [ranked("learned"), ranked("firing_rate")].map(fewest);
        return [answer(every), ...ways, middle(given.orders[i].map(fewest))];
      });
    """
    images, generator = dataset.test_images[chosen.image.tolist()], torch.Generator().manual_seed(0)
    drawn = [[torch.randperm(64, generator=generator) for _ in range(25)] for _ in pictures.image]
    orders = [[order.tolist() for order in drawn[row]] for row in chosen.index]
    given = {"network": live.text(raw), "images": live.text(images), "size": images[0].numel()}
    given["orders"] = orders
    seen = page_network.in_node(code, **given, count=len(images))
    assert seen == chosen[["answer", "learned", "firing_rate", "chance"]].to_numpy().tolist()


@pytest.mark.parametrize("gap", [0, 1, 254, 255, 256, 257, 511, 512, 1000])
def test_sparse_numbers_come_back_whatever_the_gap(gap):
    row = np.zeros(gap + 3, np.int8)
    row[gap] = row[gap + 1] = 5
    values, gaps = live.sparse(row)
    places = (gaps.astype(int) + 1).cumsum() - 1
    back = np.zeros_like(row)
    back[places] = values
    assert (back == row).all() and gaps.dtype == np.uint8


@pytest.mark.parametrize("bits", live.BITS)
def test_weights_are_whole_numbers_times_powers_of_two(bits):
    weight = torch.randn(5, 7, dtype=torch.float64) * torch.logspace(-6, 2, 5)[:, None]
    numbers, powers = live.whole(weight, bits)
    assert numbers.abs().max() < 2 ** (bits - 1) and torch.equal(numbers, numbers.round())
    error = (numbers / 2 ** powers[:, None] - weight).abs().amax(1) / weight.abs().amax(1)
    assert error.max() <= 2.0 ** (1 - bits)


def test_a_run_becomes_one_page_that_needs_no_other_file(smoke, tmp_path, capsys):
    run = runs.run(smoke)
    path = tmp_path / "own.html"
    assert main(["export", run.record["id"], "--to", str(path)]) == 0
    page = path.read_text()
    assert str(path) in capsys.readouterr().out and page.count("<script>") == 3
    assert "src=" not in page and "href=" not in page.replace("href: `#row", "")
    data = json.loads(page.partition("window.ssfLive = ")[2].partition(";\n")[0])
    assert len(data["labels"]) == live.SHOWN and len(data["networks"]) == 1


def test_what_a_page_cannot_compute_is_refused(smoke, monkeypatch, capsys):
    assert main(["export", "nowhere"]) == 2
    assert "RUN is 'nowhere'; allowed: the id of a finished run" in capsys.readouterr().err
    run = runs.run(smoke)
    monkeypatch.setattr(live, "LIMIT", 1000)
    assert main(["export", run.record["id"]]) == 2
    told = capsys.readouterr().err
    assert "bytes at 8 bits; allowed: at most 1,000" in told
    for changes in ({"selector": Selector("random")}, {"selector": Selector(dropped="bypass")}):
        with pytest.raises(Refused, match="selector"):
            live.refuse(smoke.with_(**changes), run.network)
    frames = smoke.with_(**{"data.name": "event-fashion"})
    with pytest.raises(Refused, match="model.encoding"):
        live.refuse(frames, run.network)
