"""What the command line does, as functions: read_dataset, make_plan, augment."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixup_cli import plan as planning
from mixup_cli import run as running
from mixup_cli.dataset import Dataset, read_table
from mixup_cli.plan import Plan, PlanOptions
from mixup_cli.provenance import Options
from mixup_cli.run import Run


@dataclass(frozen=True)
class Result:
    """What a run left.

    out: the output folder; files: its images in the order of the rows, as paths that begin with
    out, or the names of rows inside shards that are files themselves; rejects: source -> reason, of
    the sources that could not be used; record: what mixup.json holds. Of a part (Run.part), files are all that is there
    so far, and record has counts of shards alone.
    """

    out: Path
    files: list[str]
    rejects: dict[str, str]
    record: dict[str, Any]


def make_plan(dataset: Dataset, options: PlanOptions = PlanOptions()) -> Plan:
    """Pair the images of a dataset and draw lam; no image is opened.

    Returns a Plan of R rows: source_a, source_b (R,) indices into dataset.sources; lam (R,) float64
    of 6 decimals, the weight of a.
    Raises InputError if they cannot be paired in the way asked for.
    Source: Zhang et al. 2018, arXiv:1710.09412, section 2.
    """
    plan: Plan = planning.make_plan(dataset.class_of(), options, dataset.classes)
    return plan


def augment(
    source: str | os.PathLike[str] | None,
    out: str | os.PathLike[str],
    options: Options = Options(),
    run: Run = Run(),
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Blend the images under `source` in pairs; write PNGs and soft labels to `out`.

    source: a folder, or None with ReadOptions.files_from; options: what decides the bytes; run: how
    it is carried out; progress(done, total) is called often, with counts of outputs.
    The same source, options and versions give the same bytes, on any number of workers.
    Raises a MixupError with where, what and what to do: InputError before any work, else
    StoppedError, LockedError, MismatchError or, with Run.on_error "fail", RejectedError.
    Source: Zhang et al. 2018, arXiv:1710.09412, eq. (1): lam * a + (1 - lam) * b.
    """
    record = running.augment(
        source, out, options, progress=progress or (lambda done, total: None), **vars(run)
    )
    out = Path(out)
    rejects = out / "rejects.csv"
    if "part" in record:
        files = sorted(p.relative_to(out).as_posix() for p in out.glob("images/**/*") if p.is_file())
    else:
        files = _column(out / "metadata.csv")
    reasons = _column(rejects, 1) if rejects.exists() else []
    return Result(
        out, [os.path.join(out, name) for name in files],
        dict(zip(_column(rejects), reasons, strict=True)) if reasons else {}, record,
    )


def _column(path: Path, number: int = 0) -> list[str]:
    return [row[number] for _, row in read_table(path).rows]
