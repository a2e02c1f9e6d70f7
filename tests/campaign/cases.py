"""A case: files, one of them changed, and a command line that reads it; seed and number decide all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.campaign.documents import checkpoint_changed, json_changed, toml_changed
from tests.campaign.mutations import INTEGERS, TEXTS, bytes_changed, changed
from tests.campaign.seeds import GROUPS, Seeds
from tests.export.tiny import TARGET

Arguments = tuple[str, ...]

MODEL = "m.onnx"
SIZES = (0, 1, 2, 3, 7, 64, 2**31, 2**40, 2**63 - 1, 2**63)
FORMATS = ("table", "json", "csv", "md")
MODULES = ("", "body", "body.body.0", "attention", "conv", "head", "stem", "If_0", "n")
COLORS = ("macs", "none", "params", "moved_bytes", "x")
SIZED = (
    "--depth",
    "--runs",
    "--warmup",
    "--threads",
    "--call",
    "--opset",
    "--batch",
    "--height",
    "--width",
    "--samples",
    "--port",
)
WORDED = tuple(
    f"--{name}"
    for name in (
        "module by convention format sort where columns "
        "color viewer out factory weights strip-prefix dtype "
        "shape dim value inputs groups tolerance memory"
    ).split()
)


@dataclass(frozen=True)
class Case:
    """What a seed and a number stand for.

    Attributes:
        kind: one of ``KINDS``.
        source: the file or model that was changed.
        files: by name.
        spoiled: the name of the changed file.
        arguments: of the command line, which runs among the files.
        repeatable: whether two runs print the same.
    """

    kind: str
    source: str
    files: Mapping[str, bytes]
    spoiled: str
    arguments: Arguments
    repeatable: bool = field(default=True)


def case_of(seed: int, number: int, seeds: Seeds) -> Case:
    """The case of this number."""
    rng = Random(f"{seed}:{number}")
    kind = rng.choices([*KINDS], [weight for weight, _ in KINDS.values()])[0]
    return KINDS[kind][1](rng, seeds)


def _structure(rng: Random, seeds: Seeds) -> Case:
    return _model_case("structure", rng, seeds, changed)


def _bytes(rng: Random, seeds: Seeds) -> Case:
    return _model_case("bytes", rng, seeds, bytes_changed)


def _model_case(kind: str, rng: Random, seeds: Seeds, change: Callable[[Random, bytes], bytes]) -> Case:
    own = [name for name in seeds.models if not name.startswith("test_")]
    name = rng.choice(own if rng.random() < 0.4 else [*seeds.models])
    arguments = rng.choice(VERBS)(rng)
    files = {
        MODEL: change(rng, seeds.models[name]),
        "m.data": bytes(range(16)),
        "tiny.onnx.data": seeds.exported["tiny.onnx.data"],
    }
    runs = {"bench", "check", "--run", "--latency"} & {*arguments}
    return Case(kind, name, files, MODEL, arguments, repeatable=not runs)


def _profile(rng: Random) -> Arguments:
    by = rng.choice(("module", "op", "node"))
    return ("profile", MODEL, "--by", by, "--format", rng.choice(FORMATS), "--depth", rng.choice("0259"))


def _sized(rng: Random) -> Arguments:
    """Sizes and values for inputs that some of the models have."""
    dims = ",".join(str(rng.choice(SIZES)) for _ in range(rng.randint(0, 4)))
    name = rng.choice(("x", "X", "data", "input", "sizes", "choose"))
    option = rng.choice(
        (
            ("--dim", f"{rng.choice(('N', 'batch', 'length'))}={rng.choice(SIZES)}"),
            ("--shape", f"{name}={dims}"),
            ("--value", f"{name}={dims}"),
        )
    )
    return ("profile", MODEL, *option, "--format", rng.choice(FORMATS))


def _with_run(rng: Random) -> Arguments:
    return ("profile", MODEL, "--run", "--format", rng.choice(FORMATS))


def _convention(rng: Random) -> Arguments:
    return ("profile", MODEL, "--convention", rng.choice(("onnx-tool", "fvcore", "thop")))


def _ledger(rng: Random) -> Arguments:
    return ("ledger", MODEL, "--format", rng.choice(FORMATS))


def _timed(rng: Random) -> Arguments:
    return ("ledger", MODEL, "--latency", "--format", "trace", "--out", "out.json")


def _reconcile(rng: Random) -> Arguments:
    return ("reconcile", MODEL, "--format", rng.choice(FORMATS))


def _extract(rng: Random) -> Arguments:
    return ("extract", MODEL, "--module", rng.choice(MODULES), "--out", "out.onnx")


def _render(rng: Random) -> Arguments:
    suffix = rng.choice((".dot", ".dot", ".dot", ".svg", ".svg", ".png", ".pdf"))
    folded = ("--fold",) if rng.random() < 0.3 else ()
    return (
        "render",
        MODEL,
        "--out",
        f"out{suffix}",
        "--depth",
        rng.choice("0129"),
        "--color",
        rng.choice(COLORS),
        *folded,
    )


def _explore(rng: Random) -> Arguments:
    return ("render", MODEL, "--viewer", "model-explorer", "--out", "out.json")


def _check(rng: Random) -> Arguments:
    return ("check", MODEL, "--against", "unoptimised", "--format", rng.choice(FORMATS))


def _bench(rng: Random) -> Arguments:
    return ("bench", MODEL, "--runs", "1", "--warmup", "0", "--threads", "1", "--format", rng.choice(FORMATS))


VERBS: Sequence[Callable[[Random], Arguments]] = (
    *(_profile, _profile, _profile, _sized, _ledger, _ledger, _reconcile, _convention, _extract, _extract),
    *(_render, _render, _explore, _with_run, _timed, _check, _bench),
)


def _manifest(rng: Random, seeds: Seeds) -> Case:
    """The tiny network's export, whose manifest lies."""
    files = {**seeds.exported, "tiny.json": json_changed(rng, seeds.exported["tiny.json"])}
    verbs: Sequence[Arguments] = (
        ("profile", "tiny.onnx", "--format", "json"),
        ("ledger", "tiny.onnx"),
        ("render", "tiny.onnx", "--out", "out.dot"),
        ("extract", "tiny.onnx", "--module", "attention", "--out", "out.onnx"),
        ("extract", "tiny.onnx", "--module", "attention", "--out", "out.onnx", "--data", "--factory", TARGET),
        ("check", "tiny.onnx"),
        ("check", "tiny.onnx", "--factory", TARGET),
        ("check", "tiny.onnx", "--layers", "--factory", TARGET),
    )
    return Case("manifest", "tiny.json", files, "tiny.json", rng.choice(verbs), repeatable=False)


