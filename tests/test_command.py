# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The command and the options of scripts: quick, complete, and one message for what a user got wrong."""

import dataclasses
import importlib
import subprocess
import sys
from dataclasses import dataclass, field

import pytest
from repository import REPOSITORY

from brainllm.__main__ import COMMANDS, STAGES, main
from brainllm.running import parse, run
from brainllm.sources import read_options


HEAVY = (
    "trainers.sft.sft_config:BrainSFTConfig",
    "trainers.contrastive.contrastive_config:BrainContrastiveTrainingConfig",
    "trainers.grpo.grpo_config:BrainGRPOConfig",
)
# What takes seconds to import.
SLOW_MODULES = ("torch", "datasets", "peft", "accelerate", "scipy", "sklearn", "h5py", "nibabel")
SCRIPTS = (
    "train_sft.py",
    "train_contrastive.py",
    "train_grpo.py",
    "generate.py",
    "push_to_hub.py",
    "prepare_dataset.py",
)


@dataclass
class Light:
    dataset: str = field(metadata={"help": "rows"})
    steps: int = field(default=3, metadata={"help": "how many"})
    is_on: bool = field(default=True, metadata={"help": "whether"})

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError(f"`steps` must be at least 1; found {self.steps}")


def count(args: Light) -> None:
    """Stands for the `main` of a script."""
    if args.dataset == "absent":
        raise FileNotFoundError("absent: no such corpus")
    print(args.dataset, args.steps)


class TestSources:
    @pytest.mark.parametrize("option", HEAVY)
    def test_names_and_switches_are_those_of_the_class(self, option):
        module, name = option.split(":")
        found = read_options(module, name)
        fields = {f.name: f for f in dataclasses.fields(getattr(importlib.import_module(module), name)) if f.init}
        assert found.keys() == fields.keys()
        assert {n for n, o in found.items() if o.is_on} == {n for n, f in fields.items() if f.default is True}
        assert sum(bool(option.help) for option in found.values()) / len(found) > 0.9

    def test_an_unknown_class_is_named(self):
        with pytest.raises(ValueError, match="neither defines nor imports Nothing"):
            read_options("trainers.sft.sft_config", "Nothing")


class TestOptions:
    def test_the_command_line_prevails_over_the_file(self, tmp_path):
        (tmp_path / "recipe.yaml").write_text("dataset: rows\nsteps: 5\nis_on: false\n")
        (from_file,) = parse(count, [Light], ["--config", str(tmp_path / "recipe.yaml")])
        (overruled,) = parse(count, [Light], ["--config", str(tmp_path / "recipe.yaml"), "--steps", "7"])
        assert (from_file.steps, overruled.steps) == (5, 7)
        assert (from_file.dataset, from_file.is_on) == ("rows", False)

    @pytest.mark.parametrize(
        ("arguments", "status", "message"),
        [
            (["--datasett", "x"], 2, "no option --datasett; did you mean --dataset?"),
            (["--dataset", "x", "stray"], 2, "'stray' belongs to no option"),
            ([], 2, "--dataset"),
            (["--dataset", "x", "--steps", "many"], 2, "invalid int value: 'many'"),
            (["--dataset", "x", "--steps", "0"], 1, "`steps` must be at least 1; found 0"),
            (["--dataset", "absent"], 1, "absent: no such corpus"),
            (["--config", "nowhere.yaml"], 1, "nowhere.yaml: there is no such file"),
        ],
    )
    def test_what_is_wrong_is_one_message(self, arguments, status, message, capsys):
        with pytest.raises(SystemExit) as ended:
            run(count, Light, argv=arguments)
        assert (ended.value.code == 2) == (status == 2)
        # Python itself prints the message with which a program exits, and ends with 1.
        printed = capsys.readouterr().err if status == 2 else ended.value.code
        assert message in printed
        assert "Traceback" not in printed
        assert len(printed.splitlines()) <= 2

    def test_a_misspelt_line_of_a_file(self, tmp_path, capsys):
        (tmp_path / "recipe.yaml").write_text("dataset: rows\nstep: 5\n")
        with pytest.raises(SystemExit):
            run(count, Light, argv=["--config", str(tmp_path / "recipe.yaml")])
        assert "there is no option `step`; did you mean steps?" in capsys.readouterr().err

    def test_the_traceback_is_a_matter_of_asking(self):
        with pytest.raises(FileNotFoundError):
            run(count, Light, argv=["--dataset", "absent", "--traceback"])

    def test_a_defect_of_ours_is_not_hidden(self):
        with pytest.raises(ZeroDivisionError):
            run(lambda args: 1 / 0, Light, argv=["--dataset", "x"])


QUICK = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as ended:
    print("ended", ended.code, sorted({name.partition(".")[0] for name in sys.modules}))
"""


class TestQuickAnswers:
    @pytest.mark.parametrize("script", SCRIPTS)
    @pytest.mark.parametrize("argument", ["--help", "--datasett"])
    def test_neither_help_nor_a_misspelling_imports_what_is_slow(self, script, argument):
        """Counted in modules, since a clock would measure the machine."""
        command = [sys.executable, "-c", QUICK, str(REPOSITORY / "examples" / script), argument]
        printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY).stdout
        ended = printed.splitlines()[-1]
        assert ended.startswith("ended 0" if argument == "--help" else "ended 2")
        assert [name for name in SLOW_MODULES if f"'{name}'" in ended] == []


class TestCommand:
    def test_every_command_has_its_script(self):
        scripts = {script for script, _ in COMMANDS.values()} | set(STAGES.values())
        assert [name for name in scripts if not (REPOSITORY / "examples" / name).is_file()] == []
        # `small_recipe` is imported by others, and captions are a task of `evaluate`.
        others = {path.name for path in (REPOSITORY / "examples").glob("*.py")} - scripts
        assert others <= {"small_recipe.py"}

    def test_usage_names_every_command(self, capsys):
        main(["--help"])
        printed = capsys.readouterr().out
        assert all(f"\n  {name} " in printed for name in [*COMMANDS, "init", "env"])

    @pytest.mark.parametrize("command", ["map", "generate"])
    def test_errors_of_every_script_are_one_message(self, command, tmp_path, monkeypatch):
        """Whether or not the script reads its options as most do."""
        own = ["--subject", "s1", "--output_dir", str(tmp_path)] if command == "map" else []
        monkeypatch.setattr(sys, "argv", list(sys.argv))
        with pytest.raises(SystemExit, match="error: Couldn't find any data file at /nowhere"):
            main([command, "--checkpoint", "/nowhere", "--dataset", "/nowhere", *own])
        with pytest.raises(FileNotFoundError):
            main([command, "--checkpoint", "/nowhere", "--dataset", "/nowhere", *own, "--traceback"])

    def test_an_unknown_command(self, capsys):
        with pytest.raises(SystemExit):
            main(["teach"])
        assert "no command 'teach'" in capsys.readouterr().err
