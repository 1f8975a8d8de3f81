"""The token selector: which tokens stay (Rao et al., DynamicViT, 2021, driven by firing rates), and its losses."""

import torch
import torch.nn.functional as F
from torch import nn


def top(scores, k):
    """Places [B,k], rising, of the k highest of the scores [B,N]."""
    return scores.topk(k, dim=1).indices.sort(dim=1).values


class TokenSelector(nn.Module):
    """Keeps a share of the tokens before each block named in `config.locations`.

    Input at a location: the firing rates [B,N,C], x averaged over time. The learned selector has one predictor a
    location, Linear(C, C/2) -> GELU -> Linear(C/2, 2) -> LogSoftmax, channel 0 meaning "keep"; the random selector,
    its control, draws a uniform score for each token.
    """

    def __init__(self, config, width, tokens):
        super().__init__()
        self.kind, self.locations, self.tokens = config.kind, config.locations, tokens
        self.counts = config.counts(tokens)
        learned = config.kind == "learned"
        self.predictors = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width // 2), nn.GELU(), nn.Linear(width // 2, 2), nn.LogSoftmax(-1))
            for _ in self.locations
            if learned
        )

    def scores(self, place, rates):
        """Keep score [B,N] of each token: its log-probability of being kept, or a random number."""
        if self.kind == "random":
            return torch.rand(rates.shape[:2], device=rates.device)
        return self.predictors[place](rates)[..., 0]

    def decide(self, place, rates, previous=None):
        """Training: decisions [B,N] of 0 and 1; a token dropped before (0 in `previous`) stays dropped.

        Learned: a hard Gumbel-softmax sample with the straight-through gradient (Jang et al., 2017).
        """
        if previous is None:
            previous = rates.new_ones(rates.shape[:2])
        if self.kind == "learned":
            return F.gumbel_softmax(self.predictors[place](rates), hard=True)[..., 0] * previous
        places = top(self.scores(place, rates) + previous, self.counts[place])
        return torch.zeros_like(previous).scatter(1, places, 1)

    def choose(self, place, rates):
        """Inference: places [B,K] of the K = floor(N · ratio) tokens with the highest score."""
        return top(self.scores(place, rates), self.counts[place])


def ratio_loss(decisions, ratios):
    """Mean over locations and images of (share of tokens kept - ratio)² (Rao et al., 2021)."""
    return torch.stack([((d.mean(1) - r) ** 2).mean() for d, r in zip(decisions, ratios, strict=True)]).mean()


def distillation_loss(student, teacher):
    """KL(teacher || student) of the class distributions of two logits [B,classes], averaged over the batch.

    The published code calls torch's kl_div with the student first, which is this direction.
    """
    return F.kl_div(student.log_softmax(-1), teacher.log_softmax(-1), reduction="batchmean", log_target=True)


def selector_loss(logits, labels, decisions, teacher_logits, config, label_smoothing=0.0):
    """Cross-entropy + ratio_weight · ratio loss + distill_weight · distillation.

    The random selector keeps its exact share by construction and has no ratio loss.
    """
    loss = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    if config.kind == "learned":
        loss = loss + config.ratio_weight * ratio_loss(decisions, config.ratios())
    return loss + config.distill_weight * distillation_loss(logits, teacher_logits)
