"""ONNX Runtime's own operators: what its optimiser and its tools write in place of ONNX's.

A file per family, as for ONNX's operators, whose formulas these reuse. In com.microsoft: ``fused``,
``attention``, ``linear_attention``, ``blockwise``, ``mixture``, ``quantized``, ``normalization``,
``elementwise``, ``movement``. ``channel_blocks`` and ``channels_last`` hold the domains of other layouts, and
``unlisted`` what ONNX Runtime adds to ONNX's own. ``traffic`` counts bytes.
"""
