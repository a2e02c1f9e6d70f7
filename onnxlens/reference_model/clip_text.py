"""The text encoder of CLIP ViT-L/14 (Radford et al. 2021, arXiv 2103.00020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from onnxlens.reference_model.attention import attend
from onnxlens.reference_model.config import ClipTextConfig


class ClipEmbeddings(nn.Module):
    """The sum of a token's embedding and its position's.

    ``position_ids`` is there because published files hold it; newer ones do not, so ``forward`` counts anew.
    """

    position_ids: Tensor

    def __init__(self, config: ClipTextConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocabulary, config.width)
        self.position_embedding = nn.Embedding(config.positions, config.width)
        self.register_buffer("position_ids", torch.arange(config.positions)[None])  # (1, 77)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, L) to (B, L, C)."""
        positions = torch.arange(tokens.shape[1], device=tokens.device)  # (L,)
        x: Tensor = self.token_embedding(tokens)  # (B, L, C)
        x = x + self.position_embedding(positions)  # (B, L, C)
        return x


class ClipAttention(nn.Module):
    """Self-attention in which a token sees itself and those before it; padding is not masked."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) to (B, L, C)."""
        q, k, v = self.q_proj(x), self.k_proj(x), self.v_proj(x)  # (B, L, C)
        x = attend(q, k, v, self.heads, causal=True)  # (B, L, C)
        x = self.out_proj(x)  # (B, L, C)
        return x


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x), the approximation of GELU that CLIP was trained with."""

    def forward(self, x: Tensor) -> Tensor:
        """Element by element, any shape."""
        return x * torch.sigmoid(1.702 * x)


class ClipMlp(nn.Module):
    """Two linear layers around a quick GELU."""

    def __init__(self, width: int, mlp_width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, mlp_width)
        self.act = QuickGELU()
        self.fc2 = nn.Linear(mlp_width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) to (B, L, C)."""
        x = self.act(self.fc1(x))  # (B, L, 4C)
        x = self.fc2(x)  # (B, L, C)
        return x


class ClipLayer(nn.Module):
    """Attention and MLP, each after a layer norm and with its own residual."""

    def __init__(self, config: ClipTextConfig) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(config.width, eps=1e-5)
        self.self_attn = ClipAttention(config.width, config.heads)
        self.layer_norm2 = nn.LayerNorm(config.width, eps=1e-5)
        self.mlp = ClipMlp(config.width, config.mlp_width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) to (B, L, C)."""
        x = x + self.self_attn(self.layer_norm1(x))  # (B, L, C)
        x = x + self.mlp(self.layer_norm2(x))  # (B, L, C)
        return x


class ClipEncoder(nn.Module):
    """The layers in a row."""

    def __init__(self, config: ClipTextConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ClipLayer(config) for _ in range(config.layers))

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) to (B, L, C)."""
        for layer in self.layers:
            x = layer(x)
        return x


class ClipTextTransformer(nn.Module):
    """Embeddings, encoder and a last norm."""

    def __init__(self, config: ClipTextConfig) -> None:
        super().__init__()
        self.embeddings = ClipEmbeddings(config)
        self.encoder = ClipEncoder(config)
        self.final_layer_norm = nn.LayerNorm(config.width, eps=1e-5)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, L) to the last hidden state, (B, L, C)."""
        x: Tensor = self.embeddings(tokens)  # (B, L, C)
        x = self.encoder(x)  # (B, L, C)
        x = self.final_layer_norm(x)  # (B, L, C)
        return x


class ClipTextModel(nn.Module):
    """The transformer under the name it has in a checkpoint: ``transformer.text_model``."""

    def __init__(self, config: ClipTextConfig) -> None:
        super().__init__()
        self.text_model = ClipTextTransformer(config)

    def forward(self, tokens: Tensor) -> Tensor:
        """What the transformer makes of the tokens."""
        context: Tensor = self.text_model(tokens)
        return context


class ClipText(nn.Module):
    """Tokens to the context that the UNet's cross-attention reads."""

    def __init__(self, config: ClipTextConfig) -> None:
        super().__init__()
        self.transformer = ClipTextModel(config)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, 77) to the context (B, 77, 768)."""
        context: Tensor = self.transformer(tokens)
        return context
