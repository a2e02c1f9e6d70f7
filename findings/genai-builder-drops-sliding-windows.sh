#!/usr/bin/env bash
# onnxruntime-genai 0.18.0 (model builder), onnxruntime 1.32.0 (CPU), transformers 5.24.0, torch 2.13.0.
#
# One would guess: a Mistral whose configuration says `sliding_window` becomes a file whose attention has that window,
# as the builder does for Gemma 2 and gpt-oss, whose layers alternate.
#
# What happens: the builder applies a window only where a family's own code says which layers are local. Mistral and
# Phi-3 slide in every layer and have no such code: every GroupQueryAttention is written with local_window_size -1. There
# is no warning. The file's logits are the network's as long as the sequence is no longer than the window, and others
# behind it.
#
# Why it matters: a counter of MACs and cache bytes that reads the configuration, and one that reads the file, differ by
# context / window in attention and in the cache: Mistral 7B v0.1 (4,096) at 32,768 tokens, 8 times. A test with a short
# prompt sees nothing.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime-genai==0.18.0 onnxruntime==1.32.0 \
    onnx==1.23.2 onnx-ir==1.1.0 transformers==5.24.0 torch==2.13.0
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(onnx|onnxruntime|onnxruntime-genai|torch|transformers) "
cat > "$folder/seen.py" <<'PY'
import contextlib
import io
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
import transformers
from onnxruntime_genai.models.builder import create_model, parse_extra_options
from tokenizers import Tokenizer, models

WINDOW, TOKENS, WORDS = 8, 24, 130
folder = Path(sys.argv[1])
sizes = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
             intermediate_size=96, vocab_size=WORDS, max_position_embeddings=256, sliding_window=WINDOW,
             bos_token_id=2, eos_token_id=1, pad_token_id=3)


def built(name: str):
    """The network, and its file by the builder."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**sizes)
    network = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    source, made = folder / name, folder / f"{name}-onnx"
    network.save_pretrained(source)
    tokenizer = Tokenizer(models.WordLevel({f"w{index}": index for index in range(WORDS)}, unk_token="w0"))
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="w1").save_pretrained(source)
    where = (None, str(source), str(made), "fp32", "cpu", str(folder / "cache"))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        create_model(*where, **parse_extra_options(*where, []))
    return network, made / "model.onnx"


def windows(path: Path) -> list[int]:
    nodes = onnx.load(path, load_external_data=False).graph.node
    return [at.i for node in nodes for at in node.attribute if at.name == "local_window_size"]


network, path = built("Mistral")
ids = torch.randint(4, WORDS, (1, TOKENS))
with torch.no_grad():
    right = network(ids).logits.numpy()
cache = np.zeros((1, 2, 0, 16), np.float32)
feeds = {"input_ids": ids.numpy(), "attention_mask": np.ones((1, TOKENS), np.int64)}
feeds |= {f"past_key_values.{layer}.{kind}": cache for layer in range(2) for kind in ("key", "value")}
session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
error = np.abs(session.run(["logits"], feeds)[0] - right).max(axis=(0, 2)) / np.abs(right).max()
inside, behind = float(error[:WINDOW].max()), float(error[WINDOW:].max())
_, gemma = built("Gemma2")
print("Mistral with sliding_window", WINDOW, "- local_window_size of the file's layers:", windows(path))
print("Gemma 2 with sliding_window", WINDOW, "- local_window_size of the file's layers:", windows(gemma))
print(f"Mistral's logits, largest error over largest logit: {inside:.1e} within the window, {behind:.1e} behind it")
sys.exit(windows(path) != [-1, -1] or windows(gemma) != [WINDOW, -1] or inside > 1e-4 or behind < 1e-2)
PY
if ! "$folder/venv/bin/python" -W ignore "$folder/seen.py" "$folder"; then
    echo "this has changed"
    exit 1
fi
