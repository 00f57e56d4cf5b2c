"""What a run is: its options, versions, plan and sources, as mixup.json and --resume know them."""

import hashlib
import json
import os
import platform
from dataclasses import asdict, dataclass
from importlib import import_module

import numpy as np

from mixup_cli import __version__, remote, tar
from mixup_cli.canvas import Canvas
from mixup_cli.codec import parse_colour
from mixup_cli.dataset import ReadOptions
from mixup_cli.errors import InputError, MismatchError
from mixup_cli.plan import PlanOptions
from mixup_cli.png import COMPRESSIONS
from mixup_cli.store import FORMATS, LAYOUTS, file_digest, read_record
from mixup_cli.tables import LABEL_FORMATS, label_mass, nearly_even

MODULES = {"pillow": "PIL"}  # of packages whose module has another name
# How labels were read, besides the reader's name: to repeat a run, it is needed.
READ_AS = ("file_column", "label_column", "label_delimiter", "from0", "allow_empty", "follow_symlinks")


@dataclass(frozen=True)
class Options:
    """What decides the bytes of a run.

    plan: how pairs and lam are drawn, or the path of a plan's CSV, "-" for standard input; canvas:
    how sources become pixels; label_format: one of LABEL_FORMATS; read: how labels are read;
    compression: one of png.COMPRESSIONS; format: how a shard lies on disk, a key of FORMATS; layout:
    one of LAYOUTS, `classes` puts each file into the folder of its dominant class.
    """

    plan: PlanOptions | str = PlanOptions()
    canvas: Canvas = Canvas()
    label_format: str = "auto"
    read: ReadOptions = ReadOptions()
    compression: str = "fast"
    format: str = "folder"
    layout: str = "shards"

    def __post_init__(self):
        if self.format not in FORMATS:
            raise InputError(f"--format {self.format}: give one of {', '.join(FORMATS)}")
        if self.label_format not in LABEL_FORMATS:
            raise InputError(f"--label-format {self.label_format}: give one of {', '.join(LABEL_FORMATS)}")
        if self.layout not in LAYOUTS:
            raise InputError(f"--layout {self.layout}: give one of {', '.join(LAYOUTS)}")
        if self.layout != "shards" and self.format != "folder":
            raise InputError(f"--layout {self.layout} needs --format folder: files to be laid out")
        if self.compression not in COMPRESSIONS:
            raise InputError(f"--compression {self.compression}: give one of {', '.join(COMPRESSIONS)}")


def identity(dataset, plan, options):
    """What decides the bytes of a run, by name; `plan` is a digest of its rows and their labels."""
    digest = hashlib.blake2b(digest_size=16)
    weights = [plan.lam] if plan.label_lam is None else [plan.lam, plan.label_lam]
    labels = [dataset.label_start, dataset.label, np.ascontiguousarray(dataset.weight)]
    for array in (plan.source_a, plan.source_b, *weights, plan.shard_start, *labels):
        digest.update(array)
    digest.update("\n".join(map(plan.folder, range(plan.num_shards))).encode())
    versions_now = versions(options.format)
    versions_now.pop("python")
    return {
        **options_record(dataset.reader, options), **versions_now, "classes": list(dataset.classes),
        "outputs": len(plan), "plan": digest.hexdigest(),
    }


def source_states(dataset, hash_inputs):
    """(source, state) of every source: its size, and its time of change or its content."""
    if dataset.states is not None and not hash_inputs:
        yield from ((source, dataset.states[source]) for source in dataset.sources)
        return
    for i, source in enumerate(dataset.sources):
        path = os.path.join(dataset.root, source)
        span = None if dataset.spans is None else dataset.spans[i].tolist()
        path = path if span is None else tar.file_of(path)
        if dataset.states is not None:
            data = remote.read(path, span)
            yield source, (str(len(data)), hashlib.blake2b(data, digest_size=16).hexdigest())
            continue
        try:
            status = os.stat(path)
            content = file_digest(path, span) if hash_inputs else str(status.st_mtime_ns)
            yield source, (str(status.st_size if span is None else span[1]), content)
        except OSError as e:  # the worker that needs it will reject it
            yield source, ("", e.strerror)


def completed_record(dataset, plan, options, store):
    """The record of the run that is there, if it is this one."""
    record = read_record(store.out)
    now = {**options_record(dataset.reader, options), "sources": len(dataset.sources), "planned": len(plan)}
    then = {**record["options"], **record["counts"]}
    different = [
        f"{name} {then.get(name)} then, {value} now"
        for name, value in json.loads(json.dumps(now)).items() if then.get(name) != value
    ]
    if different:
        raise MismatchError(
            f"{store.where}: holds a complete run of other options: {'; '.join(different)}; choose"
            " another output folder, or start again by --overwrite"
        )
    return record


