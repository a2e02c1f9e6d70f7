"""Records that are made by the hundred thousand: frozen for type checkers, fast to define and to make."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from dataclasses import dataclass, fields
    from operator import attrgetter

    def record(*, frozen: bool, slots: bool):
        """A dataclass whose ``frozen`` only type checkers enforce.

        To set a field of a frozen dataclass goes through ``object.__setattr__``, so that making one takes
        four times as long: a fifth of the time of a profile of 100,000 nodes. And Python compiles each
        method of each dataclass anew at every start, so all records share these three.
        """

        def decorate(cls):
            cls = dataclass(slots=slots, eq=False, repr=False)(cls)
            shown = [each.name for each in fields(cls) if each.repr]
            compared = attrgetter(*[each.name for each in fields(cls) if each.compare])
            hashed = attrgetter(
                *[each.name for each in fields(cls) if each.compare and each.hash is not False]
            )

            def __eq__(self, other):
                if other.__class__ is not self.__class__:
                    return NotImplemented
                return compared(self) == compared(other)

            def __hash__(self):
                return hash(hashed(self))

            def __repr__(self):
                values = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
                return f"{type(self).__qualname__}({values})"

            cls.__eq__, cls.__hash__ = __eq__, __hash__ if frozen else None
            if "__repr__" not in cls.__dict__:
                cls.__repr__ = __repr__
            return cls

        return decorate


__all__ = ["record"]
