"""train/, val/ and test/ at the root of an input: never mixed across."""

from pathlib import Path

from mixup_cli.dataset.listing import is_hidden
from mixup_cli.errors import InputError, SplitError

TRAIN = frozenset("train training trn".split())
HELD_OUT = frozenset("val valid validation dev test testing eval evaluation holdout".split())


def choose_split(root, split):
    """The folder to read: root itself, or root/split where root holds splits."""
    if split is not None:
        if split != "." and split not in _folders(root):
            raise InputError(f"{root}: no split folder {split!r}; its folders are {_list(root)}")
        return Path(root, split)
    folders = _folders(root)
    train = [name for name in folders if name.lower() in TRAIN]
    splits = [name for name in folders if name.lower() in TRAIN | HELD_OUT]
    # A folder `train` among planes and cars is a class; beside a folder `val`, or alone, a split.
    if splits and (splits == folders or 0 < len(train) < len(splits)):
        first = (train or splits)[0]  # validation and test images must stay real
        raise SplitError(
            f"{root}: holds the splits {', '.join(splits)}, and mixing across them would leak;"
            f" choose one, --split {first}, or --split . if these are classes",
            first,
        )
    return Path(root)


def _folders(root):
    return sorted(p.name for p in Path(root).iterdir() if p.is_dir() and not is_hidden(p.name))


def _list(root):
    return ", ".join(_folders(root)[:20]) or "none"
