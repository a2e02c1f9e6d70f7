"""Types that a file leaves out, completed by libraries on a skeleton of the model.

``steps`` runs them in turn, ``skeleton`` and ``substitution`` make what they run on, ``folding`` finds the
values of computed shapes, and ``surrogates`` says which operators of ONNX have the types of ONNX Runtime's.
"""

from onnxlens.profile.graph.loading.inference.steps import Inference, complete_types

__all__ = ["Inference", "complete_types"]
