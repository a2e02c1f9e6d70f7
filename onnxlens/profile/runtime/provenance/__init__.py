"""Which source nodes, and which module, every node stands for that ONNX Runtime really runs.

``runtime_graph`` reads the graph that a session saves, ``claims`` finds the source nodes of each of its
nodes, ``owners`` tells kind and module, and ``events`` joins them to the runtime's profile.
"""

from onnxlens.profile.runtime.provenance.events import match_events, own_times_us
from onnxlens.profile.runtime.provenance.owners import origins_of
from onnxlens.profile.runtime.provenance.records import Kind, Origin

__all__ = ["Kind", "Origin", "match_events", "origins_of", "own_times_us"]
