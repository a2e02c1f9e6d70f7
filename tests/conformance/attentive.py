"""Small networks whose work is attention, in the forms in which it is written."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEADS, WIDTH = 2, 8
HEAD = WIDTH // HEADS


class SelfAttention(nn.Module):
    """PyTorch's fused attention between four linear layers."""

    def __init__(self, key_value_heads: int = HEADS, **options: Any) -> None:
        super().__init__()
        self.key_value_heads = key_value_heads
        self.options = options
        self.q = nn.Linear(WIDTH, WIDTH)
        self.k = nn.Linear(WIDTH, key_value_heads * HEAD)
        self.v = nn.Linear(WIDTH, key_value_heads * HEAD)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        q = self.q(x).unflatten(-1, (HEADS, HEAD)).transpose(1, 2)  # (B, H, T, D)
        k = self.k(x).unflatten(-1, (self.key_value_heads, HEAD)).transpose(1, 2)
        v = self.v(x).unflatten(-1, (self.key_value_heads, HEAD)).transpose(1, 2)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, **self.options)
        return self.out(y.transpose(1, 2).flatten(2))


def causal() -> nn.Module:
    return SelfAttention(is_causal=True)


def grouped_queries() -> nn.Module:
    return SelfAttention(key_value_heads=1, enable_gqa=True)


def scaled() -> nn.Module:
    return SelfAttention(scale=0.25)


class CrossAttention(nn.Module):
    """Attention to another sequence, of another width, by PyTorch's layer for it."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, kdim=6, vdim=6, batch_first=True)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        return x + self.attention(x, context, context, need_weights=False)[0]


class AttentionWithWeights(nn.Module):
    """PyTorch's layer with its attention weights returned, which decomposes the fused attention."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        result, weights = self.attention(x, x, x)
        return result, weights


class EinsumAttention(nn.Module):
    """Written out, with einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, HEADS, HEAD)).unbind(2)  # (B, T, H, D)
        scores = torch.einsum("bihd,bjhd->bhij", q, k) * HEAD**-0.5
        return torch.einsum("bhij,bjhd->bihd", scores.softmax(-1), v).flatten(2)


class RotaryAttention(nn.Module):
    """Rotary embedding: queries and keys are rotated by their position."""

    angles: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        steps = torch.arange(6.0)[:, None] / 10.0 ** torch.arange(HEAD // 2)
        self.register_buffer("angles", torch.cat((steps, steps), dim=-1))

    def turned(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, dim=-1)
        return x * self.angles.cos() + torch.cat((-second, first), dim=-1) * self.angles.sin()

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, HEADS, HEAD)).permute(2, 0, 3, 1, 4)  # (B, H, T, D)
        y = F.scaled_dot_product_attention(self.turned(q), self.turned(k), v)
        return y.transpose(1, 2).flatten(2)


class LinearAttention(nn.Module):
    """Keys and values are multiplied first: no scores, and work linear in the length."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        q, k = F.elu(self.q(x)) + 1, F.elu(self.k(x)) + 1  # (B, T, C)
        memory = k.transpose(1, 2) @ self.v(x)  # (B, C, C)
        norm = q @ k.sum(dim=1)[..., None]  # (B, T, 1)
        return q @ memory / norm


def encoder_layer() -> nn.Module:
    return nn.TransformerEncoderLayer(WIDTH, HEADS, 16, batch_first=True, norm_first=True)


def decoder_layer() -> nn.Module:
    return nn.TransformerDecoderLayer(WIDTH, HEADS, 16, batch_first=True, activation="gelu")


class ViT(nn.Module):
    """Patches, a class token, positions, two encoder layers, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 4, stride=4)
        self.token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.positions = nn.Parameter(torch.zeros(1, 17, WIDTH))
        self.layers = nn.ModuleList(encoder_layer() for _ in range(2))
        self.head = nn.Linear(WIDTH, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = self.patches(image).flatten(2).transpose(1, 2)  # (B, 16, C)
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), dim=1) + self.positions
        for layer in self.layers:
            x = layer(x)
        return self.head(x[:, 0])


class ConformerBlock(nn.Module):
    """Half a feed-forward, attention, a gated depthwise convolution, half a feed-forward."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = (
            nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 16), nn.SiLU(), nn.Linear(16, WIDTH))
            for _ in range(2)
        )
        self.attention = SelfAttention()
        self.enter = nn.Conv1d(WIDTH, 2 * WIDTH, 1)
        self.depthwise = nn.Conv1d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH)
        self.norm = nn.BatchNorm1d(WIDTH)
        self.leave = nn.Conv1d(WIDTH, WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x + 0.5 * self.before(x)
        x = x + self.attention(x)  # (B, T, C)
        y = F.glu(self.enter(x.transpose(1, 2)), dim=1)  # (B, C, T)
        x = x + self.leave(F.silu(self.norm(self.depthwise(y)))).transpose(1, 2)
        return x + 0.5 * self.after(x)
