import math
from dataclasses import replace

import pytest
import torch

from ssf.config import SELECTORS, Selector
from ssf.model.selector import (
    SCORES,
    Tokens,
    TokenSelector,
    distillation_loss,
    information_per_place_scores,
    information_scores,
    ratio_loss,
    selector_loss,
    temporal_change,
)


def make(kind="learned", ratio=0.5, locations=(1, 2, 3), **rest):
    return TokenSelector(Selector(kind, ratio, locations, **rest), width=16, tokens=64)


def tokens(count=64, time_steps=2, **rest):
    x = torch.randint(0, 3, (time_steps, 5, count, 16)).float()
    grid = torch.stack([torch.randperm(64)[:count].sort().values for _ in range(5)])
    return Tokens(x, grid, received=torch.rand(5, count), foreground=torch.rand(5, 64), **rest)


def test_every_kind_of_a_config_has_its_score():
    assert set(SELECTORS) == {"learned", *SCORES}


@pytest.mark.parametrize("kind", SELECTORS)
def test_decisions_are_binary_and_a_dropped_token_stays_dropped(kind):
    selector, seen, keep = make(kind), tokens(), None
    for block in (1, 2, 3):
        before = keep
        keep = selector.decide(block, replace(seen, alive=before))
        assert set(keep.unique().tolist()) <= {0.0, 1.0}
        assert before is None or bool((keep <= before).all())
    assert 0 < keep.mean() < 0.5


@pytest.mark.parametrize("kind", SCORES)
def test_what_is_not_learned_keeps_its_exact_share_while_training(kind):
    selector, seen = make(kind), tokens()
    first = selector.decide(1, seen)
    assert first.sum(1).tolist() == [32] * 5
    assert selector.decide(2, replace(seen, alive=first)).sum(1).tolist() == [16] * 5


def test_the_random_selector_varies():
    selector, seen = make("random"), tokens()
    assert not torch.equal(selector.decide(1, seen), selector.decide(1, seen))


@pytest.mark.parametrize("kind", [k for k in SELECTORS if k != "random"])
def test_inference_takes_the_highest_scores_in_order(kind):
    selector, seen = make(kind, ratio=0.25, locations=(1,)), tokens(count=40)
    chosen, scores = selector.choose(1, seen), selector.scores(1, seen)
    assert chosen.shape == (5, 16) and bool((chosen.diff(dim=1) > 0).all())
    dropped = torch.ones_like(scores).scatter(1, chosen, 0).bool()
    for b in range(5):
        assert scores[b, chosen[b]].min() >= scores[b, dropped[b]].max()


@pytest.mark.parametrize("kind", [k for k in SELECTORS if k != "random"])
def test_scores_while_training_are_those_at_inference(kind):
    """A token's score does not change when the dropped ones are masked instead of gone."""
    selector, seen = make(kind), tokens()
    alive = (torch.rand(5, 64) < 0.5).float()
    alive[:, :20] = 1
    masked = selector.scores(1, replace(seen, grid=torch.arange(64).expand(5, -1), alive=alive))
    for b in range(5):
        left = alive[b].nonzero().squeeze(1)
        gone = Tokens(seen.x[:, b : b + 1, left], left[None], None, seen.received[b : b + 1, left],
                      seen.foreground[b : b + 1])  # fmt: skip
        torch.testing.assert_close(selector.scores(1, gone)[0], masked[b, left])


def test_the_decision_has_a_gradient_and_follows_the_score():
    selector, seen = make(locations=(1,)), tokens()
    selector.decide(1, seen).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in selector.parameters())
    with torch.no_grad():
        selector.predictors[0][2].bias.copy_(torch.tensor([20.0, -20.0]))  # channel 0 is "keep"
    assert bool((selector.decide(1, seen) == 1).all())