def _checkpoint(rng: Random, seeds: Seeds) -> Case:
    name = rng.choice([*seeds.checkpoints])
    files = {**seeds.checkpoints, name: checkpoint_changed(rng, name, seeds.checkpoints[name])}
    arguments = ("export", "tiny", "--weights", name, "--out", "out")
    return Case("checkpoint", name, files, name, arguments)


def _groups(rng: Random, seeds: Seeds) -> Case:
    files = {**seeds.exported, "g.toml": toml_changed(rng, GROUPS.encode())}
    arguments = ("render", "tiny.onnx", "--groups", "g.toml", "--out", "out.dot")
    return Case("groups", "g.toml", files, "g.toml", arguments)


def _data(rng: Random, seeds: Seeds) -> Case:
    """Data of the weights, a picture or arrays, damaged."""
    name, data, arguments = rng.choice(
        (
            ("tiny.onnx.data", seeds.exported["tiny.onnx.data"], ("check", "tiny.onnx", "--factory", TARGET)),
            (
                "tiny.onnx.data",
                seeds.exported["tiny.onnx.data"],
                ("bench", "tiny.onnx", "--runs", "1", "--threads", "1"),
            ),
            ("p.png", seeds.others["p.png"], ("annotate", "p.png", "--kind", "canny", "--out", "out.png")),
            ("a.npz", seeds.others["a.npz"], ("profile", "tiny.onnx", "--inputs", "a.npz")),
        )
    )
    files = {**seeds.exported, name: bytes_changed(rng, data)}
    return Case("data", name, files, name, arguments, repeatable=False)


def _options(rng: Random, seeds: Seeds) -> Case:
    """A good file, and options with values that nobody means."""
    target = rng.choice(("tiny.onnx", "tiny", "tiny.json", "nothing.onnx", *TEXTS)).replace("\0", "0")
    start: Sequence[Arguments] = (
        ("profile", target),
        ("ledger", target),
        ("traffic", target),
        ("reconcile", target),
        ("extract", target, "--module", "attention", "--out", "out.onnx"),
        ("render", target, "--out", "out.dot"),
        ("check", target),
        ("bench", target, "--runs", "1", "--threads", "1"),
        ("annotate", "p.png", "--kind", "canny", "--out", "out.png"),
    )
    arguments = rng.choice(start)
    for _ in range(rng.choice((1, 1, 2, 3))):
        if rng.random() < 0.5:
            arguments += (rng.choice(SIZED), str(rng.choice(INTEGERS)))
        else:
            word = rng.choice(
                (
                    *TEXTS,
                    "image=1,3,6,6",
                    "image=2,-1",
                    "=",
                    "a=1",
                    "macs>1",
                    "tiny.json",
                    "none",
                    "seeded",
                    "json",
                )
            )
            arguments += (rng.choice(WORDED), word.replace("\0", "0"))
    return Case(
        "options",
        " ".join(arguments)[:80],
        {**seeds.exported, "p.png": seeds.others["p.png"]},
        "",
        arguments,
        repeatable=False,
    )


KINDS: Mapping[str, tuple[int, Callable[[Random, Seeds], Case]]] = {
    "structure": (58, _structure),
    "bytes": (17, _bytes),
    "manifest": (8, _manifest),
    "checkpoint": (6, _checkpoint),
    "groups": (3, _groups),
    "data": (3, _data),
    "options": (5, _options),
}
"""How often each kind is drawn, and what draws it."""
