"""The networks of the recipes, from Hugging Face's classes: random weights from a seed, nothing downloaded.

Runs in the environment that ``environment.py`` makes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from recipes import CONTEXT, Decoder, Speech, TextEncoder
from tokenizers import Tokenizer, models, pre_tokenizers

_SMALL_VISION = {
    "depth": 1,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_heads": 2,
    "out_hidden_size": 32,
}
"""The builder takes a Qwen 3.5 with its eyes alone, and leaves them out."""


def network(recipe: Decoder | Speech | TextEncoder) -> Any:
    """The module of a recipe; no two of its tensors are equal, or torch's exporter would write them once."""
    torch.manual_seed(0)
    made = _made(recipe)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) / 50)
    return made.eval()


def _made(recipe: Decoder | Speech | TextEncoder) -> Any:
    if isinstance(recipe, Speech):
        return transformers.WhisperForConditionalGeneration(_whisper(recipe))
    if isinstance(recipe, TextEncoder):
        return transformers.CLIPTextModel(_clip(recipe))
    head, config, more = _CLASSES[recipe.family]
    made = getattr(transformers, config)(**_common(recipe), **more(recipe))
    if recipe.family == "qwen3_5":
        made = transformers.Qwen3_5Config(text_config=made.to_dict(), vision_config=_SMALL_VISION)
        made.tie_word_embeddings = recipe.tied
    made.architectures = [head]
    made._attn_implementation = "eager"
    return getattr(transformers, head)(made)


def save(recipe: Decoder | Speech | TextEncoder, folder: Path) -> None:
    """As a folder that the model builder reads: configuration, weights, a tokenizer."""
    network(recipe).save_pretrained(folder)
    words = {f"w{index}": index for index in range(recipe.vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="w1", bos_token="w2", pad_token="w3"
    ).save_pretrained(folder)


def _common(recipe: Decoder) -> dict[str, Any]:
    """What most configurations call alike."""
    return {
        "hidden_size": recipe.hidden,
        "num_hidden_layers": len(recipe.layers),
        "num_attention_heads": recipe.heads,
        "num_key_value_heads": recipe.kv_heads,
        "head_dim": recipe.head,
        "intermediate_size": recipe.inner,
        "vocab_size": recipe.vocabulary,
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": recipe.tied,
        "bos_token_id": 2,
        "eos_token_id": 1,
        "pad_token_id": 3,
    }


def _kinds(recipe: Decoder) -> list[str]:
    names = {
        "full": "full_attention", "sliding": "sliding_attention", "linear": "linear_attention",
        "convolution": "conv",
    }  # fmt: skip
    return [names[layer] for layer in recipe.layers]


def _sliding(recipe: Decoder) -> dict[str, Any]:
    return {"layer_types": _kinds(recipe), "sliding_window": recipe.window}


def _gemma(recipe: Decoder) -> dict[str, Any]:
    return {**_sliding(recipe), "query_pre_attn_scalar": recipe.head}


def _gptoss(recipe: Decoder) -> dict[str, Any]:
    experts = recipe.experts
    assert experts
    return {**_sliding(recipe), "num_local_experts": experts.count, "num_experts_per_tok": experts.active}


def _gpt2(recipe: Decoder) -> dict[str, Any]:
    return {
        "n_embd": recipe.hidden, "n_layer": len(recipe.layers), "n_head": recipe.heads,
        "n_inner": recipe.inner, "n_positions": recipe.positions,
    }  # fmt: skip


def _opt(recipe: Decoder) -> dict[str, Any]:
    return {"ffn_dim": recipe.inner, "word_embed_proj_dim": recipe.hidden}


def _lfm2(recipe: Decoder) -> dict[str, Any]:
    return {
        "layer_types": _kinds(recipe), "conv_L_cache": recipe.taps, "block_auto_adjust_ff_dim": False,
        "conv_bias": False,
    }  # fmt: skip


def _qwen3_5(recipe: Decoder) -> dict[str, Any]:
    linear = recipe.linear
    assert linear
    return {
        "layer_types": _kinds(recipe),
        "linear_num_key_heads": linear.key_heads,
        "linear_num_value_heads": linear.value_heads,
        "linear_key_head_dim": linear.head,
        "linear_value_head_dim": linear.head,
        "linear_conv_kernel_dim": linear.taps,
    }


def _nothing(recipe: Decoder) -> dict[str, Any]:
    return {}


_CLASSES: Mapping[str, tuple[str, str, Callable[[Decoder], dict[str, Any]]]] = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", _nothing),
    "mistral": ("MistralForCausalLM", "MistralConfig", lambda recipe: {"sliding_window": None}),
    "phi3": ("Phi3ForCausalLM", "Phi3Config", lambda recipe: {"original_max_position_embeddings": CONTEXT}),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", _nothing),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", _nothing),
    "gemma2": ("Gemma2ForCausalLM", "Gemma2Config", _gemma),
    "gemma3": ("Gemma3ForCausalLM", "Gemma3TextConfig", _gemma),
    "gptoss": ("GptOssForCausalLM", "GptOssConfig", _gptoss),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", _gpt2),
    "opt": ("OPTForCausalLM", "OPTConfig", _opt),
    "lfm2": ("Lfm2ForCausalLM", "Lfm2Config", _lfm2),
    "qwen3_5": ("Qwen3_5ForConditionalGeneration", "Qwen3_5TextConfig", _qwen3_5),
}


def _whisper(recipe: Speech) -> Any:
    return transformers.WhisperConfig(
        d_model=recipe.hidden, vocab_size=recipe.vocabulary, num_mel_bins=recipe.bins,
        encoder_layers=recipe.layers, decoder_layers=recipe.layers,
        encoder_attention_heads=recipe.heads, decoder_attention_heads=recipe.heads,
        encoder_ffn_dim=recipe.inner, decoder_ffn_dim=recipe.inner,
        max_source_positions=recipe.sound_positions, max_target_positions=recipe.text_positions,
        bos_token_id=2, eos_token_id=1, pad_token_id=3, decoder_start_token_id=2,
    )  # fmt: skip


def _clip(recipe: TextEncoder) -> Any:
    return transformers.CLIPTextConfig(
        hidden_size=recipe.hidden, intermediate_size=recipe.inner, num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads, vocab_size=recipe.vocabulary,
        max_position_embeddings=recipe.positions, bos_token_id=2, eos_token_id=1, pad_token_id=3,
    )  # fmt: skip
