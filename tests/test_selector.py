import math

import pytest
import torch

from ssf.config import Selector
from ssf.selector import TokenSelector, distillation_loss, ratio_loss, selector_loss


def make(kind="learned", ratio=0.5, locations=(0, 1, 2)):
    return TokenSelector(Selector(kind, ratio, locations), width=16, tokens=64)


@pytest.mark.parametrize("kind", ["learned", "random"])
def test_decisions_are_binary_and_a_dropped_token_stays_dropped(kind):
    selector, rates, keep = make(kind), torch.rand(5, 64, 16), None
    for place in range(3):
        before = keep
        keep = selector.decide(place, rates, before)
        assert set(keep.unique().tolist()) <= {0.0, 1.0}
        assert before is None or bool((keep <= before).all())
    assert 0 < keep.mean() < 0.5


def test_the_random_selector_keeps_its_exact_share_and_varies():
    selector, rates = make("random"), torch.rand(5, 64, 16)
    first = selector.decide(0, rates)
    assert first.sum(1).tolist() == [32] * 5 and not torch.equal(first, selector.decide(0, rates))
    assert selector.decide(1, rates, first).sum(1).tolist() == [16] * 5


def test_inference_takes_the_highest_scores_in_order():
    selector, rates = make(ratio=0.25, locations=(0,)), torch.rand(3, 64, 16)
    chosen, scores = selector.choose(0, rates), selector.scores(0, rates)
    assert chosen.shape == (3, 16) and bool((chosen.diff(dim=1) > 0).all())
    dropped = torch.ones_like(scores).scatter(1, chosen, 0).bool()
    for b in range(3):
        assert scores[b, chosen[b]].min() >= scores[b, dropped[b]].max()


def test_the_decision_has_a_gradient_and_follows_the_score():
    selector, rates = make(locations=(0,)), torch.rand(4, 64, 16)
    selector.decide(0, rates).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in selector.parameters())
    with torch.no_grad():
        selector.predictors[0][2].bias.copy_(torch.tensor([20.0, -20.0]))  # channel 0 is "keep"
    assert bool((selector.decide(0, rates) == 1).all())


def test_ratio_loss_by_hand():
    decisions = [torch.tensor([[1.0, 1, 0, 0], [1, 1, 1, 1]]), torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0]])]
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
    plain = selector_loss(logits, labels, decisions, teacher, Selector(ratio_weight=0, distill_weight=0))
    whole = selector_loss(logits, labels, decisions, teacher, weights)
    added = 3 * ratio_loss(decisions, [0.3]) + 0.7 * distillation_loss(logits, teacher)
    torch.testing.assert_close(plain, torch.nn.functional.cross_entropy(logits, labels))
    torch.testing.assert_close(whole - plain, added)
