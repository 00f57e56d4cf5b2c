"""mixup-cli: blend labelled images in pairs and write PNGs and soft labels, reproducibly."""

from importlib import import_module

__version__ = "0.1.0"
__all__ = ["blend", "get_batch", "mixup", "sample_lam"]


def __getattr__(name):
    """Import the kernel on first use: `mixup --help` shall not pay for numpy."""
    if name in __all__:
        return getattr(import_module("mixup_cli.kernel"), name)
    raise AttributeError(f"module 'mixup_cli' has no attribute {name!r}")
