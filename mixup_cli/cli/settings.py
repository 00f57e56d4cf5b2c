"""Options from outside the command line: a flag stands over a variable MIXUP_…, that over a file."""

import difflib
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from mixup_cli.errors import InputError

Layer = dict[str, tuple[str, Any]]  # parameter name -> the key that set it, and its value

PREFIX = "MIXUP_"
CONFIG = "MIXUP_CONFIG"
# Of two that exclude one another the higher one wins: the flag --count over copies in a file.
EXCLUSIVE = (
    ("copies", "count"), ("alpha", "lam"), ("lam", "min_mix"), ("lam", "max_mix"),
    ("overwrite", "resume"), ("overwrite", "part"),
)
SWITCH = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(
    ("0", "false", "no", "off"), False
)


def long_name(option: click.Option) -> str:
    """The name of an option without dashes in front, the key of a file: min-mix."""
    return max(option.opts, key=len).lstrip("-")


def variable(option: click.Option) -> str:
    """The name of its variable: MIXUP_MIN_MIX."""
    return PREFIX + long_name(option).upper().replace("-", "_")


def settable(command: click.Command) -> dict[str, click.Option]:
    """The options of a command that may be set elsewhere, by the key of a file."""
    options = (p for p in command.params if isinstance(p, click.Option))
    return {long_name(option): option for option in options if option.name != "config"}


def load(ctx: click.Context, flags: dict[str, Any]) -> list[str]:
    """Put what variables and a file set, and no flag does, into ctx.default_map.

    flags: the options of the command line, parameter name -> value. Returns a line to print for
    each place that something came from. Raises InputError with that place, the key and what to do.
    """
    layers: list[tuple[str, Layer]] = [
        ("", {name: (name, value) for name, value in flags.items()}),
        ("the environment", _from_environment(ctx)),
        _from_file(ctx, flags.get("config") or os.environ.get(CONFIG)),
    ]
    barred: set[str] = set()
    defaults: dict[str, Any] = {}
    lines = []
    for place, layer in layers:
        _check_exclusive(place, layer)
        used = {name: layer[name] for name in layer.keys() - barred}
        barred |= layer.keys() | set(_rivals(layer))
        if place and used:
            defaults |= {name: value for name, (_, value) in used.items()}
            lines.append(f"Options from {place}: {', '.join(sorted(key for key, _ in used.values()))}")
    ctx.default_map = defaults
    return lines


def _is_set(layer: Layer, name: str) -> bool:
    return name in layer and layer[name][1] not in (False, None)


def _rivals(layer: Layer) -> Iterator[str]:
    """What a layer's values exclude."""
    for one, other in EXCLUSIVE:
        for mine, rival in ((one, other), (other, one)):
            if _is_set(layer, mine):
                yield rival


def _check_exclusive(place: str, layer: Layer) -> None:
    """Refuse two in one place that exclude one another."""
    for one, other in EXCLUSIVE:
        if _is_set(layer, one) and _is_set(layer, other):
            names = [name.replace("_", "-") for name in (one, other)]
            if not place:
                raise click.UsageError("--{} and --{} exclude one another; drop one".format(*names))
            raise InputError("{}: {} and {} exclude one another; drop one".format(place, *names))


def _from_environment(ctx: click.Context) -> Layer:
    """The values of variables: parameter name -> (variable, value)."""
    names = {variable(option): option for option in settable(ctx.command).values()}
    found: Layer = {}
    for name, text in sorted(os.environ.items()):
        if name.startswith(PREFIX) and text and name != CONFIG:
            if name in names:
                option = names[name]
                value = _value_of_text(option, text, name)
                found[str(option.name)] = name, _checked(ctx, option, value, name)
            else:
                _warn_of_variable(ctx, name)
    return found


def _value_of_text(option: click.Option, text: str, name: str) -> Any:
    """The value of a variable: what follows the flag, 1 or 0 for a switch, commas between several."""
    if option.is_flag:
        if text.lower() not in SWITCH:
            raise InputError(f"{name}: {text!r}; give 1 or 0")
        return _switch(option, SWITCH[text.lower()])
    return text.split(",") if option.multiple else text


