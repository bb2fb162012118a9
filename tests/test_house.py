# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The house is as CONTRIBUTING.md and README.md draw it: rooms, doors, files, dependencies, licenses."""

import ast
import graphlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
import pytest
import yaml
from repository import PROJECT, REPOSITORY, ROOMS, every_file, python_files, relative


# What a room may import: the base install and the extras that a user of this room is told to install.
EXTRAS = {"modeling_brainllm": (), "trainers": ("train", "eval", "maps"), "dataset_builders": ("data",)}
# Declared, though no file of ours imports it.
NEEDED_BY_OTHERS = {
    "accelerate": "transformers.Trainer",
    "brainllm": "an extra that names other extras",
    "evaluate": "trainers/evaluate_metrics; taken here for examples/evaluate.py, which bears its name",
    "trackio": "transformers.Trainer, for `--report_to trackio`",
    "deepspeed": "accelerate, under examples/accelerate_configs/deepspeed_*.yaml",
    # command-line tools of the `dev` extra
    "build": "make build",
    "codespell": "make quality",
    "import-linter": "make quality",
    "mkdocs-material": "make docs",
    "mkdocstrings": "make docs",
    "pytest-timeout": "pytest",
    "pytest-xdist": "pytest",
    "ruff": "make quality",
    "setuptools": "make build",
    "transformers-mlinter": "make quality",
    "ty": "make quality",
}
LINES_OF_A_FILE, LINES_OF_A_FUNCTION = 450, 80
# One model, one file; and the forward of the full model documents every input.
LONG = {"modeling_brainllama.py": 600, "modeling_brainllama.py:forward": 120}


def imported_modules(path: Path) -> set[str]:
    """Top-level names of the absolute imports of a file, wherever they stand in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.importorskip":
            names.add(ast.literal_eval(node.args[0]))
    return {name.partition(".")[0] for name in names}


def distributions(modules: set[str]) -> set[str]:
    """The distributions that install these modules, ours and the standard library's aside."""
    third_party = modules - sys.stdlib_module_names - {*ROOMS, "brainllm"}
    ours = {name for path in python_files("docs", "tests", "examples") for name in (path.stem, path.parent.name)}
    owners = packages_distributions()
    # What an extra brings that is not installed here is taken to bear the name of its module.
    return {normal(owners.get(name, [name])[0]) for name in third_party - ours}


def normal(requirement: str) -> str:
    return re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower().replace("_", "-")


def declared(*extras: str) -> set[str]:
    lists = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)]
    return {normal(requirement) for requirements in lists for requirement in requirements}


class TestDependencies:
    @pytest.mark.parametrize("room", ROOMS)
    def test_a_room_imports_only_what_its_user_was_told_to_install(self, room):
        imported = set().union(*(imported_modules(path) for path in python_files(room)))
        assert distributions(imported) - declared(*EXTRAS[room]) == set()

    def test_nothing_is_declared_in_vain(self):
        imported = set().union(
            *(imported_modules(path) for path in python_files(*ROOMS, "brainllm", "docs", "examples", "tests"))
        )
        everything = declared(*PROJECT["optional-dependencies"])
        assert everything - distributions(imported) - set(NEEDED_BY_OTHERS) == set()

    def test_floors_are_the_floors_of_pyproject(self):
        """`make test-floors` tests the very releases that the ranges promise."""
        pinned = dict(
            line.split("==")
            for line in (REPOSITORY / "constraints-floors.txt").read_text().splitlines()
            if "==" in line
        )
        ranges = PROJECT["dependencies"] + [
            requirement
            for extra in ("train", "data", "eval", "maps")
            for requirement in PROJECT["optional-dependencies"][extra]
        ]
        promised = {normal(requirement): re.search(r">=([\w.]+)", requirement)[1] for requirement in ranges}
        parts = {name: len(floor.split(".")) for name, floor in promised.items()}
        tested = {name: ".".join(pinned[name].split(".")[: parts[name]]) for name in promised}
        assert tested == promised

    def test_constraints_are_plain_pins(self):
        for name in ("constraints.txt", "constraints-floors.txt"):
            lines = [line for line in (REPOSITORY / name).read_text().splitlines() if not line.startswith("#")]
            assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


