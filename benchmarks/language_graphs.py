"""Graphs of language models as onnxruntime-genai's builder lays them out at 4 bits, without weights.

``python benchmarks/language_graphs.py FOLDER [NAME ..]`` writes real sizes in a few hundred kilobytes: the
data file that the initializers point into is absent, and counting reads none of it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx
from onnx import NodeProto, TensorProto, helper

MICROSOFT = "com.microsoft"
BLOCK = 32
"""Weights that share a scale."""


@dataclass(frozen=True)
class Config:
    """The sizes that a model's config.json has."""

    hidden: int
    layers: int
    heads: int
    shared_heads: int
    head: int
    mlp: int
    vocabulary: int
    positions: int
    tied: bool = False
    normed_heads: bool = False
    dtype: str = "FLOAT16"


CONFIGS = {
    "llama-3.1-8b": Config(4096, 32, 32, 8, 128, 14336, 128256, 131072),
    "qwen3-4b": Config(2560, 36, 32, 8, 128, 9728, 151936, 40960, tied=True, normed_heads=True),
    "llama-small": Config(256, 2, 8, 2, 32, 704, 520, 4096, dtype="FLOAT"),
    "qwen3-small": Config(256, 2, 8, 2, 32, 704, 520, 4096, tied=True, normed_heads=True, dtype="FLOAT"),
}
"""Of the models that they are named for, but for the small ones, which are to be run."""