def test_firing_rate_and_oracle_by_hand():
    seen = tokens(count=7)
    rates, truth = make("firing_rate").scores(1, seen), make("oracle").scores(1, seen)
    for b in range(5):
        for n in range(7):
            assert rates[b, n].item() == pytest.approx(seen.x[:, b, n].mean().item())
            assert truth[b, n] == seen.foreground[b, seen.grid[b, n]]
    with pytest.raises(
        ValueError, match="selector.kind is 'oracle'; allowed: where the foreground"
    ):
        make("oracle").scores(1, Tokens(seen.x, seen.grid))


def test_information_by_hand():
    """The formulas of TP-Spikformer, token by token."""
    seen = tokens(count=64, time_steps=3)
    scores, per_place = information_scores(seen, 64), information_per_place_scores(seen, 64)
    for b in range(5):
        rates = seen.x[:, b].mean(0)
        m = seen.x[:, b].mean(2)
        temporal = ((m[1] - m[0]).abs() + (m[2] - m[1]).abs()) / 2
        spatial, spatial_published = [], []
        for n in range(64):
            row, column = divmod(n, 8)
            around = [
                rates[r * 8 + c]
                for r in range(row - 1, row + 2)
                for c in range(column - 1, column + 2)
                if 0 <= r < 8 and 0 <= c < 8
            ]
            mean = sum(around) / 9
            spatial.append(-torch.cosine_similarity(rates[n], mean, dim=0))
            summed = mean.sum() * torch.ones(16)  # a kernel of ones over all channels
            spatial_published.append(-torch.cosine_similarity(rates[n], summed, dim=0))
        torch.testing.assert_close(temporal_change(seen)[b], temporal)
        torch.testing.assert_close(scores[b], temporal.softmax(0) + torch.stack(spatial).softmax(0))
        torch.testing.assert_close(
            per_place[b], temporal.softmax(0) + torch.stack(spatial_published).softmax(0)
        )


def test_one_time_step_has_no_temporal_change():
    assert information_scores(tokens(time_steps=1), 64).isfinite().all()


def test_training_and_inference_ratios_can_differ():
    mismatched = make("firing_rate", 0.7, inference_keep_ratio=0.5)
    assert mismatched.training_counts == [44, 31, 21] and mismatched.counts == [32, 16, 8]
    assert mismatched.decide(1, tokens()).sum(1).tolist() == [44] * 5
    assert make("firing_rate", 0.7).counts == [44, 31, 21]


def test_ratio_loss_by_hand():
    decisions = [
        torch.tensor([[1.0, 1, 0, 0], [1, 1, 1, 1]]),
        torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0]]),
    ]
    expected = ((0.5 - 0.5) ** 2 + (1 - 0.5) ** 2 + (0.25 - 0.25) ** 2 + (0 - 0.25) ** 2) / 4
    assert ratio_loss(decisions, [0.5, 0.25]).item() == pytest.approx(expected)


def test_distillation_is_the_divergence_of_the_teacher_from_the_student():
    student, teacher = torch.tensor([[0.0, math.log(3)]]), torch.tensor([[0.0, 0.0]])
    expected = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert distillation_loss(student, teacher).item() == pytest.approx(expected)
    assert distillation_loss(teacher.expand(3, 2), teacher.expand(3, 2)).item() == pytest.approx(0)


def test_the_three_losses_add_up():
    torch.manual_seed(1)
    logits, teacher, labels = torch.randn(6, 10), torch.randn(6, 10), torch.arange(6)
    decisions = [(torch.rand(6, 64) < 0.5).float()]
    weights = Selector(keep_ratio=0.3, ratio_weight=3.0, distill_weight=0.7)
    plain = selector_loss(
        logits, labels, decisions, teacher, Selector(ratio_weight=0, distill_weight=0)
    )
    whole = selector_loss(logits, labels, decisions, teacher, weights)
    added = 3 * ratio_loss(decisions, [0.3]) + 0.7 * distillation_loss(logits, teacher)
    torch.testing.assert_close(plain, torch.nn.functional.cross_entropy(logits, labels))
    torch.testing.assert_close(whole - plain, added)
