"""Types that a file leaves out, completed by libraries on a skeleton of the model.

``steps`` runs them in turn, ``skeleton`` makes what they run on, ``folding`` finds the values of computed
shapes, and ``surrogates`` puts operators of ONNX in the place of ONNX Runtime's that have the same types.
"""

from onnxlens.profile.graph.loading.inference.memo import Memo
from onnxlens.profile.graph.loading.inference.steps import Inference, complete_types, types_at_other_sizes

__all__ = ["Inference", "Memo", "complete_types", "types_at_other_sizes"]
