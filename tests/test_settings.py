"""Options from variables and files, grouped help, topics, suggestions and completion."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from helpers import write_dataset
from mixup_cli.cli import COMMANDS, cli
from mixup_cli.cli.command import Command
from mixup_cli.cli.settings import long_name, settable, variable
from mixup_cli.cli.topics import TOPICS

# A value, other than the default, for every option that takes one.
VALUES = {
    "alpha": "0.5,2", "copies": "3", "count": "7", "pair": "same", "lam": "0.25", "min-mix": "0.125", "max-mix": "0.375",
    "label-policy": "remix", "kappa": "4.5", "tau": "0.75", "seed": "9", "reader": "csv",
    "split": "train", "labels": "/t/labels.csv", "file-column": "2", "label-column": "kind",
    "label-delimiter": ";", "files-from": "/t/files", "classes": "/t/classes.txt",
    "include-class": "cat", "exclude-class": "dog", "size": "32x24", "fit": "contain", "mode": "L",
    "background": "#102030", "max-pixels": "1.5", "label-format": "sparse", "jobs": "2",
    "part": "2/3", "on-error": "skip", "timeout": "7.5", "source": "/t/in",
    "format": "webdataset", "compression": "small", "decode": "full", "rows": "5", "output": "/t/o", "layout": "classes", "scheduler": "local",
}
ARGUMENTS = {"verify": ["out"], "report": ["out"], "alpha": ["0.2"]}
OPTIONS = [
    (name, key)
    for name in COMMANDS if name != "help"
    for key in settable(cli.get_command(None, name))
]


@pytest.fixture
def source(tmp_path):
    return write_dataset(tmp_path / "in")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    """The variables of whoever runs the tests must not count."""
    for name in [name for name in os.environ if name.startswith("MIXUP_")]:
        monkeypatch.delenv(name)


def mixup(*arguments, variables=None, cwd=None):
    """The command in this process, which starts faster than a new one."""
    here = Path.cwd()
    os.chdir(cwd or here)
    try:
        return CliRunner().invoke(cli, [str(a) for a in arguments], env=variables, prog_name="mixup")
    finally:
        os.chdir(here)


def parsed(name, *arguments):
    """What a command would be called with."""
    command = cli.get_command(None, name)
    with click.Context(cli, info_name="mixup") as parent:
        arguments = [*ARGUMENTS.get(name, ("in", "out")), *arguments]
        with command.make_context(name, arguments, parent=parent) as ctx:
            return ctx.params


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("settings")


@pytest.mark.parametrize("name, key", [o for o in OPTIONS if o[0] not in ("plan", "inspect")])
def test_every_option_has_a_variable_and_a_key(monkeypatch, folder, name, key):
    """Each gives what the flag gives, and that is not the default."""
    option = settable(cli.get_command(None, name))[key]
    if key == "debug":
        pytest.skip("no parameter of the command; tested with --debug itself")
    flag = parsed(name, f"--{key}", *([] if option.is_flag else [VALUES[key]]))
    assert flag != parsed(name)
    with monkeypatch.context() as patch:
        patch.setenv(variable(option), "1" if option.is_flag else VALUES[key])
        assert parsed(name) == flag
    value = "true" if option.is_flag else json.dumps(VALUES[key])
    (folder / "mixup.toml").write_text(f"{key} = {value}\n")
    assert parsed(name, "--config", str(folder / "mixup.toml")) == flag
    (folder / "mixup.toml").write_text(f"{key.replace('-', '_')} = {value}\n")
    assert parsed(name, "--config", str(folder / "mixup.toml")) == flag


def test_a_flag_over_a_variable_over_a_file_over_the_default(source, tmp_path):
    (tmp_path / "mixup.toml").write_text("seed = 3\n")

    def seed(*flags, **variables):
        result = mixup("augment", source, tmp_path / "out", "--dry-run", "--json", *flags,
                       variables=variables)
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)["options"]["seed"], result.stderr

    assert seed()[0] == 0
    file = ["--config", tmp_path / "mixup.toml"]
    value, said = seed(*file)
    assert value == 3 and f"Options from {tmp_path / 'mixup.toml'}: seed\n" in said
    value, said = seed(*file, MIXUP_SEED="2")
    assert value == 2 and "Options from the environment: MIXUP_SEED\n" in said and "toml" not in said
    value, said = seed(*file, "--seed", "1", MIXUP_SEED="2")
    assert value == 1 and "Options from" not in said
    assert seed(MIXUP_CONFIG=str(file[1]))[0] == 3


def test_the_nearest_pyproject_with_our_table(source, tmp_path):
    """Found in a folder above, past one without the table; said in a line, unless --quiet."""
    inner = tmp_path / "project/deep/er"
    inner.mkdir(parents=True)
    (tmp_path / "project/labels.csv").write_text("file,label\ncat/0.png,x\ndog/1.png,y\n")
    (tmp_path / "project/pyproject.toml").write_text(
        '[tool.mixup]\nlabels = "labels.csv"\nsize = 20\nno-sync = true\n'
    )
    (tmp_path / "project/deep/pyproject.toml").write_text('[project]\nname = "x"\n')
    command = ["augment", source, tmp_path / "out", "--dry-run"]
    result = mixup(*command, "--json", cwd=inner)
    record = json.loads(result.stdout)
    assert record["options"]["size"] == [20, 20] and record["counts"]["classes"] == 2
    assert "Options from ../../pyproject.toml: labels, no-sync, size\n" in result.stderr
    result = mixup(*command, "--json", "--config", os.devnull, cwd=inner)
    assert json.loads(result.stdout)["options"]["size"] is None and "Options" not in result.stderr
    assert mixup(*command, "--quiet", cwd=inner).stderr == ""


def test_a_file_serves_several_commands(source, tmp_path):
    (tmp_path / "mixup.toml").write_text("size = 20\nseed = 5\n")
    result = mixup("plan", source, "--config", tmp_path / "mixup.toml")
    assert result.exit_code == 0 and "mixup.toml: seed\n" in result.stderr
    assert result.stdout == mixup("plan", source, "--seed", "5").stdout


@pytest.mark.parametrize("text, words", [
    ("alhpa = 0.2", ["mixup.toml: 'alhpa' is no option; did you mean 'alpha'?"]),
    ("zzzz = 1", ["mixup.toml: 'zzzz' is no option"]),
    ("[augment]\nalpha = 1", ["mixup.toml: 'augment' is no option"]),
    ("alpha = 'much'", ["mixup.toml: alpha: 'much' is not a number"]),
    ("alpha = true", ["mixup.toml: alpha: True; give a text or a number"]),
    ("copies = 2.5", ["mixup.toml: copies: '2.5' is not a valid integer"]),
    ("size = [3, 4]", ["mixup.toml: size: [3, 4]; give a text or a number"]),
    ("balance = 'yes'", ["mixup.toml: balance: 'yes'; give true or false"]),
    ("pair = 'some'", ["mixup.toml: pair: 'some' is not one of"]),
    ("copies = 2\ncount = 3", ["mixup.toml: copies and count exclude one another"]),
    ("seed = 1\n= 2\n", ["mixup.toml: not TOML", "line 2"]),
])
def test_a_fault_in_a_file_is_one_line(source, tmp_path, text, words):
    (tmp_path / "mixup.toml").write_text(text)
    result = mixup("augment", source, tmp_path / "out", "--config", tmp_path / "mixup.toml")
    assert result.exit_code == 2 and not (tmp_path / "out").exists()
    assert result.stderr.startswith("Error: ") and len(result.stderr.splitlines()) == 1
    for word in words:
        assert word in result.stderr
    assert mixup("augment", "--help", "--config", tmp_path / "mixup.toml").exit_code == 0


def test_faults_of_files_and_variables(source, tmp_path):
    out = tmp_path / "out"
    assert "no.toml: No such file" in mixup("augment", source, out, "--config", "no.toml").stderr
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    result = mixup("augment", source, out, "--config", tmp_path / "pyproject.toml")
    assert result.exit_code == 2 and "no table [tool.mixup]" in result.stderr
    for name, value, words in [
        ("MIXUP_ALPHA", "much", "Error: MIXUP_ALPHA: 'much' is not a number"),
        ("MIXUP_BALANCE", "perhaps", "Error: MIXUP_BALANCE: 'perhaps'; give 1 or 0"),
    ]:
        result = mixup("augment", source, out, variables={name: value})
        assert result.exit_code == 2 and words in result.stderr and not out.exists()
    result = mixup("plan", source, variables={"MIXUP_COPEIS": "3", "MIXUP_SIZE": "3", "MIXUP_X": "1"})
    assert result.exit_code == 0
    assert result.stderr == "Warning: MIXUP_COPEIS sets nothing; is it MIXUP_COPIES?\n"


def test_what_excludes_one_another_is_settled_from_above(source, tmp_path):
    """--count over copies of a file, --lam over its alpha; a variable over a file alike."""
    file = tmp_path / "mixup.toml"
    file.write_text("copies = 3\nalpha = 1\nmin_mix = 0.1\n")
    rows = mixup("plan", source, "--config", file, "--count", "5", "--lam", "0.25").stdout.splitlines()
    assert len(rows) == 6 and all(row.split(",")[3] == "0.25" for row in rows[1:])
    rows = mixup("plan", source, "--config", file, variables={"MIXUP_COUNT": "5"}).stdout.splitlines()
    assert len(rows) == 6
    file.write_text("resume = true\nbalance = true\n")
    out = tmp_path / "out"
    assert mixup("augment", source, out, "--config", file, "--overwrite").exit_code == 0
    result = mixup("augment", source, out, "--config", file, "--overwrite", "--json",
                   variables={"MIXUP_BALANCE": "0", "MIXUP_INCLUDE_CLASS": "cat,dog"})
    options = json.loads(result.stdout)["options"]
    assert options["balance"] is False and options["include_class"] == ["cat", "dog"]


def test_settings_hold_over_an_earlier_run(source, tmp_path):
    """mixup render takes the size of the run that metadata.csv is of, unless told otherwise."""
    assert mixup("augment", source, tmp_path / "a", "--size", "8").exit_code == 0
    result = mixup("render", source, tmp_path / "a/metadata.csv", tmp_path / "b", "--json",
                   variables={"MIXUP_SIZE": "9"})
    assert json.loads(result.stdout)["options"]["size"] == [9, 9]


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "help"])
def test_help_is_grouped_and_fits(name):
    command = cli.get_command(None, name)
    assert isinstance(command, Command)
    text = mixup(name, "--help").stdout
    assert all(len(line) <= 80 for line in text.splitlines())
    assert re.findall(r"^(\w[\w ]*):$", text, re.M)[-1] == "General"
    for option in command.params:
        if isinstance(option, click.Option):
            assert re.search(rf"^  (-\w, )?--{long_name(option)}\b", text, re.M), long_name(option)
    if name in ("augment", "render"):
        assert "\nOptions:\n" not in text, "an option in no group"


@pytest.mark.parametrize("topic", TOPICS)
def test_topics_are_true(source, tmp_path, topic):
    """They fit, the options they name exist, the commands they show run."""
    text = mixup("help", topic).stdout
    assert text.strip() == TOPICS[topic].strip()
    assert all(len(line) <= 80 for line in text.splitlines())
    options = {key for name, key in OPTIONS} | {"config"}
    assert set(re.findall(r"(?<![\w-])--([a-z0][a-z0-9-]+)", text)) <= options
    (tmp_path / "photos").symlink_to(source)
    for line in re.findall(r"^  mixup (\w.*)$", text, re.M):
        result = mixup(*shlex.split(line), cwd=tmp_path)
        assert result.exit_code == 0, (line, result.stderr)
        if topic != "resume":
            shutil.rmtree(tmp_path / "mixed", ignore_errors=True)
    keys = re.findall(r"^    (\S.*)$", text, re.M) if topic == "settings" else []
    (tmp_path / "mixup.toml").write_text("\n".join(keys))
    assert mixup("plan", source, "--config", tmp_path / "mixup.toml").exit_code == 0
    for name in re.findall(r"MIXUP_[A-Z_]+", text):
        known = {variable(o) for c in COMMANDS for o in settable(cli.get_command(None, c)).values()}
        assert name in known | {"MIXUP_CONFIG", "MIXUP_COMPLETE"}


def test_help_lists_topics_and_helps_with_commands():
    listed = mixup("help").stdout
    assert [line.split()[0] for line in listed.splitlines()] == list(TOPICS)
    assert mixup("help", "plan").stdout == mixup("plan", "--help").stdout
    assert mixup("help", "alpah").exit_code == 2


def test_a_slip_is_answered_with_what_was_meant(source, tmp_path):
    result = mixup("augment", source, tmp_path / "out", "--min-mx", "0.1")
    assert result.exit_code == 2 and "--min-mix" in result.stderr
    result = mixup("augmnet", source, tmp_path / "out")
    assert result.exit_code == 2 and "No such command 'augmnet'. Did you mean 'augment'?" in result.stderr
    assert mixup("frobnicate").exit_code == 2


@pytest.fixture(scope="module")
def on_path(tmp_path_factory):
    """A folder with a script `mixup`, as pip installs it."""
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "mixup"
    script.write_text(f"#!{sys.executable}\nfrom mixup_cli.cli import main\nmain()\n")
    script.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def lines_of(shell):
    """The line of the topic `settings` that installs completion."""
    return next(line for line in re.findall(r"\S*(?:eval .*|_MIXUP_COMPLETE=fish.*)", TOPICS["settings"])
                if shell in line)


COMPLETIONS = [("mixup aug", "augment"), ("mixup augment --min-m", "--min-mix"),
               ("mixup augment --pair diff", "different"), ("mixup help pair", "pairing")]


@pytest.mark.parametrize("typed, completed", [
    COMPLETIONS[0], *(pytest.param(*more, marks=pytest.mark.slow) for more in COMPLETIONS[1:])
])
@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_completion(on_path, shell, typed, completed):
    """By the shell itself; zsh, which completes at a keyboard alone, by the function it would call."""
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    words = typed.split()
    script = {
        "bash": f"{lines_of('bash')}\nCOMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}\n"
                f"_mixup_completion mixup\necho \"${{COMPREPLY[@]}}\"",
        "fish": f"{lines_of('fish')}\ncomplete -C {shlex.quote(typed)}",
        "zsh": f"autoload -Uz compinit; compinit -u -D; {lines_of('zsh')}\n"
               "_describe() { print -l -- $completions_with_descriptions }\n"
               "compadd() { print -l -- $completions }\n"
               f"words=({typed}); CURRENT={len(words)}; _mixup_completion",
    }[shell]
    result = subprocess.run(
        [shell, "-c", script], capture_output=True, text=True, env={**os.environ, **on_path}, timeout=60
    )
    assert completed in re.split(r"[\s:]", result.stdout), result


def test_the_readme_is_true(source, tmp_path):
    """Its file is accepted, its lines for completion are those of the topic."""
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(re.search(r"```toml\n(.*?)```", readme, re.S)[1])
    result = mixup("augment", source, tmp_path / "out", "--dry-run", "--json", cwd=tmp_path)
    assert json.loads(result.stdout)["options"]["size"] == [224, 224]
    assert all(lines_of(shell) in readme for shell in ("bash", "fish"))
    listed = re.search(r"`mixup help` lists topics: (.*?)\.", readme)[1]
    assert listed.split(", ") == list(TOPICS)
    assert listed in COMMANDS["help"]
