"""Attention as every network here computes it, and the UNet's spatial transformer."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from onnxlens.reference_model.layers import GROUPS, conv1x1


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, *, causal: bool = False) -> Tensor:
    """softmax(q k^T / sqrt(d)) v in each head, d = C / heads; channel = head * d + i.

    Args:
        q: (B, L, C).
        k: (B, S, C).
        v: (B, S, C).
        heads: a divisor of C.
        causal: position i attends to positions 0 to i alone.

    Returns:
        (B, L, C).
    """
    q = split_heads(q, heads)  # (B, heads, L, d)
    k = split_heads(k, heads)  # (B, heads, S, d)
    v = split_heads(v, heads)  # (B, heads, S, d)
    x = F.scaled_dot_product_attention(q, k, v, is_causal=causal)  # (B, heads, L, d)
    return x.transpose(1, 2).flatten(2)  # (B, L, C)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, L, C) to (B, heads, L, C / heads)."""
    batch, length, width = x.shape
    return x.reshape(batch, length, heads, width // heads).transpose(1, 2)


def to_sequence(x: Tensor) -> Tensor:
    """A feature map (B, C, H, W) as a sequence (B, H*W, C)."""
    return x.flatten(2).transpose(1, 2)


def to_map(x: Tensor, height: int, width: int) -> Tensor:
    """Tokens (B, H * W, C) back to a map (B, C, H, W), row by row."""
    return x.transpose(1, 2).reshape(x.shape[0], -1, height, width)


class CrossAttention(nn.Module):
    """Attention of x over a context; with x itself as the context it is self-attention."""

    def __init__(self, width: int, context_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context_width, width, bias=False)
        self.to_v = nn.Linear(context_width, width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(width, width))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Attend from x (B, L, C) over the context (B, S, D): (B, L, C)."""
        q = self.to_q(x)  # (B, L, C)
        k = self.to_k(context)  # (B, S, C)
        v = self.to_v(context)  # (B, S, C)
        x = attend(q, k, v, self.heads)  # (B, L, C)
        x = self.to_out(x)  # (B, L, C)
        return x


class GEGLU(nn.Module):
    """A linear layer of which one half is gated by the exact GELU of the other."""

    def __init__(self, width: int, inner_width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * inner_width)
        self.gelu = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) to (B, L, inner_width)."""
        x, gate = self.proj(x).chunk(2, dim=-1)  # 2 x (B, L, inner_width)
        x = x * self.gelu(gate)  # (B, L, inner_width)
        return x


class FeedForward(nn.Module):
    """The transformer's MLP: to four times the width, gated, and back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            GEGLU(width, 4 * width),
            nn.Identity(),  # the published network's dropout, so that the linear layer has index 2
            nn.Linear(4 * width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) to (B, L, C)."""
        x = self.net(x)
        return x


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention and MLP, each after a layer norm and with its own residual."""

    def __init__(self, width: int, context_width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-5)
        self.attn1 = CrossAttention(width, width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-5)
        self.attn2 = CrossAttention(width, context_width, heads)
        self.norm3 = nn.LayerNorm(width, eps=1e-5)
        self.ff = FeedForward(width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Refine x (B, L, C) with the context (B, S, D): (B, L, C)."""
        y = self.norm1(x)
        x = x + self.attn1(y, y)  # (B, L, C)
        x = x + self.attn2(self.norm2(x), context)  # (B, L, C)
        x = x + self.ff(self.norm3(x))  # (B, L, C)
        return x


class SpatialTransformer(nn.Module):
    """A transformer over the positions of a feature map, with a residual around all of it."""

    def __init__(self, channels: int, context_width: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels, eps=1e-6)
        self.proj_in = conv1x1(channels, channels)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(channels, context_width, heads)])
        self.proj_out = conv1x1(channels, channels)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Refine x (B, C, H, W) with the context (B, S, D): (B, C, H, W)."""
        h = self.proj_in(self.norm(x))  # (B, C, H, W)
        h = to_sequence(h)  # (B, H*W, C)
        for block in self.transformer_blocks:
            h = block(h, context)  # (B, H*W, C)
        h = h.transpose(1, 2).reshape(x.shape)  # (B, C, H, W)
        x = x + self.proj_out(h)  # (B, C, H, W)
        return x
