"""How a mixture of experts spreads tokens over its experts."""

from __future__ import annotations

from onnxlens.specs.record import record


@record(frozen=True, slots=True)
class Routing:
    """The experts of one node, of which the router picks some for each token.

    Attributes:
        experts: how many there are, all of them resident.
        per_token: how many each token goes through.
        tokens: how many tokens there are in one run.
        expert_params: of one expert in this node.
        expert_bytes: the same as they are stored, scales included.
        all_run: whether every token goes through every expert, and the others' results are dropped.
    """

    experts: int
    per_token: int
    tokens: int
    expert_params: int
    expert_bytes: int
    all_run: bool = False

    @property
    def expected(self) -> float:
        """The distinct experts that the tokens reach on average if all choices are as likely.

        Each token misses an expert with 1 - k / E, all of them with the power of their number.
        """
        if self.all_run:
            return self.experts
        return self.experts * (1 - (1 - self.per_token / self.experts) ** self.tokens)

    @property
    def most(self) -> int:
        """The most distinct experts that the tokens can reach."""
        return self.experts if self.all_run else min(self.experts, self.tokens * self.per_token)

    @property
    def inactive_params(self) -> int:
        """The elements of the experts that one token does not go through."""
        return (self.experts - self.per_token) * self.expert_params

    @property
    def spared_bytes(self) -> float:
        """By how much what is read on average is less than what is read at most."""
        return (self.most - self.expected) * self.expert_bytes