@dataclass
class Writer:
    """Collects the nodes and weights of one graph."""

    config: Config
    nodes: list[NodeProto] = field(default_factory=list)
    weights: dict[str, TensorProto] = field(default_factory=dict)
    between: list[onnx.ValueInfoProto] = field(default_factory=list)
    offset: int = 0

    @property
    def dtype(self) -> int:
        """Of floats, by ONNX's number."""
        return TensorProto.DataType.Value(self.config.dtype)

    def node(
        self, op_type: str, name: str, inputs: Sequence[str], *outputs: str, width: int = 0, **attributes: Any
    ) -> str:
        """Add one, and return its first output; ``width`` is what that has per token, if it has."""
        made = outputs or (f"{name}/output_0",)
        for value in (made[0], *made[3:]) if width and made[0] != "logits" else ():
            shape = ["batch_size", "sequence_length", width]
            self.between.append(helper.make_tensor_value_info(value, self.dtype, shape))
        domain = MICROSOFT if op_type in OWN else ""
        self.nodes.append(helper.make_node(op_type, inputs, made, name, domain=domain, **attributes))
        return made[0]

    def weight(self, name: str, shape: Sequence[int], dtype: int | None = None) -> str:
        """Add one whose data are in the file that is absent."""
        kind = self.dtype if dtype is None else dtype
        tensor = TensorProto(name=name, data_type=kind, dims=shape, data_location=TensorProto.EXTERNAL)
        length = helper.tensor_dtype_to_np_dtype(kind).itemsize
        for size in shape:
            length *= size
        for key, value in (("location", "model.onnx.data"), ("offset", self.offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        self.offset += length
        self.weights[name] = tensor
        return name

    def constant(self, name: str, values: Sequence[int], *, scalar: bool = False) -> str:
        """Add a Constant of whole numbers."""
        value = helper.make_tensor(name, TensorProto.INT64, [] if scalar else [len(values)], values)
        return self.node("Constant", f"{name}/node", [], name, value=value)

    def packed(self, name: str, outputs: int, inputs: int) -> list[str]:
        """The 4-bit weight and its scales."""
        blocks = inputs // BLOCK
        return [
            self.weight(f"{name}.MatMul.weight_Q4", (outputs, blocks, BLOCK // 2), TensorProto.UINT8),
            self.weight(f"{name}.MatMul.weight_scales", (outputs, blocks)),
        ]

    def product(self, value: str, path: str, outputs: int, inputs: int, *, out: str = "") -> str:
        """A product with a 4-bit weight."""
        name = f"/{path.replace('.', '/').replace('layers/', 'layers.')}"
        made = [out] if out else [f"{name}/MatMul/output_0"]
        how = {"K": inputs, "N": outputs, "bits": 4, "block_size": BLOCK}
        how["accuracy_level"] = 4 if self.config.dtype == "FLOAT" else 0
        return self.node(
            "MatMulNBits", f"{name}/MatMul_Q4", [value, *self.packed(path, outputs, inputs)], *made,
            width=outputs, **how,
        )  # fmt: skip


OWN = frozenset(
    {
        "MatMulNBits", "GatherBlockQuantized", "GroupQueryAttention", "SkipSimplifiedLayerNormalization",
    }
)  # fmt: skip


def write_language_model(path: Path, config: Config) -> Path:
    """The graph of one, at ``path``."""
    writer = Writer(config)
    lengths = _lengths(writer)
    states = _embedded(writer)
    skip = ""
    for layer in range(config.layers):
        states, skip = _layer(writer, layer, states, skip, lengths)
    states, _ = _normed(writer, f"model.layers.{config.layers}.final_norm_layernorm", states, skip)
    if config.tied:
        table = [name for name in writer.weights if name.startswith("lm_head")]
        how = {"K": config.hidden, "N": config.vocabulary, "bits": 4, "block_size": BLOCK}
        writer.node("MatMulNBits", "/lm_head/MatMul_Q4", [states, *table], "logits", **how)
    else:
        writer.product(states, "lm_head", config.vocabulary, config.hidden, out="logits")
    inputs, outputs = zip(*_caches(writer), strict=True)
    mask = ["batch_size", "total_sequence_length"]
    graph = helper.make_graph(
        writer.nodes,
        "main_graph",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch_size", "sequence_length"]),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, mask),
            *inputs,
        ],
        [
            helper.make_tensor_value_info(
                "logits", writer.dtype, ["batch_size", "sequence_length", config.vocabulary]
            ),
            *outputs,
        ],
        list(writer.weights.values()),
        value_info=writer.between,
    )
    opsets = [helper.make_opsetid("", 22), helper.make_opsetid(MICROSOFT, 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


def _lengths(writer: Writer) -> list[str]:
    """The valid keys less one, and the length of all: both are read off the mask."""
    where = "/model/attn_mask_reformat/attn_mask_subgraph"
    one = writer.constant("/model/constants/INT64/[1]", [1])
    total = writer.node("ReduceSum", f"{where}/ReduceSum", ["attention_mask", one], keepdims=0)
    less = writer.node("Sub", f"{where}/Sub", [total, one])
    valid = writer.node("Cast", f"{where}/Sub/Cast", [less], to=TensorProto.INT32)
    shape = writer.node("Shape", f"{where}/Shape", ["attention_mask"])
    index = writer.constant("/model/constants/INT64/1", [1], scalar=True)
    length = writer.node("Gather", f"{where}/Gather", [shape, index], axis=0)
    return [valid, writer.node("Cast", f"{where}/Gather/Cast", [length], to=TensorProto.INT32)]


def _embedded(writer: Writer) -> str:
    config = writer.config
    name = "/model/embed_tokens"
    if not config.tied:
        table = writer.weight("model.embed_tokens.weight", (config.vocabulary, config.hidden))
        return writer.node("Gather", f"{name}/Gather", [table, "input_ids"], width=config.hidden)
    packed, scales = writer.packed("lm_head", config.vocabulary, config.hidden)
    flat = writer.constant("/model/constants/table", [config.vocabulary, config.hidden // 2])
    table = writer.node("Reshape", f"{name}/Reshape", [packed, flat])
    how = {"gather_axis": 0, "quantize_axis": 1, "bits": 4, "block_size": BLOCK}
    return writer.node(
        "GatherBlockQuantized",
        f"{name}/GatherBlockQuantized",
        [table, "input_ids", scales],
        width=config.hidden,
        **how,
    )


def _normed(writer: Writer, path: str, states: str, skip: str) -> tuple[str, str]:
    """The states after a norm, and what the residual goes on with; ``skip`` is added before."""
    name = f"/{path.replace('.', '/').replace('layers/', 'layers.')}"
    scale = writer.weight(f"{path}.weight", (writer.config.hidden,))
    out = f"{name}/output_0"
    if not skip:
        how = {"axis": -1, "epsilon": 1e-5, "stash_type": 1}
        writer.node(
            "SimplifiedLayerNormalization",
            f"{name}/LayerNorm",
            [states, scale],
            out,
            width=writer.config.hidden,
            **how,
        )
        return out, states
    added = f"{name}/output_3"
    writer.node(
        "SkipSimplifiedLayerNormalization", f"{name}/SkipLayerNorm", [skip, states, scale],
        out, "", "", added, width=writer.config.hidden, epsilon=1e-5,
    )  # fmt: skip
    return out, added


def _layer(writer: Writer, layer: int, states: str, skip: str, lengths: Sequence[str]) -> tuple[str, str]:
    config, path = writer.config, f"model.layers.{layer}"
    normed, skip = _normed(writer, f"{path}.input_layernorm", states, skip)
    width = config.heads * config.head
    packed = (config.heads + 2 * config.shared_heads) * config.head
    qkv = writer.product(normed, f"{path}.attn.qkv_proj", packed, config.hidden)
    mixed = _attention(writer, layer, qkv, lengths)
    out = writer.product(mixed, f"{path}.attn.o_proj", config.hidden, width)
    normed, skip = _normed(writer, f"{path}.post_attention_layernorm", out, skip)
    name = f"/model/layers.{layer}/mlp"
    gate = writer.product(normed, f"{path}.mlp.gate_proj", config.mlp, config.hidden)
    up = writer.product(normed, f"{path}.mlp.up_proj", config.mlp, config.hidden)
    curved = writer.node("Sigmoid", f"{name}/act_fn/Sigmoid", [gate], width=config.mlp)
    active = writer.node("Mul", f"{name}/act_fn/Mul", [gate, curved], width=config.mlp)
    both = writer.node("Mul", f"{name}/Mul", [active, up], width=config.mlp)
    return writer.product(both, f"{path}.mlp.down_proj", config.hidden, config.mlp), skip


def _attention(writer: Writer, layer: int, qkv: str, lengths: Sequence[str]) -> str:
    config, name = writer.config, f"/model/layers.{layer}/attn"
    parts = [qkv, "", ""]
    if config.normed_heads:
        widths = [config.heads * config.head, *[config.shared_heads * config.head] * 2]
        sizes = writer.constant(f"/model/constants/widths/{layer}", widths)
        parts = [f"{name}/Split/output_{place}" for place in range(3)]
        writer.node("Split", f"{name}/Split", [qkv, sizes], *parts, axis=-1)
        for place, letter in enumerate("qk"):
            parts[place] = _per_head(writer, layer, letter, parts[place], widths[place])
    if "cos_cache" not in writer.weights:
        for table in ("cos_cache", "sin_cache"):
            writer.weight(table, (config.positions, config.head // 2))
    caches = [f"past_key_values.{layer}.{each}" for each in ("key", "value")]
    inputs = [*parts, *caches, *lengths, "cos_cache", "sin_cache"]
    made = [f"{name}/GroupQueryAttention/output_0", f"present.{layer}.key", f"present.{layer}.value"]
    how: dict[str, Any] = {"num_heads": config.heads, "kv_num_heads": config.shared_heads, "do_rotary": 1}
    how |= {"scale": config.head**-0.5, "local_window_size": -1, "softcap": 0.0, "rotary_interleaved": 0}
    return writer.node(
        "GroupQueryAttention",
        f"{name}/GroupQueryAttention",
        inputs,
        *made,
        width=config.heads * config.head,
        **how,
    )


def _per_head(writer: Writer, layer: int, letter: str, value: str, width: int) -> str:
    """A norm over each head of the queries or keys."""
    config, name = writer.config, f"/model/layers.{layer}/attn/{letter}_norm"
    wide = writer.constant(f"/model/constants/{letter}/{layer}/heads", [0, -1, config.head])
    flat = writer.constant(f"/model/constants/{letter}/{layer}/flat", [0, -1, width])
    scale = writer.weight(f"model.layers.{layer}.attn.{letter}_norm.layernorm.weight", (config.head,))
    split = writer.node("Reshape", f"{name}/Reshape_1", [value, wide])
    how = {"axis": -1, "epsilon": 1e-6, "stash_type": 1}
    normed = writer.node(
        "SimplifiedLayerNormalization", f"{name}/SimplifiedLayerNormalization", [split, scale], **how
    )
    return writer.node("Reshape", f"{name}/Reshape_2", [normed, flat], width=width)


def _caches(writer: Writer) -> Iterator[tuple[onnx.ValueInfoProto, onnx.ValueInfoProto]]:
    """Of each layer its keys and values, as they come in and go out."""
    config = writer.config
    for layer in range(config.layers):
        for each in ("key", "value"):
            past, present = (
                helper.make_tensor_value_info(
                    name, writer.dtype, ["batch_size", config.shared_heads, length, "kv_cache_dim"]
                )
                for name, length in (
                    (f"past_key_values.{layer}.{each}", "past_sequence_length"),
                    (f"present.{layer}.{each}", "total_sequence_length"),
                )
            )
            yield past, present


def main() -> None:
    """Write those that are named, or all."""
    folder, *names = sys.argv[1:]
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name in names or CONFIGS:
        print(write_language_model(Path(folder) / f"{name}-int4.onnx", replace(CONFIGS[name])))


if __name__ == "__main__":
    main()
