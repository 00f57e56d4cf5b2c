"""Imports go down the house only, and each foreign library has its rooms."""

import ast
import shutil
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "mixup_cli"
RENDER = {"errors", "tar", "remote", "kernel", "dataset", "plan", "png", "codec", "canvas", "store"}
MAY_IMPORT = {
    "__init__": {"api", "canvas", "dataset", "errors", "kernel", "loading", "plan", "provenance", "run"},
    "__main__": {"cli"},
    "errors": set(),
    "kernel": {"errors"},
    "dataset": {"errors", "tar", "remote", "dataset"},
    "plan": {"errors", "kernel", "dataset", "plan"},
    "tables": {"errors", "kernel", "dataset", "plan"},
    "tar": {"errors"},
    "remote": {"errors"},
    "png": {"errors"},
    "codec": {"errors", "png"},
    "canvas": {"errors", "codec"},
    "store": {"errors", "tar", "remote", "store"},
    "render": RENDER | {"tables"},
    "engine": {"errors", "engine"},
    "provenance": RENDER | {"tables", "__init__"},
    "surroundings": {"tar", "remote", "provenance"},
    "run": RENDER | {"tables", "provenance", "surroundings", "render", "engine"},
    "api": {"dataset", "plan", "provenance", "run"},
    "loading": {"errors", "dataset", "store", "tables"},
    "inspect": RENDER | {"render", "engine"},
    "verify": RENDER | {"tables", "provenance", "render", "engine", "run", "verify"},
    "draw": {"errors", "codec", "canvas"},
    "alpha": {"errors", "draw"},
    "preview": RENDER | {"tables", "render", "run", "draw"},
    "report": RENDER | {"provenance", "draw", "alpha", "report", "__init__"},
    "cli": RENDER | {"tables", "provenance", "render", "engine", "run", "inspect", "verify",
            "preview", "alpha", "report", "cli", "__init__"},
}
ONLY_IN = {
    "click": {"cli"}, "tqdm": {"cli"}, "simplejpeg": {"codec"}, "isal": {"png"},
    "distributed": {"engine"}, "fsspec": {"remote"}, "pyarrow": {"store"}, "tarfile": {"tar"},
    "PIL": {"codec", "png", "draw"}, "matplotlib": {"report"}, "jinja2": {"report"},
    "fcntl": {"store"}, "msvcrt": {"store"}, "multiprocessing": {"engine"},
}


def imported_modules(source):
    """Every module a source names in an import, inside functions too, dotted."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_module":
            if isinstance(node.args[0], ast.Constant):
                yield node.args[0].value


def forbidden_imports(package):
    for path in sorted(package.rglob("*.py")):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        for module in imported_modules(path.read_text(encoding="utf-8")):
            top, *rest = module.split(".")
            if top == "mixup_cli":
                rooms = {path.stem for path in package.iterdir()}
                target = rest[0] if rest and rest[0] in rooms else "__init__"
                if target not in MAY_IMPORT[room]:
                    yield f"{room} imports {target}"
            elif room not in ONLY_IN.get(top, {room}):
                yield f"{room} imports {top}"


def test_imports_go_down_only():
    assert list(forbidden_imports(PACKAGE)) == []


def test_every_room_has_its_line_in_the_table():
    rooms = {p.stem if p.is_file() else p.name for p in PACKAGE.iterdir() if not p.name.startswith("__pycache__")}
    assert rooms - {"py"} == set(MAY_IMPORT)


@pytest.mark.parametrize(
    "room, line",
    [
        ("kernel", "from mixup_cli.codec import decode"),
        ("errors", "import mixup_cli.kernel"),
        ("store", "def f():\n    from mixup_cli import render"),
        ("render", "import click"),
        ("run", "from tqdm import tqdm"),
        ("canvas", "from PIL import Image"),
        ("preview", "from PIL import Image"),
        ("draw", "from mixup_cli.render import load_source"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path, room, line):
    shutil.copytree(PACKAGE, tmp_path, dirs_exist_ok=True)
    with open(tmp_path / f"{room}.py", "a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    assert len(list(forbidden_imports(tmp_path))) == 1
