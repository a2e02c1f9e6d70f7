"""Makes files with other frameworks' exporters: ``python benchmarks/framework_files.py FOLDER``.

Run in an environment of its own, which has scikit-learn, skl2onnx, xgboost, lightgbm, onnxmltools, spox and
jax2onnx.
FOLDER/list.csv then goes to ``packages.py FOLDER --list FOLDER/list.csv``.
"""

from __future__ import annotations

import csv
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

ROWS, FEATURES, CLASSES = 100, 8, 3


def scikit_learn(x: np.ndarray, labels: np.ndarray) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Estimators behind scalers, as people write pipelines."""
    from skl2onnx import to_onnx
    from sklearn import (
        cluster,
        decomposition,
        discriminant_analysis,
        ensemble,
        gaussian_process,
        linear_model,
        naive_bayes,
        neighbors,
        neural_network,
        pipeline,
        preprocessing,
        svm,
    )

    target = x[:, 0] * 2 + x[:, 1]
    classifiers = {
        "logistic": linear_model.LogisticRegression(),
        "sgd": linear_model.SGDClassifier(),
        "svc": svm.SVC(probability=True),
        "svc-poly": svm.NuSVC(kernel="poly", degree=2),
        "mlp": neural_network.MLPClassifier((16,), max_iter=20),
        "neighbors": neighbors.KNeighborsClassifier(),
        "forest": ensemble.RandomForestClassifier(5),
        "boosting": ensemble.GradientBoostingClassifier(n_estimators=5),
        "bagging": ensemble.BaggingClassifier(n_estimators=3),
        "bayes": naive_bayes.GaussianNB(),
        "discriminant": discriminant_analysis.LinearDiscriminantAnalysis(),
        "means": cluster.KMeans(CLASSES),
    }
    regressors = {
        "linear": linear_model.LinearRegression(),
        "svr": svm.SVR(),
        "gaussian": gaussian_process.GaussianProcessRegressor(),
        "neighbors-regressor": neighbors.KNeighborsRegressor(),
        "forest-regressor": ensemble.RandomForestRegressor(5),
    }
    for name, estimator in (classifiers | regressors).items():
        steps = pipeline.make_pipeline(preprocessing.StandardScaler(), preprocessing.Normalizer(), estimator)
        yield f"sk-{name}", to_onnx(steps.fit(x, labels if name in classifiers else target), x[:1])
    steps = pipeline.make_pipeline(preprocessing.PolynomialFeatures(2), linear_model.Ridge())
    yield "sk-polynomial", to_onnx(steps.fit(x, target), x[:1])
    yield "sk-components", to_onnx(decomposition.PCA(3).fit(x), x[:1])


def boosted_trees(x: np.ndarray, labels: np.ndarray) -> Iterator[tuple[str, onnx.ModelProto]]:
    """XGBoost and LightGBM, by onnxmltools."""
    import lightgbm
    import onnxmltools
    import xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    given = [("X", FloatTensorType([None, FEATURES]))]
    trees = xgboost.XGBClassifier(n_estimators=5).fit(x, labels)
    yield "xgboost", onnxmltools.convert_xgboost(trees, initial_types=given)
    leaves = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(x, labels)
    yield "lightgbm", onnxmltools.convert_lightgbm(leaves, initial_types=given)


def jax() -> Iterator[tuple[str, onnx.ModelProto]]:
    """A net of flax's, by jax2onnx, which writes modules as functions where it is told to."""
    from flax import nnx
    from jax2onnx import onnx_function, to_onnx

    @onnx_function
    class Block(nnx.Module):
        def __init__(self) -> None:
            self.inner, self.outer = (nnx.Linear(FEATURES, FEATURES, rngs=nnx.Rngs(at)) for at in (0, 1))

        def __call__(self, x):
            return x + self.outer(nnx.gelu(self.inner(x)))

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.first, self.second = Block(), Block()

        def __call__(self, x):
            return self.second(self.first(x))

    yield "jax-functions", to_onnx(Net(), [("B", FEATURES)])


def spox() -> Iterator[tuple[str, onnx.ModelProto]]:
    """A loop and a branch, built by hand."""
    import spox.opset.ai.onnx.v17 as op
    from spox import Tensor, argument, build

    x = argument(Tensor(np.float32, ("N", FEATURES)))
    weight = op.const(np.ones((FEATURES, FEATURES), np.float32))
    (looped,) = op.loop(
        op.const(np.array(4)), v_initial=[x], body=lambda i, go, h: [go, op.matmul(h, weight)]
    )
    wide = op.greater(op.size(x), op.const(np.array(FEATURES)))
    (y,) = op.if_(wide, then_branch=lambda: [op.matmul(looped, weight)], else_branch=lambda: [looped])
    yield "spox-loop", build({"X": x}, {"y": y})


def main(folder: Path) -> None:
    """Write the files and their list."""
    warnings.simplefilter("ignore")
    generator = np.random.default_rng(0)
    x = generator.standard_normal((ROWS, FEATURES)).astype(np.float32)
    labels = np.arange(ROWS) % CLASSES
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "list.csv").open("w", encoding="utf-8", newline="") as listed:
        rows = csv.writer(listed)
        rows.writerow(("case", "package", "version", "file", "arguments", "macs", "remark"))
        for made in (scikit_learn(x, labels), boosted_trees(x, labels), jax(), spox()):
            for name, model in made:
                (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
                given = model.graph.input[0].name
                rows.writerow((name, "", "", f"{name}.onnx", f"--shape {given}=10,{FEATURES}", "", ""))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
