"""The page of a report: its template, filled."""

import base64
import json
import shlex
from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from mixup_cli import __version__
from mixup_cli.dataset import MILLION, weight_text
from mixup_cli.draw import visible
from mixup_cli.provenance import command_line
from mixup_cli.report import charts

# What stands for a path in the command line, and what to put there.
PLACES = {
    "IN": "the folder of the sources",
    "OUT": "a new folder",
    "METADATA": "the metadata.csv beside this run's mixup.json",
    "LABELS": "the table of labels that the run read",
    "LIST": "the list of files that the run read",
    "CLASSES": "the list of classes that the run read",
}


def fill(facts):
    """The page as HTML, UTF-8, self-contained."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": "{:,}".format, "visible": visible, "value": _value}
    template = environment.from_string(
        resources.files("mixup_cli.report").joinpath("page.html").read_text("utf-8")
    )
    record, arguments = facts.record, command_line(facts.record)
    return template.render(
        version=__version__,
        facts=facts,
        record=record,
        counts=record["counts"],
        command=shlex.join(arguments),
        places={name: what for name, what in PLACES.items() if name in arguments},
        samples=[_sample(sample) for sample in facts.samples],
        mass=_mass(record["label_mass"]),
        lam_chart=Markup(charts.lam_histogram(facts)) if facts.lam.sum() else None,
        mass_chart=Markup(charts.label_mass(record)),
        pair_chart=Markup(charts.pair_map(facts)) if facts.pairs.sum() else None,
        pull=_pull(record),
    )


def _value(value):
    """The value of an option as text."""
    return visible(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _sample(sample):
    weight, label_weight = (round(lam * MILLION) for lam in (sample.lam, sample.label_lam))
    return {
        "file": sample.file,
        "lam": weight_text(weight),
        "rest": weight_text(MILLION - weight),
        "weight_a": weight_text(label_weight),
        "weight_b": weight_text(MILLION - label_weight),
        "label_a": sample.label_a,
        "label_b": sample.label_b,
        "picture": "data:image/png;base64," + base64.b64encode(sample.picture).decode(),
    }


def _mass(classes):
    """Rows of the table of label mass: class, before, after, and both as shares in percent."""
    totals = [sum(c[when] for c in classes) or 1 for when in ("before", "after")]
    return [
        (c["class"], c["before"], c["after"],
         100 * c["before"] / totals[0], 100 * c["after"] / totals[1])
        for c in classes
    ]


def _pull(record):
    """In a sentence, how lam was chosen."""
    options = record["options"]
    if record["command"] != "augment":
        return "λ is as the plan gave it."
    if options["lam"] is not None:
        return f"λ was fixed at {options['lam']:g}."
    alpha = options["alpha"]
    if isinstance(alpha, list):
        text = f"λ was drawn from Beta({alpha[0]:g}, {alpha[1]:g})"
    else:
        text = f"λ was drawn from Beta(α, α) with α = {alpha:g}"
    if options["min_mix"]:
        text += f", until min(λ, 1 − λ) ≥ {options['min_mix']:g}"
    if options["max_mix"] < 0.5:
        text += f", until min(λ, 1 − λ) ≤ {options['max_mix']:g}"
    return f"{text}. α\u00a0→\u00a00 is plain training, α\u00a0→\u00a0∞ always half and half."
