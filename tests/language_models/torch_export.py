"""A recipe through torch's exporter: dynamic shapes, every layer's keys and values as inputs and outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networks
import onnx
import torch
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from recipes import Decoder, TextEncoder
from torch import Tensor, nn
from torch.export import Dim
from transformers import DynamicCache

BATCH, SEQUENCE, PAST = 2, 3, 5


class WithCaches(nn.Module):
    """Keys and values as plain tensors, which is what a runtime is given."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, caches: list[Tensor]
    ) -> tuple[Tensor, ...]:
        """The logits, then keys and values of each layer."""
        held = DynamicCache(list(zip(caches[::2], caches[1::2], strict=True)))
        found = self.network(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids,
            past_key_values=held, use_cache=True,
        )  # fmt: skip
        kept = [tensor for layer in found.past_key_values.layers for tensor in (layer.keys, layer.values)]
        return (found.logits, *kept)


def export(recipe: Decoder | TextEncoder, folder: Path, form: str) -> None:
    """Into ``folder/model.onnx``: ``torchOPSET``, then ``-fp16``, or ``-int4`` by ONNX Runtime."""
    folder.mkdir(parents=True, exist_ok=True)
    opset, _, precision = form.removeprefix("torch").partition("-")
    network = networks.network(recipe).to(torch.float16 if precision == "fp16" else torch.float32)
    written = folder / "floats" if precision == "int4" else folder
    written.mkdir(exist_ok=True)
    _write(recipe, network, written, int(opset))
    if precision == "int4":
        model = onnx.load(written / "model.onnx")
        quantizer = MatMulNBitsQuantizer(model, block_size=32, is_symmetric=True)
        quantizer.process()
        quantizer.model.save_model_to_file(str(folder / "model.onnx"), use_external_data_format=True)


def _write(recipe: Decoder | TextEncoder, network: Any, folder: Path, opset: int) -> None:
    if opset >= 23:
        network.set_attn_implementation("sdpa")
    made: dict[str, Any] = {"dynamo": True, "opset_version": opset, "external_data": True, "verbose": False}
    batch, sequence = Dim("batch_size"), Dim("sequence_length")
    if isinstance(recipe, TextEncoder):
        ids = torch.ones(BATCH, SEQUENCE, dtype=torch.int64)
        made |= {"input_names": ["input_ids"], "output_names": ["last_hidden_state", "pooler_output"]}
        torch.onnx.export(
            network, (ids,), folder / "model.onnx", **made,
            dynamic_shapes={"input_ids": {0: batch, 1: sequence}},
        )  # fmt: skip
        return
    past, total = Dim("past_sequence_length"), Dim("total_sequence_length")
    names = [f"{index}.{kind}" for index in range(len(recipe.layers)) for kind in ("key", "value")]
    ids = torch.ones(BATCH, SEQUENCE, dtype=torch.int64)
    mask = torch.ones(BATCH, PAST + SEQUENCE, dtype=torch.int64)
    positions = torch.arange(PAST, PAST + SEQUENCE).expand(BATCH, -1)
    empty = torch.zeros(BATCH, recipe.kv_heads, PAST, recipe.head, dtype=network.dtype)
    caches = [empty.clone() for _ in names]
    shapes = {
        "input_ids": {0: batch, 1: sequence},
        "attention_mask": {0: batch, 1: total},
        "position_ids": {0: batch, 1: sequence},
        "caches": [{0: batch, 2: past} for _ in names],
    }
    made |= {
        "input_names": ["input_ids", "attention_mask", "position_ids"]
        + [f"past_key_values.{name}" for name in names],
        "output_names": ["logits", *(f"present.{name}" for name in names)],
    }
    arguments = (ids, mask, positions, caches)
    with torch.no_grad():
        torch.onnx.export(
            WithCaches(network), arguments, folder / "model.onnx", **made, dynamic_shapes=shapes
        )