# What each contract of pyproject.toml forbids, as one line added to one file.
TRESPASSES = {
    "Trainers use the model": ("trainers/statistics/permutations.py", "import dataset_builders"),
    "A model loads without": ("modeling_brainllm/configuration_brainllama.py", "import datasets"),
    "Corpora are built without": ("dataset_builders/schema.py", "import torch"),
    "Inside dataset_builders": ("dataset_builders/readers/words.py", "from dataset_builders import schema"),
    "Metrics are functions": ("trainers/metrics/text.py", "import torch"),
    "Inside trainers": ("trainers/statistics/permutations.py", "from ..sft.sft_trainer import BrainSFTTrainer"),
}


def lint_imports(folder: Path) -> str:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([program, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False).stdout


def folder_of(module: str, graph: grimp.ImportGraph) -> str:
    """Its folder; a module that stands alone in a room is a layer of its own, as in the contracts."""
    alone = module.count(".") <= 1 or graph.find_children(module)
    return module if alone else module.rpartition(".")[0]


class TestLayers:
    def test_the_doors_are_kept(self):
        report = lint_imports(REPOSITORY)
        assert f"{len(TRESPASSES)} kept, 0 broken" in report, report

    @pytest.mark.parametrize("contract", TRESPASSES)
    def test_a_trespass_is_noticed(self, contract, tmp_path):
        for room in ROOMS:
            shutil.copytree(REPOSITORY / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
        name, line = TRESPASSES[contract]
        with (tmp_path / name).open("a") as file:
            file.write(f"\n{line}\n")
        broken = [line for line in lint_imports(tmp_path).splitlines() if line.endswith("BROKEN")]
        assert len(broken) == 1
        assert broken[0].startswith(contract)

    def test_no_file_and_no_folder_needs_itself(self):
        """Neither by way of others: files and folders can be read in an order in which each builds on earlier ones."""
        graph = grimp.build_graph(*ROOMS, exclude_type_checking_imports=True)
        files = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
        folders: dict[str, set[str]] = {}
        for module, imported in files.items():
            others = {folder_of(other, graph) for other in imported} - {folder_of(module, graph)}
            folders.setdefault(folder_of(module, graph), set()).update(others)
        for needs in (files, folders):
            graphlib.TopologicalSorter(needs).prepare()  # raises `CycleError`, which names the circle

    def test_the_collator_asks_only_for_columns_of_the_row(self):
        """The one thing that crosses from builders to trainers, where no import says so."""
        from dataset_builders.schema import COLUMNS
        from trainers.data.collator import REQUIRED_COLUMNS

        assert set(REQUIRED_COLUMNS) <= set(COLUMNS)

    def test_no_test_folder_is_a_package(self):
        """tests/trainers with an `__init__.py` could be imported in place of the room."""
        assert list((REPOSITORY / "tests").rglob("__init__.py")) == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel by way of the source archive, from a copy, so that no build folder is left in the repository."""
    folder = tmp_path_factory.mktemp("sources")
    for name in every_file(
        *ROOMS, "brainllm", "examples", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", folder]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return next((folder / "dist").glob("*.whl"))


TINY_MODEL = """
import torch
from transformers import AutoModelForCausalLM, LlamaConfig
from modeling_brainllm import BrainLlamaConfig, BrainLlamaForCausalLM, FrameEncoderConfig
text = LlamaConfig(vocab_size=99, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4)
config = BrainLlamaConfig(text_config=text, encoder_config=FrameEncoderConfig(num_features=8, hidden_size=8))
model = BrainLlamaForCausalLM(config).eval()
model.save_pretrained("saved", merge_text_model=True)
loaded = AutoModelForCausalLM.from_pretrained("saved").eval()
ids = torch.arange(5)[None]
assert torch.equal(model(input_ids=ids).logits, loaded(input_ids=ids).logits)
import modeling_brainllm
print(modeling_brainllm.__file__)
"""


class TestInstallation:
    def test_the_wheel_holds_the_rooms_the_command_and_its_scripts(self, wheel):
        names = zipfile.ZipFile(wheel).namelist()
        packed = {name for name in names if ".dist-info/" not in name}
        scripts = {f"brainllm/{name}" for name in every_file("examples") if not name.startswith("examples/benchmarks")}
        assert packed == set(every_file(*ROOMS, "brainllm")) | scripts
        assert "modeling_brainllm/py.typed" in packed
        assert any(name.endswith("licenses/LICENSE") for name in names)

    def test_a_foreign_package_named_trainers_stops_no_model(self, wheel, run_python, tmp_path):
        """`trainers` is a common name: whoever stands beside another package of that name must still load models."""
        installed = tmp_path / "site"
        zipfile.ZipFile(wheel).extractall(installed)
        for room in ("trainers", "dataset_builders"):
            (tmp_path / "empty" / room).mkdir(parents=True)
            (tmp_path / "empty" / room / "__init__.py").write_text("raise RuntimeError('the wrong package')")
        environment = {"PYTHONPATH": str(installed), "PATH": "", "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)}
        origin = run_python(TINY_MODEL, env=environment).splitlines()[-1]
        assert Path(origin).is_relative_to(installed)

    def test_the_command_works_from_a_wheel_in_an_empty_folder(self, wheel, tmp_path):
        zipfile.ZipFile(wheel).extractall(tmp_path / "site")
        environment = {"PYTHONPATH": str(tmp_path / "site"), "PATH": "", "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)}

        def command(*arguments: str) -> str:
            line = [sys.executable, "-m", "brainllm", *arguments]
            return subprocess.run(
                line, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
            ).stdout

        assert "torch" in command("env")
        assert "usage: generate.py" in command("generate", "--help")
        command("init")
        copied = {
            path.relative_to(tmp_path).as_posix() for path in (tmp_path / "examples").rglob("*") if path.is_file()
        }
        assert copied == {name for name in every_file("examples") if not name.startswith("examples/benchmarks")}
        with pytest.raises(subprocess.CalledProcessError):
            command("init")  # nothing is overwritten

    def test_importing_the_model_prints_nothing(self):
        done = subprocess.run(
            [sys.executable, "-c", "import modeling_brainllm"],
            capture_output=True,
            text=True,
            check=True,
            cwd=REPOSITORY,
        )
        assert (done.stdout, done.stderr) == ("", "")

    def test_importing_the_upper_rooms_is_light(self):
        """Neither room may make a reader of rows or scores pay for torch."""
        script = "import sys, trainers, trainers.metrics, dataset_builders; print('torch' in sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=REPOSITORY
        )
        assert done.stdout.split() == ["False"]


def unsafe_loads(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every place where a file could run what it was given as data."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            names = {module} if module else {alias.name for alias in node.names}
            if names & {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "_pickle"}:
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Call):
            options = {option.arg: getattr(option.value, "value", None) for option in node.keywords}
            called = ast.unparse(node.func)
            unrestricted = called == "torch.load" and options.get("weights_only") is not True
            trusting = options.get("allow_pickle", False) is not False
            if unrestricted or trusting or called in ("eval", "exec") or called.endswith(".read_pickle"):
                yield node.lineno, ast.unparse(node)


class TestSafety:
    @pytest.mark.parametrize(
        "source",
        [
            "import pickle",
            "from joblib import load",
            "torch.load('x')",
            "torch.load('x', weights_only=False)",
            "np.load('x', allow_pickle=True)",
            "np.load('x', allow_pickle=trusted)",
            "pd.read_pickle('x')",
            "eval(text)",
        ],
    )
    def test_the_gate_closes(self, source):
        assert list(unsafe_loads(ast.parse(source)))

    @pytest.mark.parametrize("source", ["torch.load('x', weights_only=True)", "np.load('x')", "model.eval()"])
    def test_the_gate_opens(self, source):
        assert not list(unsafe_loads(ast.parse(source)))

    def test_nothing_loads_a_pickle_but_the_restricted_unpickler(self):
        allowed = REPOSITORY / "dataset_builders" / "readers" / "unpickling.py"
        found = {
            f"{relative(path)}:{line}": code
            for path in python_files(*ROOMS, "examples")
            if path != allowed
            for line, code in unsafe_loads(ast.parse(path.read_text()))
        }
        assert found == {}


def short_limits(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Limits of less than half an hour that end something, and clocks that decide a test."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and not ast.unparse(node.func).endswith("wait"):  # which polls
            name = ast.unparse(node.func).rpartition(".")[2]
            limits = [option.value for option in node.keywords if option.arg == "timeout"]
            limits += node.args[:1] if name in ("timeout", "communicate") else []
            for limit in limits:
                if isinstance(limit, ast.Constant) and isinstance(limit.value, int | float) and limit.value < HANG:
                    yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Assert) and re.search(r"\btime\.(monotonic|time|perf_counter)\(", ast.unparse(node)):
            yield node.lineno, ast.unparse(node)


HANG = 1800


class TestTime:
    @pytest.mark.parametrize(
        "source",
        [
            "subprocess.run(command, timeout=300)",
            "process.communicate(timeout=60.0)",
            "pytest.mark.timeout(120)",
            "assert time.monotonic() - started < 30",
        ],
    )
    def test_a_short_limit_is_noticed(self, source):
        assert list(short_limits(ast.parse(source)))

    def test_limits_guard_against_hangs_alone(self):
        """A busy machine is no defect: nothing is timed, and no limit is below half an hour."""
        settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
        assert settings["timeout"] >= HANG
        found = {
            f"{relative(path)}:{line}": code
            for path in python_files("tests")
            for line, code in short_limits(ast.parse(path.read_text()))
        }
        assert found == {}


MACHINE_PATH = re.compile(r"(?<![\w.])/work\b|\.\./shared|/root/|/home/\w|/Users/\w|/opt/\w|[A-Z]:\\Users")
# An optional path to data beside the repository, which they skip without.
MAY_NAME_SHARED = ("tests/", "examples/benchmarks/")


class TestFiles:
    def test_no_file_knows_a_machine(self):
        found = {}
        for name in every_file("."):
            text = (REPOSITORY / name).read_text(errors="ignore")
            if not name.startswith(MAY_NAME_SHARED) and (match := MACHINE_PATH.search(text)):
                found[name] = match[0]
        assert found == {}

    def test_every_file_bears_the_license(self):
        """In two lines; the files that travel to the Hub bear it in full, since they arrive there alone."""
        short = Path(__file__).read_text().partition('"""')[0]
        assert "SPDX-License-Identifier: Apache-2.0" in short
        full = (REPOSITORY / "modeling_brainllm" / "__init__.py").read_text().partition('"""')[0]
        assert full.count("\n") == 13
        bare = [
            relative(path)
            for path in python_files(*ROOMS, "brainllm", "docs", "examples", "tests")
            if (full if path.is_relative_to(REPOSITORY / "modeling_brainllm") else short) not in path.read_text()
        ]
        assert bare == []

    def test_files_and_functions_can_be_read_at_once(self):
        long = {}
        for path in python_files(*ROOMS, "brainllm", "docs", "examples", "tests"):
            text = path.read_text()
            lengths = {path.name: (text.count("\n"), LINES_OF_A_FILE)}
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef):
                    lengths[f"{path.name}:{node.name}"] = (node.end_lineno - node.lineno + 1, LINES_OF_A_FUNCTION)
            for name, (lines, most) in lengths.items():
                if lines > LONG.get(name, most):
                    long[f"{relative(path.parent)}/{name}"] = lines
        assert long == {}


class TestHardware:
    @pytest.mark.parametrize(
        "path", sorted((REPOSITORY / "examples/accelerate_configs").glob("*.yaml")), ids=lambda p: p.stem
    )
    def test_accelerate_reads_its_configurations(self, path):
        from accelerate.commands.config.config_args import load_config_from_file

        config = load_config_from_file(str(path))
        assert config.mixed_precision == "bf16"
        assert config.distributed_type == yaml.safe_load(path.read_text())["distributed_type"]
        if "zero" in path.stem:
            assert config.deepspeed_config["zero_stage"] == int(path.stem[-1])
            # Without it a ZeRO-3 run saves no weights.
            assert config.deepspeed_config.get("zero3_save_16bit_model", False) == (path.stem[-1] == "3")

    @pytest.mark.parametrize("path", sorted((REPOSITORY / "examples/deepspeed").glob("*.json")), ids=lambda p: p.stem)
    def test_deepspeed_leaves_to_the_trainer_what_the_trainer_knows(self, path):
        config = json.loads(path.read_text())
        assert config["zero_optimization"]["stage"] == int(path.stem.removesuffix("_offload")[-1])
        assert config["train_micro_batch_size_per_gpu"] == config["gradient_accumulation_steps"] == "auto"
        assert "optimizer" not in config  # DeepSpeed would compile its own; the trainer has one learning rate per part
        assert config["zero_optimization"].get("stage3_gather_16bit_weights_on_model_save", False) == (
            "zero3" in path.stem
        )
