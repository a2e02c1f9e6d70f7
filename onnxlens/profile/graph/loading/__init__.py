"""From an ONNX file to a Graph, without reading its weights.

``loader`` composes the steps: ``model_file`` reads the file, ``fixing`` fixes what is open in its inputs, the
package ``inference`` completes the types, ``views`` turns nodes and values into plain data, and ``bodies``
knows what runs inside If, Loop, Scan and SequenceMap.
"""

from onnxlens.profile.graph.loading.loader import LoadedFile, load_graph

__all__ = ["LoadedFile", "load_graph"]