def run_record(dataset, plan, options, rejects, kept):
    """What mixup.json holds. No time, no path, no number of workers: they decide no byte."""
    return {
        "command": "augment" if isinstance(options.plan, PlanOptions) else "render",
        "options": options_record(dataset.reader, options),
        "versions": versions(options.format),
        "counts": {
            "classes": len(dataset.classes),
            "sources": len(dataset.sources),
            "rejected": len(rejects),
            "planned": len(plan),
            "outputs": int(np.count_nonzero(kept)),
            "originals": int(np.count_nonzero(kept & ~plan.mixed)),
            "shards": plan.num_shards,
            "share_equal_to_source": round(plan.share_equal_to_source(kept), 4),
            **({"nearly_even": nearly_even(dataset, plan, kept)} if options.layout == "classes" else {}),
            "skipped": {kind: len(paths) for kind, paths in dataset.skipped.items()},
        },
        "notes": list(plan.notes),
        "label_mass": [
            {"class": name, "before": round(float(before), 3), "after": round(float(after), 3)}
            for name, before, after in zip(
                dataset.classes, *label_mass(dataset, plan, kept), strict=True
            )
        ],
    }


def options_record(reader, options):
    made = isinstance(options.plan, PlanOptions)
    canvas = options.canvas
    return {
        **(asdict(options.plan) if made else {}),
        "size": list(canvas.size) if canvas.size else None,
        "fit": canvas.fit,
        "mode": canvas.mode,
        "background": "#%02x%02x%02x" % canvas.background,
        "max_pixels": canvas.max_pixels,
        "format": options.format,
        "layout": options.layout,
        "decode": canvas.decode,
        "compression": options.compression,
        "label_format": options.label_format,
        "reader": reader,
        "split": options.read.split,
        "include_class": list(options.read.include),
        "exclude_class": list(options.read.exclude),
        "class_list": options.read.classes is not None,
        **{name: getattr(options.read, name) for name in READ_AS},
    }


def canvas_of(record):
    """The Canvas that a run's mixup.json describes."""
    options = record["options"]
    return Canvas(
        tuple(options["size"]) if options["size"] else None, options["fit"], options["mode"],
        parse_colour(options["background"]), options["max_pixels"],
        options.get("decode", "full"),  # before there was a choice, JPEGs were decoded whole
    )


def command_line(record):
    """The arguments that repeat a run. A record has no path: IN stands for its input, OUT for a new
    folder, LABELS, LIST and CLASSES for the files that --labels, --files-from and --classes named,
    METADATA for the metadata.csv of this run, which is the plan of one by `render`.
    """
    options = dict(record["options"])
    reader, made = options.pop("reader"), record["command"] == "augment"
    arguments = ["mixup", record["command"], "IN", *([] if made else ["METADATA"]), "OUT"]
    files = {"list": ["--files-from", "LIST"], "csv": ["--labels", "LABELS"]}
    arguments += files.get(reader, ["--reader", reader])
    if options.pop("class_list", False):
        arguments += ["--classes", "CLASSES"]
    if options.get("lam") is not None:
        options.pop("alpha")  # they exclude one another, and so do these
    if options.get("count") is not None:
        options.pop("copies")
    defaults = options_record(reader, Options())
    for name, value in options.items():
        if value != defaults.get(name) or name in ("alpha", "seed"):
            arguments += _argument(name, value)
    return arguments


def _argument(name, value):
    """An option of a record as it is typed."""
    option = f"--{name.replace('_', '-')}"
    if name in ("include_class", "exclude_class"):
        return [f"{option}={one}" for one in value]
    if isinstance(value, list):
        value = ("x" if name == "size" else ",").join(map(str, value))
    elif name == "max_pixels":
        value = value / 1e6
    return [option] if value is True else [f"{option}={value}"]


def versions(format="folder"):
    """The versions that decide the bytes: ours, Python's, the codecs' and the format's."""
    found = {"mixup_cli": __version__, "python": platform.python_version()}
    for package in ("numpy", "pillow", "isal", "simplejpeg"):
        try:
            found[package] = import_module(MODULES.get(package, package)).__version__
        except ImportError:
            found[package] = None
    for package in FORMATS[format].packages:  # not to be loaded before workers are forked
        from importlib import metadata

        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found