def _switch(option: click.Option, on: bool) -> bool:
    return on != (option.flag_value is False)  # --no-sync sets False


def _warn_of_variable(ctx: click.Context, name: str) -> None:
    """A variable that is nearly one of ours is a slip; others may be anybody's."""
    known = {variable(option) for option in _all_options(ctx).values()}
    close = difflib.get_close_matches(name, known, 1, 0.85)
    if close and name not in known:
        click.echo(f"Warning: {name} sets nothing; is it {close[0]}?", err=True)


def _from_file(ctx: click.Context, path: str | None) -> tuple[str, Layer]:
    """The file and its values: parameter name -> (key, value)."""
    file, table = _find_table() if path is None else (path, _table(path, wanted=True) or {})
    options = settable(ctx.command)
    found: Layer = {}
    for key, value in table.items():
        name = key.replace("_", "-")
        option = options.get(name)
        if option is not None:
            value = _value_of_toml(option, value, Path(file).parent, f"{file}: {key}")
            found[str(option.name)] = key, _checked(ctx, option, value, f"{file}: {key}")
        elif name not in (others := _all_options(ctx)):
            close = difflib.get_close_matches(name, others, 1)
            hint = f"did you mean {close[0]!r}?" if close else "see mixup augment --help"
            raise InputError(f"{file}: {key!r} is no option; {hint}")
    return str(file), found


def _value_of_toml(option: click.Option, value: Any, folder: Path, where: str) -> Any:
    """The value of a key: as on the command line, true or false for a switch, a list for several."""
    if option.is_flag:
        if not isinstance(value, bool):
            raise InputError(f"{where}: {value!r}; give true or false")
        return _switch(option, value)
    values = value if option.multiple and isinstance(value, list) else [value]
    for part in values:
        if isinstance(part, bool) or not isinstance(part, (str, int, float)):
            raise InputError(f"{where}: {part!r}; give a text or a number, as on the command line")
    texts = [str(part) for part in values]
    if isinstance(option.type, click.Path):  # a file that the file names lies beside it
        texts = [text if text == "-" else os.path.join(folder, text) for text in texts]
    return texts if option.multiple else texts[0]


def _checked(ctx: click.Context, option: click.Option, value: Any, where: str) -> Any:
    try:
        option.type_cast_value(ctx, value)
    except click.BadParameter as e:
        raise InputError(f"{where}: {e.message}") from e
    return value


def _find_table() -> tuple[str, dict[str, Any]]:
    """The nearest pyproject.toml, here or above, with a table [tool.mixup]."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        path = folder / "pyproject.toml"
        if path.is_file() and (table := _table(path, wanted=False)) is not None:
            return os.path.relpath(path), table
    return "", {}


def _table(path: str | Path, wanted: bool) -> dict[str, Any] | None:
    """The options in a TOML file: in a pyproject.toml those of [tool.mixup], None if it has none."""
    try:
        table: Any = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as e:
        raise InputError(f"{path}: {e.strerror}; give a TOML file that can be read") from e
    except ValueError as e:
        raise InputError(f"{path}: not TOML ({e}); mend it, or pass another by --config") from e
    if Path(path).name == "pyproject.toml":
        tool = table.get("tool", {})
        table = tool.get("mixup") if isinstance(tool, dict) else None
        if table is None and wanted:
            raise InputError(f"{path}: no table [tool.mixup]; add it, or give another file")
        if table is not None and not isinstance(table, dict):
            raise InputError(f"{path}: tool.mixup is no table; write [tool.mixup]")
    return table  # type: ignore[no-any-return]


def _all_options(ctx: click.Context) -> dict[str, click.Option]:
    """The options of all commands: a file may serve several."""
    group = ctx.find_root().command
    if not isinstance(group, click.Group):  # a command called by itself
        return settable(ctx.command)
    commands = (group.get_command(ctx, name) for name in group.list_commands(ctx))
    return {key: option for command in commands if command for key, option in settable(command).items()}
