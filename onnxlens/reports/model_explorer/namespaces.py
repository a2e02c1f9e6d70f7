"""Where a node stands in Model Explorer: its modules as the levels that a person opens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnxlens.specs.ledger import Ledger, ModuleCost


class Namespaces:
    """The namespace of every module: ``input_blocks.1 (EncoderBlock)/0 (ResBlock)``; "" is the model.

    A level is a module of the ledger, called by its path within the level above it, with its class.
    """

    def __init__(self, ledger: Ledger) -> None:
        """Take the modules of ``ledger``."""
        self._modules: Mapping[str, ModuleCost] = {module.path: module for module in ledger.modules}
        self._known: dict[str, str] = {"": ""}

    def of(self, path: str) -> str:
        """The namespace of the module at ``path``."""
        if path not in self._known:
            outer = self.around(path)
            level = _level(path.removeprefix(f"{outer}."), self._modules.get(path))
            above = self.of(outer)
            self._known[path] = f"{above}/{level}" if above else level
        return self._known[path]

    def lineage(self, path: str) -> Sequence[str]:
        """The paths of all modules that contain ``path``, the model first, itself last."""
        return (*self.lineage(self.around(path)), path) if path else ("",)

    def around(self, path: str) -> str:
        """The module that ``path`` stands in directly."""
        outer = path.rpartition(".")[0]
        while outer and outer not in self._modules:
            outer = outer.rpartition(".")[0]
        return outer


def _level(name: str, module: ModuleCost | None) -> str:
    """One level's name; a slash would start another level, and a semicolon another namespace."""
    text = f"{name} ({module.class_name})" if module is not None and module.class_name else name
    return text.replace("/", "\\/").replace(";", ",")
