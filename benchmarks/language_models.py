"""What counters say of language models at 4 bits, and at what cost: see docs/benchmarks.md.

``python benchmarks/language_models.py --peers PYTHON --out docs/benchmarks.md``, where PYTHON is that of an
environment with what ``PEERS`` lists.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from contenders import ENTRY
from environment import ROOT, conditions, environment
from language_graphs import CONFIGS, Config, write_language_model
from measuring import Contender, Result, Sample, Unfinished, run_once
from page import markdown, put

sys.path.insert(0, str(ROOT))
from tests.language_models.closed_forms import decoder_macs, decoder_params, weight_bytes  # noqa: E402
from tests.language_models.recipes import Decoder  # noqa: E402

PEERS = "onnx-tool==1.0.1 onnxsim==0.8.1 calflops==0.3.2 transformers==5.24.0 torch==2.13.0 onnx==1.23.2"
MODELS = ("llama-3.1-8b", "qwen3-4b")
PROMPT, CONTEXT = 1024, 8192
OURS, PEER, SIMPLIFIER, MODULES = "onnxlens profile", "onnx-tool", "onnxsim's ModelInfo", "calflops"
BY_HAND = "by hand"
UNKNOWN = "-"

_PEER = """
import json, sys
import numpy, onnx, onnx_tool
path, sizes = sys.argv[1], json.loads(sys.argv[2])
model = onnx.load(path, load_external_data=False)
inputs = {}
for value in model.graph.input:
    kind = value.type.tensor_type
    shape = [dim.dim_value or sizes[dim.dim_param] for dim in kind.shape.dim]
    inputs[value.name] = numpy.ones(shape, onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
model = onnx_tool.Model(model)
model.graph.shape_infer(inputs)
model.graph.profile()
print(json.dumps({"macs": int(model.graph.macs), "params": int(model.graph.params)}))
"""

_SIMPLIFIER = """
import json, sys
import onnx
from onnxsim.model_info import ModelInfo
found = ModelInfo(onnx.load(sys.argv[1], load_external_data=False))
print(json.dumps({"macs": int(found.macs), "bytes": int(found.model_size)}))
"""

_MODULES = """
import json, sys
import torch, transformers
from calflops import calculate_flops
family, tokens, past, sizes = sys.argv[1], *map(int, sys.argv[2:4]), json.loads(sys.argv[4])
config = getattr(transformers, f"{family}Config")(**sizes)


class Step(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.network = getattr(transformers, f"{family}ForCausalLM")(config)

    def forward(self, input_ids):
        kept = torch.zeros(1, config.num_key_value_heads, past, config.head_dim)
        cache = transformers.DynamicCache([(kept, kept)] * config.num_hidden_layers) if past else None
        return self.network(input_ids, past_key_values=cache, use_cache=True).logits


with torch.device("meta"):
    ids = torch.ones(1, tokens, dtype=torch.int64)
    _, macs, params = calculate_flops(Step().eval(), kwargs={"input_ids": ids}, print_results=False,
                                      print_detailed=False, output_as_string=False)
print(json.dumps({"macs": int(macs), "params": int(params)}))
"""


@dataclass(frozen=True)
class Phase:
    """New tokens, after those in the cache."""

    tokens: int
    past: int

    @property
    def title(self) -> str:
        """As the table has it."""
        return f"a step after {self.past:,}" if self.past else f"a prompt of {self.tokens:,}"


PHASES = (Phase(PROMPT, 0), Phase(1, CONTEXT))


def recipe(config: Config) -> Decoder:
    """For the closed forms."""
    return Decoder(
        "", config.hidden, config.heads, config.shared_heads, config.head, config.mlp, config.vocabulary,
        ("full",) * config.layers, tied=config.tied, head_norms=config.normed_heads,
    )  # fmt: skip


def commands(path: Path, config: Config, phase: Phase, peers: str) -> Iterator[Contender]:
    """Each counter's own way to say what a phase of the file takes; calflops gets the network."""
    sizes = {"batch_size": 1, "sequence_length": phase.tokens, "past_sequence_length": phase.past}
    dims = [f"--dim={name}={size}" for name, size in sizes.items()]
    yield Contender(OURS, [sys.executable, "-c", ENTRY, "profile", str(path), "--format", "json", *dims])
    sizes |= {"total_sequence_length": phase.tokens + phase.past, "kv_cache_dim": config.head}
    peer = [peers, "-W", "ignore", "-c"]
    yield Contender(PEER, [*peer, _PEER, str(path), json.dumps(sizes)])
    yield Contender(SIMPLIFIER, [*peer, _SIMPLIFIER, str(path)])
    network = {
        "hidden_size": config.hidden, "num_hidden_layers": config.layers, "head_dim": config.head,
        "num_attention_heads": config.heads, "num_key_value_heads": config.shared_heads,
        "intermediate_size": config.mlp, "vocab_size": config.vocabulary, "tie_word_embeddings": config.tied,
        "max_position_embeddings": config.positions,
    }  # fmt: skip
    family = "Qwen3" if config.normed_heads else "Llama"
    yield Contender(
        MODULES, [*peer, _MODULES, family, str(phase.tokens), str(phase.past), json.dumps(network)]
    )


def asked(contender: Contender, runs: int) -> tuple[Mapping[str, object], Sequence[Sample]]:
    """The figures that a counter prints, or its complaint, and what it took; only our own is run again."""
    samples: list[Sample] = []
    totals: Mapping[str, object] = {}
    for _ in range(runs if contender.title == OURS else 1):
        with TemporaryFile() as output:
            try:
                samples.append(run_once(contender, environment(), output))
            except Unfinished as reason:
                return {"failure": str(reason)}, ()
            output.seek(0)
            text = output.read().decode()
        document = json.loads(text[text.index("{") :])
        totals = document.get("totals", document)
    print(f"{contender.title}: {samples[-1].cpu_s:.1f} s", file=sys.stderr)
    return totals, samples


def rows(path: Path, config: Config, phase: Phase, peers: str, runs: int) -> Iterator[Sequence[str]]:
    """A line for the closed form and one for each counter."""
    model = recipe(config)
    params, macs = decoder_params(model), decoder_macs(model, phase.tokens, phase.past).total
    held = weight_bytes(params, 2, 4, tied=config.tied) + 2 * config.positions * config.head
    yield phase.title, BY_HAND, f"{macs:,}", f"{params.total:,}", f"{held:,}", UNKNOWN, UNKNOWN, UNKNOWN
    for contender in commands(path, config, phase, peers):
        found, samples = asked(contender, runs)
        weights = found.get("resident_weight_bytes", found.get("bytes"))
        figures = (_figure(found.get("macs")), _figure(found.get("params")), _figure(weights))
        if "failure" in found:
            figures = (f"`{str(found['failure'])[:90]}`", UNKNOWN, UNKNOWN)
        yield phase.title, contender.title, *figures, *_cost(Result(contender.title, tuple(samples)))


def _figure(value: object) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def _cost(result: Result) -> tuple[str, str, str]:
    if not result.samples:
        return UNKNOWN, UNKNOWN, UNKNOWN
    return f"{result.wall_s:.2f} s", f"{result.cpu_s:.2f} s", f"{result.peak_bytes / 2**20:,.0f} MiB"


HEAD = ("", "", "MACs", "params", "bytes of weights and tables", "wall", "CPU", "peak memory")

INTRODUCTION = f"""# What counters say of language models

```
python benchmarks/language_models.py --peers PYTHON --out docs/benchmarks.md
```

writes two graphs at 4 bits in the layout of onnxruntime-genai's builder, of the sizes of Llama 3.1 8B and
Qwen3 4B and without their weights, and asks each counter for a prompt of {PROMPT:,} tokens and for a step of
decoding after {CONTEXT:,}, batch 1. *By hand* are closed forms (`tests/language_models/closed_forms.py`),
which know the configuration and nothing of the file. PYTHON has `{PEERS}`.
calflops reads no file: it is given the network of the same configuration, on PyTorch's meta device.

None of the three counts attention. onnx-tool has to read the weights, which are absent here; where they are
there (a small model of the builder) it stops at `SimplifiedLayerNormalization`, for which it has no rule.
onnxsim knows neither products with packed weights nor fused attention, and says 0, whatever the sizes.
calflops has the projections and the head; `scaled_dot_product_attention` adds nothing to its MACs: the
longer the context, the less of a step it has.
"""


def main() -> None:
    """Write the graphs, ask, measure, and write or print the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", required=True, help="the Python that has the peers")
    parser.add_argument("--runs", type=int, default=3, help="runs of onnxlens, whose median counts [3]")
    parser.add_argument("--out", type=Path, help="put it into this page instead of printing it")
    chosen = parser.parse_args()
    named = conditions(("onnxlens", "onnx"))
    parts = [INTRODUCTION]
    with TemporaryDirectory(prefix="onnxlens-") as folder:
        for name in MODELS:
            path = write_language_model(Path(folder) / f"{name}.onnx", CONFIGS[name])
            lines = [
                row for phase in PHASES for row in rows(path, CONFIGS[name], phase, chosen.peers, chosen.runs)
            ]
            parts += [f"## {name}\n", markdown(HEAD, lines)]
    listed = "; ".join(f"{key}: {value}" for key, value in named.items())
    parts.append(f"Measured on {listed}; onnxlens the median of {chosen.runs} runs, the others one.\n")
    text = "\n".join(parts)
    if chosen.out:
        put(chosen.out, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
