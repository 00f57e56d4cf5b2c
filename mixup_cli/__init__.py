"""mixup-cli: blend labelled images in pairs and write PNGs and soft labels, reproducibly."""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = [
    "Canvas", "Dataset", "Loaded", "MixupError", "Options", "Plan", "PlanOptions", "ReadOptions",
    "Result", "Run", "SparseLabels", "augment", "blend", "get_batch", "load", "make_plan", "mixup",
    "read_dataset", "sample_lam",
]

if TYPE_CHECKING:
    from mixup_cli.api import Result, augment, make_plan
    from mixup_cli.canvas import Canvas
    from mixup_cli.dataset import Dataset, ReadOptions, read_dataset
    from mixup_cli.errors import MixupError
    from mixup_cli.kernel import blend, get_batch, mixup, sample_lam
    from mixup_cli.loading import Loaded, SparseLabels, load
    from mixup_cli.plan import Plan, PlanOptions
    from mixup_cli.provenance import Options
    from mixup_cli.run import Run
else:
    _ROOMS = {
        "api": ("Result", "augment", "make_plan"), "canvas": ("Canvas",),
        "dataset": ("Dataset", "ReadOptions", "read_dataset"), "errors": ("MixupError",),
        "kernel": ("blend", "get_batch", "mixup", "sample_lam"),
        "loading": ("Loaded", "SparseLabels", "load"), "plan": ("Plan", "PlanOptions"),
        "provenance": ("Options",), "run": ("Run",),
    }

    def __getattr__(name):
        """Import a room when it is first asked for: `mixup --help` shall not pay for numpy."""
        for room, names in _ROOMS.items():
            if name in names:
                return getattr(import_module(f"mixup_cli.{room}"), name)
        raise AttributeError(f"module 'mixup_cli' has no attribute {name!r}")

    def __dir__():
        return sorted([*globals(), *__all__])
