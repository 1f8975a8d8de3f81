"""Token selectors: which tokens stay, and the losses of the learned one (Rao et al., 2021)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ssf.config import demand


@dataclass
class Tokens:
    """Tokens x [T,B,n,C] before a block, and what is known of them; n <= N are still there."""

    x: torch.Tensor  # [T,B,n,C]
    grid: torch.Tensor | None = None  # [B,n], their places in the stem's grid
    alive: torch.Tensor | None = None  # [B,n] of 0 and 1; None: none was dropped
    received: torch.Tensor | None = None  # [B,n], `SSA.received` of the block before
    foreground: torch.Tensor | None = None  # [B,N], share of foreground in each of the whole grid

    def last_if_dropped(self, scores):
        """The scores [B,n], those of dropped tokens below all others."""
        return scores if self.alive is None else scores.masked_fill(self.alive == 0, -torch.inf)

    def share(self, scores):
        """Softmax over the tokens that are left."""
        return self.last_if_dropped(scores).softmax(1)


def wide(x):
    """At least float32, the dtype of a mean over many: in bfloat16 scores would be equal."""
    return torch.promote_types(x.dtype, torch.float32)


def temporal_change(tokens):
    """Mean over t of `|m[t+1] - m[t]|`, m[t] the channel mean at step t."""
    m = tokens.x.mean(3, dtype=wide(tokens.x))
    return m.diff(dim=0).abs().sum(0) / max(len(m) - 1, 1)


def information_scores(tokens, size):
    """softmax(temporal change) + softmax(-cosine) (Wei et al., TP-Spikformer, 2026, the paper).

    The cosine is that of a token's rate vector and the mean of the 3×3 tokens around it.
    """
    rates = tokens.x.mean(0, dtype=wide(tokens.x))
    rates = rates if tokens.alive is None else rates * tokens.alive[..., None]
    side, places = round(size**0.5), tokens.grid[..., None].expand_as(rates)
    picture = rates.new_zeros(len(rates), size, rates.shape[2]).scatter(1, places, rates)
    picture = picture.transpose(1, 2).unflatten(2, (side, side))
    around = F.avg_pool2d(picture, 3, stride=1, padding=1).flatten(2).transpose(1, 2)
    unlike = -F.cosine_similarity(rates, around.gather(1, places), dim=-1)
    return tokens.share(temporal_change(tokens)) + tokens.share(unlike)


def information_per_place_scores(tokens, _):
    """The same as TP-Spikformer's published code has it: its mean sums over channels too.

    So the mean is the same for all channels, and its cosine with the rates is theirs with ones.
    """
    rates = tokens.x.mean(0, dtype=wide(tokens.x))
    unlike = -F.cosine_similarity(rates, torch.ones_like(rates), dim=-1)
    return tokens.share(temporal_change(tokens)) + tokens.share(unlike)


SCORES = {  # of Tokens and the size of the whole grid: [B,n]
    "random": lambda tokens, _: torch.rand(tokens.x.shape[1:3], device=tokens.x.device),
    "firing_rate": lambda tokens, _: tokens.x.mean((0, 3), dtype=wide(tokens.x)),
    "attention": lambda tokens, _: tokens.received,
    "information": information_scores,
    "information_per_place": information_per_place_scores,
    "oracle": lambda tokens, _: tokens.foreground.gather(1, tokens.grid),  # given by the data
}


class TokenSelector(nn.Module):
    """Keeps a share of the tokens before each block named in `config.locations`.

    The learned selector has one predictor a location, of the firing rates (x averaged over time).
    The others are `SCORES`, with nothing to learn, and keep their exact share while training too.
    """

    def __init__(self, config, width, tokens):
        super().__init__()
        self.config, self.kind, self.locations = config, config.kind, config.locations
        self.removes, self.head_averages_dropped = config.removes, config.head_averages_dropped
        self.expect(tokens)
        self.predictors = nn.ModuleList()
        for _ in self.locations if self.kind == "learned" else ():
            first, last = nn.Linear(width, width // 2), nn.Linear(width // 2, 2)
            self.predictors.append(nn.Sequential(first, nn.GELU(), last, nn.LogSoftmax(-1)))

    def expect(self, tokens):
        """From now on, choose among so many tokens."""
        self.tokens, self.counts = tokens, self.config.counts(tokens)
        self.training_counts = self.config.counts(tokens, inference=False)

    def log_probabilities(self, block, tokens):
        """[B,n,2] of the learned selector before a block: keep, drop."""
        return self.predictors[self.locations.index(block)](tokens.x.mean(0))

    def scores(self, block, tokens):
        """Keep score [B,n] of each token before a block; those of the highest scores are kept."""
        if self.kind == "learned":
            return self.log_probabilities(block, tokens)[..., 0]
        given = self.kind != "oracle" or tokens.foreground is not None
        demand(given, "selector.kind", "oracle", "where the foreground of every image is given")
        return SCORES[self.kind](tokens, self.tokens)

    def decide(self, block, tokens):
        """Training: decisions [B,n] of 0 and 1; a token dropped before stays dropped.

        Learned: a hard Gumbel-softmax sample, straight-through gradient (Jang et al., 2017).
        """
        if self.kind == "learned":
            sample = F.gumbel_softmax(self.log_probabilities(block, tokens), hard=True)[..., 0]
            return sample if tokens.alive is None else sample * tokens.alive
        scores = tokens.last_if_dropped(self.scores(block, tokens))
        places = top(scores, self.training_counts[self.locations.index(block)])
        return torch.zeros_like(scores).scatter(1, places, 1)

    def choose(self, block, tokens):
        """Inference: places [B,K], among the tokens given, of the K highest scores."""
        return top(self.scores(block, tokens), self.counts[self.locations.index(block)])


def top(scores, k):
    """Places [B,k], rising, of the k highest of the scores [B,n]; of equal ones the first."""
    return scores.argsort(dim=1, descending=True, stable=True)[:, :k].sort(dim=1).values


def ratio_loss(decisions, ratios):
    """Mean over locations and images of (share of tokens kept - ratio)² (Rao et al., 2021)."""
    pairs = zip(decisions, ratios, strict=True)
    return torch.stack([((d.mean(1) - ratio) ** 2).mean() for d, ratio in pairs]).mean()


def distillation_loss(student, teacher):
    """KL(teacher || student) of the classes by two logits [B,classes], averaged over the batch.

    The published code calls torch's kl_div with the student first, which is this direction.
    """
    student, teacher = student.log_softmax(-1), teacher.log_softmax(-1)
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True)


def selector_loss(logits, labels, decisions, teacher_logits, config, label_smoothing=0.0):
    """Cross-entropy + ratio_weight · ratio loss + distill_weight · distillation.

    Selectors that are not learned keep their exact share by construction and have no ratio loss;
    without the teacher's logits there is no distillation.
    """
    loss = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    if config.kind == "learned":
        loss = loss + config.ratio_weight * ratio_loss(decisions, config.ratios())
    if teacher_logits is None:
        return loss
    return loss + config.distill_weight * distillation_loss(logits, teacher_logits)
