"""Gates that decide for each image which blocks and channels run, and the loss that holds them to a budget.

The structure is that of SkipNet's recurrent gate (Wang et al., ECCV 2018), with the channel head that dual dynamic
inference (arXiv 1907.04523) adds; the loss and the training in two steps follow the released code of E2-Train and of
dynamic fractional skipping, works by authors of the latter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

EMBEDDING = 10  # features a gate sees and keeps in its state: ten in SkipNet
_OPEN = 1.0  # assumption: initial bias of a gate, so that at first it lets everything run


def decide(probability: Tensor) -> Tensor:
    """1 where the probability is above one half, else 0; the gradient passes straight through."""
    hard = (probability > 0.5).to(probability.dtype)
    return hard + (probability - probability.detach())


def scale_by_gate(source: Tensor, gate: Tensor) -> Tensor:
    """Multiply feature maps (n, c, h, w) by a gate (n, 1) or (n, c)."""
    return source * gate[:, :, None, None]


torch.fx.wrap("decide")
torch.fx.wrap("scale_by_gate")


@dataclass(frozen=True)
class Decision:
    """What a gate decided for a batch.

    Attributes
    ----------
    layer
        (n, 1), 1 where the block runs.
    channels
        (n, c), 1 where a channel between the block's convolutions is computed; None where all are.
    """

    layer: Tensor
    channels: Tensor | None = None

    def executed(self) -> Tensor:
        """Share of the block's work that is done, mean over the batch."""
        share = self.layer[:, 0]
        return (share if self.channels is None else share * self.channels.mean(1)).float().mean()

    def open_channels(self) -> Tensor:
        """Share of the channels that are computed where the block runs, mean over the batch.

        Its gradient pushes each channel as hard as a whole block; by its own share of the work it would hardly move.
        """
        if self.channels is None:
            return torch.ones(())
        known = self.channels.detach()
        return (known.mean(1) + (self.channels - known).sum(1)).float().mean()


class RecurrentGate(nn.Module):
    """One recurrent gate shared by all blocks: an embedding for each block, an LSTM cell, a head for each width.

    The cell is written out in elementary operations, so that it exports as such.

    Parameters
    ----------
    widths
        Channels that enter each gated block.
    channel_heads
        Channels that each block's channel gate decides on; None for gates on whole blocks only.
    """

    def __init__(self, widths: Sequence[int], channel_heads: Sequence[int] | None = None) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Linear(width, EMBEDDING) for width in widths)
        self.from_input = nn.Linear(EMBEDDING, 4 * EMBEDDING)
        self.from_state = nn.Linear(EMBEDDING, 4 * EMBEDDING, bias=False)
        self.layer_head = nn.Linear(EMBEDDING, 1)
        nn.init.constant_(self.layer_head.bias, _OPEN)
        self.channel_widths = None if channel_heads is None else tuple(channel_heads)
        heads = {str(width): nn.Linear(EMBEDDING, width) for width in sorted(set(self.channel_widths or ()))}
        for head in heads.values():
            nn.init.constant_(head.bias, _OPEN)
        self.channel_heads = nn.ModuleDict(heads)

    def forward(
        self, index: int, pooled: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Decision, tuple[Tensor, Tensor]]:
        """Decide on block `index` from the means of its input's channels and from the earlier decisions' state.

        Computed in float32 even where the network trains in bfloat16: that would round what is barely above one half
        down to it, and gates close to the threshold would decide otherwise in training than afterwards.
        """
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            return self._decide(index, pooled, state)

    def _decide(
        self, index: int, pooled: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Decision, tuple[Tensor, Tensor]]:
        gates = self.from_input(self.embeddings[index](pooled))
        if state is not None:
            gates = gates + self.from_state(state[0])
        entry, forget, content, exit_ = torch.chunk(gates, 4, 1)
        cell = torch.sigmoid(entry) * torch.tanh(content)
        if state is not None:
            cell = cell + torch.sigmoid(forget) * state[1]
        hidden = torch.sigmoid(exit_) * torch.tanh(cell)
        layer = decide(torch.sigmoid(self.layer_head(hidden)))
        channels = None
        if self.channel_widths is not None:
            channels = decide(torch.sigmoid(self.channel_heads[str(self.channel_widths[index])](hidden)))
        return Decision(layer, channels), (hidden, cell)


@dataclass(frozen=True)
class Budget:
    """A target for the share of the multiply-accumulates that are executed.

    Attributes
    ----------
    target
        Between 0 and 1.
    fixed
        Share of the work that no gate can skip, gates included.
    gated
        Share of each gated block, in order; with `fixed` they add up to one.
    strength
        Weight of the cost, given in percent of the whole network, beside the cross-entropy.
    """

    target: float
    fixed: float
    gated: tuple[float, ...]
    strength: float = 0.0

    def share(self, decisions: Sequence[Decision]) -> Tensor:
        """Share of the work that a batch of decisions executes."""
        costs = torch.tensor(self.gated, device=decisions[0].layer.device)
        return self.fixed + (torch.stack([decision.executed() for decision in decisions]) * costs).sum()

    def loss(self, decisions: Sequence[Decision]) -> Tensor:
        """Bang-bang cost: work is dear while the batch is above the target, and a gain while it is below.

        Blocks and channels, where both can close, are held to the root of the target each: with one cost for the work
        as a whole, whichever crosses the threshold first closes alone.
        """
        blocks = [decision.layer.float().mean() for decision in decisions]
        if all(decision.channels is None for decision in decisions):
            return self._cost(blocks, self.target)
        channels = [decision.open_channels() for decision in decisions]
        return self._cost(blocks, self.target**0.5) + self._cost(channels, self.target**0.5)

    def _cost(self, executed: list[Tensor], target: float) -> Tensor:
        """Cost of the work that is left when these shares of the blocks are executed."""
        share = self.fixed + (torch.stack(executed) * torch.tensor(self.gated, device=executed[0].device)).sum()
        sign = 1.0 if float(share.detach()) > target else -1.0
        return sign * self.strength * 100.0 * share

    def objective(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of the answers and cost of the decisions: the loss of joint training."""
        logits, decisions = model(images)
        return functional.cross_entropy(logits, labels) + self.loss(decisions)
