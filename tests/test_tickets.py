import pytest
import torch

from ssf.model import cost, tickets
from ssf.model.spikformer import Spikformer


@pytest.fixture
def network(smoke):
    return Spikformer(smoke.model)


def test_biases_and_batchnorm_are_never_pruned(network):
    names = set(tickets.prunable(network))
    assert "head.weight" in names and "stem.stages.0.conv.weight" in names
    assert not any("bias" in n or ".bn." in n for n in names)
    assert len(names) == sum(p.ndim > 1 for p in network.parameters())


def test_sparsity_is_exact_round_after_round_and_masks_only_shrink(network):
    masks = tickets.full_masks(network)
    left = sum(m.numel() for m in masks.values())
    for _ in range(4):
        before, masks = masks, tickets.prune(network, masks, 0.25)
        left -= round(0.25 * left)
        assert sum(int(m.sum()) for m in masks.values()) == left
        assert all(bool((masks[n] <= before[n]).all()) for n in masks)


def test_the_smallest_magnitudes_of_all_layers_go(network):
    masks = tickets.prune(network, tickets.full_masks(network), 0.6)
    weights = tickets.prunable(network)
    kept = torch.cat([weights[n][masks[n]].abs() for n in masks])
    gone = torch.cat([weights[n][~masks[n]].abs() for n in masks])
    assert kept.min() >= gone.max()
    shares = {round(m.float().mean().item(), 2) for m in masks.values()}
    assert len(shares) > 1  # global: layers end up unequally dense


def test_by_layer_every_layer_loses_the_same_share(network):
    masks = tickets.full_masks(network)
    for _ in range(2):
        before, masks = masks, tickets.prune(network, masks, 0.3, scope="layer")
        for name, weight in tickets.prunable(network).items():
            survivors = int(before[name].sum())
            assert survivors - int(masks[name].sum()) == round(0.3 * survivors)
            assert (
                weight[masks[name]].abs().min() >= weight[before[name] & ~masks[name]].abs().max()
            )
    last = {n: torch.arange(m.numel()).view_as(m) == 0 for n, m in masks.items()}
    with pytest.raises(
        ValueError, match=r"leaves some of the 1 weights of the round before in stem\.stages\.0"
    ):
        tickets.prune(network, last, 0.9, scope="layer")


def test_a_pruned_weight_is_known_by_its_mask_not_by_its_size(network):
    with torch.no_grad():
        network.head.weight.zero_()
    masks = tickets.prune(network, tickets.full_masks(network), 1e-4)
    removed = sum(int((~m).sum()) for m in masks.values())
    assert removed == round(1e-4 * sum(m.numel() for m in masks.values()))
    assert int((~masks["head.weight"]).sum()) == removed < masks["head.weight"].numel()


def test_pruning_leaves_network_and_given_masks_alone(network):
    masks, weights = (
        tickets.full_masks(network),
        {n: w.clone() for n, w in network.state_dict().items()},
    )
    tickets.prune(network, masks, 0.5)
    assert all(bool(m.all()) for m in masks.values())
    assert all(torch.equal(w, network.state_dict()[n]) for n, w in weights.items())


@pytest.mark.parametrize("fraction", [0, 1, 1.2, -0.1])
def test_an_impossible_fraction_is_refused(network, fraction):
    with pytest.raises(ValueError, match="ticket.fraction is"):
        tickets.prune(network, tickets.full_masks(network), fraction)


def test_the_random_ticket_has_the_density_of_every_layer_at_other_places(network):
    masks = tickets.prune(network, tickets.full_masks(network), 0.7)
    other = tickets.shuffled(masks, seed=1)
    assert cost.density_by_layer(other) == cost.density_by_layer(masks)
    assert any(not torch.equal(other[n], masks[n]) for n in masks)
    again = tickets.shuffled(masks, seed=1)
    assert all(torch.equal(other[n], again[n]) for n in masks)
