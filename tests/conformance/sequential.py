"""Small networks over sequences without attention: recurrent layers, embeddings, products, experts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Recurrent(nn.Module):
    """A recurrent layer and a linear one over all of its steps."""

    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0])


def lstm() -> nn.Module:
    return Recurrent(nn.LSTM(5, 7, batch_first=True), 7)


def deep_lstm_in_both_directions() -> nn.Module:
    return Recurrent(nn.LSTM(5, 4, num_layers=2, bidirectional=True), 8)


def gru() -> nn.Module:
    return Recurrent(nn.GRU(5, 7), 7)


def gru_in_both_directions() -> nn.Module:
    return Recurrent(nn.GRU(5, 4, bidirectional=True, batch_first=True), 8)


def plain_recurrent() -> nn.Module:
    return Recurrent(nn.RNN(5, 7, bias=False), 7)


class UnrolledCell(nn.Module):
    """An LSTM cell, step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        hidden = cell = x.new_zeros(x.shape[1], 4)
        for step in x.unbind(0):
            hidden, cell = self.cell(step, (hidden, cell))
        return hidden


class BagOfWords(nn.Module):
    """Embeddings, averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.embedding(tokens).mean(dim=1))


class TiedLanguageModel(nn.Module):
    """The output layer is the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 8)
        self.mix = nn.Linear(8, 8)

    def forward(self, tokens: Tensor) -> Tensor:
        x = F.gelu(self.mix(self.embedding(tokens)), approximate="tanh")
        return x @ self.embedding.weight.T


class MixerBlock(nn.Module):
    """An MLP over positions, then one over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 12), nn.GELU(), nn.Linear(12, 6))
        self.channels = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(x.transpose(1, 2)).transpose(1, 2)  # (B, 6, 8)
        return x + self.channels(x)


class Products(nn.Module):
    """The products of linear algebra under their own names."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        c = torch.bmm(a, b)  # (B, 3, 5)
        c = torch.baddbmm(c, a, b, beta=0.5, alpha=2.0)
        return torch.addmm(c[0], c[1], torch.mm(c[0].T, c[1]))  # (3, 5)


class MatrixAndVector(nn.Module):
    """Products with a vector."""

    def forward(self, matrix: Tensor, vector: Tensor) -> Tensor:
        return torch.mv(matrix, vector) * torch.dot(vector, vector)


class Triple(nn.Module):
    """An einsum of three operands."""

    def __init__(self) -> None:
        super().__init__()
        self.core = nn.Parameter(torch.ones(4, 5, 6))

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return torch.einsum("bi,ijk,bk->bj", left, self.core, right)


class SoftExperts(nn.Module):
    """Every expert sees every token; a gate weighs their outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(8, 3)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(8, 16), nn.SiLU(), nn.Linear(16, 8)) for _ in range(3)
        )

    def forward(self, x: Tensor) -> Tensor:
        gates = self.gate(x).softmax(dim=-1)  # (B, T, 3)
        outputs = torch.stack([expert(x) for expert in self.experts], dim=-1)  # (B, T, 8, 3)
        return torch.einsum("btce,bte->btc", outputs, gates)


class ExpertsThatChoose(nn.Module):
    """Each expert takes its two tokens of the highest score, so that the shapes do not depend on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(8, 3, bias=False)
        self.widen = nn.Parameter(torch.ones(3, 8, 16))
        self.narrow = nn.Parameter(torch.ones(3, 16, 8))

    def forward(self, x: Tensor) -> Tensor:
        weights, chosen = self.gate(x).T.softmax(dim=-1).topk(2, dim=-1)  # (3, 2)
        y = x[chosen] @ self.widen  # (3, 2, 16)
        y = F.relu(y) @ self.narrow * weights[..., None]  # (3, 2, 8)
        return x.index_add(0, chosen.flatten(), y.flatten(0, 1))


class RoutedExperts(nn.Module):
    """Each token goes to one expert, and how many an expert gets depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(8, 2)
        self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        choice = self.gate(x).argmax(dim=-1)
        result = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            (tokens,) = torch.where(choice == number)
            result = result.index_add(0, tokens, expert(x[tokens]))
        return result
