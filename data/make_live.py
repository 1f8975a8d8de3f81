"""Write the networks of the page that computes, and what is true of its pictures, from their runs.

    .venv/bin/python data/make_live.py      # trains what is missing of the study's `live`: minutes

The same runs make the same bytes; the checksums go to data/live/SHA256SUMS.
"""

import hashlib
from pathlib import Path

import pandas as pd
import torch

from ssf.datasets import batches, sets
from ssf.engine import runs
from ssf.figures import live
from ssf.model import selector
from ssf.study import experiments

FOLDER = Path(__file__).parent / "live"
DRAWS = 25  # orders by chance, of each picture


@torch.no_grad()
def classes(network, tokens, several):
    """Classes by rounded blocks and head of choices [n,K] of one picture's tokens [T,1,N,C]."""
    x = torch.stack([tokens[:, 0, chosen] for chosen in several], 1)
    for block in network.blocks:
        x = block(x)
    return network.head(x.mean((0, 2)))


def fewest(network, tokens, scores, answer):
    """How many tokens of highest score keep the answer, one less at a time."""
    kept = tokens.shape[2]
    while kept > 1:
        chosen = selector.top(scores[None], kept - 1)
        if classes(network, tokens, chosen).argmax() != answer:
            break
        kept -= 1
    return kept


def by_chance(network, tokens, answer, generator):
    """The median of `fewest` over orders by chance."""
    n = tokens.shape[2]
    orders = torch.stack([torch.randperm(n, generator=generator) for _ in range(DRAWS)])
    same = [
        classes(network, tokens, orders[:, :kept].sort(1).values).argmax(1) == answer
        for kept in range(n - 1, 0, -1)
    ]
    return int((n - torch.stack(same).int().cumprod(0).sum(0)).median())


def losses(network, tokens, answer):
    """How many tokens a greedy search takes away until the answer flips, and to what."""
    left, now = torch.arange(tokens.shape[2]), answer
    while now == answer and len(left) > 1:
        several = torch.stack([left[left != token] for token in left])
        logits = classes(network, tokens, several)
        rivals = logits.clone()
        rivals[:, answer] = -torch.inf
        worst = (logits[:, answer] - rivals.amax(1)).argmin()
        left, now = several[worst], int(logits[worst].argmax())
    return tokens.shape[2] - len(left), now


@torch.no_grad()
def answers(networks, dataset):
    """A row a picture: answers of the networks, and of the first how few tokens keep its own."""
    first, *others = networks
    numbers = live.pictures(dataset, first.selector.tokens)["numbers"]
    truth = live.foreground(dataset, torch.tensor(numbers))
    shares = batches.token_shares(truth, first.selector.tokens)
    rows, generator = [], torch.Generator().manual_seed(0)
    for number, share in zip(numbers, shares, strict=True):
        picture = live.pixels(dataset, [number])
        tokens = first.stem(picture)
        every = torch.arange(tokens.shape[2])[None]
        answer = int(classes(first, tokens, every).argmax())
        seen = selector.Tokens(tokens)
        ways = {"learned": first.selector.scores(0, seen)[0], "truth": share}
        ways["firing_rate"] = tokens.mean((0, 3))[0]
        row = {"image": number, "label": int(dataset.test_labels[number]), "answer": answer}
        row |= {way: fewest(first, tokens, scores, answer) for way, scores in ways.items()}
        row["chance"] = by_chance(first, tokens, answer, generator)
        row["lost"], row["flips_to"] = losses(first, tokens, answer)
        row |= {f"round_{i}": int(n(picture).argmax()) for i, n in enumerate(others)}
        rows.append(row)
    return pd.DataFrame(rows)


def main():
    trained, networks, sums = [], [], []
    for kind, config in experiments.live(0):
        trained.append(runs.run(config, any_code=True))
        record = trained[-1].record
        print(kind, record["id"], f"{record['accuracy']:.4f}", flush=True)
    dataset = sets.load_for(trained[0].config)
    FOLDER.mkdir(exist_ok=True)
    for run in trained:
        raw = live.compact(run, dataset)
        (FOLDER / f"{run.record['id']}.safetensors").write_bytes(raw)
        sums.append(f"{hashlib.sha256(raw).hexdigest()}  {run.record['id']}.safetensors\n")
        bits = live.read(raw)["bits"]
        networks.append(live.rounded(run.network, dataset.statistics, bits)[0])
    (FOLDER / "SHA256SUMS").write_text("".join(sums))
    answers(networks, dataset).to_csv(FOLDER / "pictures.csv", index=False)


if __name__ == "__main__":
    main()
