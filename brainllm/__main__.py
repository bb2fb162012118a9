# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
The command `brainllm`: the scripts of `examples/` by one name each, from a wheel as from a clone.

    brainllm init                                    # copies scripts, recipes and hardware files to ./examples
    brainllm prepare --corpus synthetic_sentences --output_dir runs/synthetic
    brainllm train --help                            # prompt tuning; stages 1 and 3: `train contrastive`, `train grpo`
    brainllm env                                     # what an issue report needs

Several GPUs: `accelerate launch examples/train_sft.py ...` after `brainllm init`.
"""

import os
import platform
import runpy
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

from . import __version__


#: Each command, the script that it runs, and what it is for.
COMMANDS = {
    "prepare": ("prepare_dataset.py", "turn a corpus into rows that every other command reads"),
    "train": ("train_sft.py", "train a decoder; `train contrastive` and `train grpo` for the other stages"),
    "evaluate": ("evaluate.py", "judge a checkpoint, or captions of any system, beside its controls"),
    "generate": ("generate.py", "decode texts of a corpus beside the truth"),
    "ask": (
        "generate.py",
        "ask an instructed model about what a brain saw: brainllm ask 'What is it?' --checkpoint ...",
    ),
    "analyze": ("analyze.py", "the papers' analyses of reports or of a checkpoint"),
    "map": ("map_voxels.py", "which voxels a decoder reads"),
    "story": ("reconstruct_story.py", "decode a whole story"),
    "push": ("push_to_hub.py", "publish a checkpoint with its card"),
    "demo": ("demo.py", "the whole path on synthetic brains, in minutes"),
}
STAGES = {"sft": "train_sft.py", "contrastive": "train_contrastive.py", "grpo": "train_grpo.py"}
LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "huggingface-hub", "deepspeed")


def examples() -> Path:
    """Folder of the scripts: inside an installed package, beside it in a clone."""
    inside = Path(__file__).resolve().parent / "examples"
    return inside if inside.is_dir() else inside.parents[1] / "examples"


def init(target: str = ".") -> None:
    """Copies scripts, recipes and hardware files to `examples/` in a folder; nothing there is overwritten."""
    folder = Path(target) / "examples"
    if folder.exists():
        fail(f"{folder} is there already. Name another folder: brainllm init FOLDER")
    shutil.copytree(examples(), folder, ignore=shutil.ignore_patterns("benchmarks", "__pycache__"))
    print(f"written to {folder}: run `python {folder / 'prepare_dataset.py'} --help`, or `accelerate launch`")


def env() -> None:
    """Prints the versions that an issue report needs; no path, no name of a machine."""
    print(f"brainllm {__version__}\nPython {platform.python_version()}, {platform.system()} {platform.machine()}")
    for name in LIBRARIES:
        try:
            print(f"{name} {version(name)}")
        except PackageNotFoundError:
            print(f"{name} is not installed")
    try:
        import torch

        kinds = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        print(f"accelerators: {', '.join(kinds) or 'none'}; {os.cpu_count()} CPU cores")
    except ImportError:
        print("torch cannot be imported")


def run_script(script: str, arguments: list[str]) -> None:
    """Runs a script as `python examples/script ...` does, in this process."""
    sys.argv = [str(examples() / script), *arguments]
    sys.path.insert(0, str(examples()))
    runpy.run_path(sys.argv[0], run_name="__main__")


def fail(message: str) -> NoReturn:
    print(f"brainllm: error: {message}", file=sys.stderr)
    raise SystemExit(2)


def usage() -> str:
    own = {"init": "copy scripts, recipes and hardware files to ./examples", "env": "what an issue report needs"}
    rows = {**{name: text for name, (_, text) in COMMANDS.items()}, **own}
    lines = "\n".join(f"  {name:<10}{text}" for name, text in rows.items())
    return f"{(__doc__ or '').strip()}\n\ncommands:\n{lines}\n\n`brainllm COMMAND --help` lists the options of each."


def main(argv: list[str] | None = None) -> None:
    """Entry point of the command."""
    command, *arguments = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if command in ("-h", "--help", "help"):
        print(usage())
    elif command == "--version":
        print(__version__)
    elif command == "init":
        init(*arguments[:1])
    elif command == "env":
        env()
    elif command in COMMANDS:
        script = COMMANDS[command][0]
        if command == "train" and arguments[:1] and arguments[0] in STAGES:
            script, arguments = STAGES[arguments[0]], arguments[1:]
        if command == "ask" and arguments and not arguments[0].startswith("-"):
            arguments = ["--question", *arguments]
        run_script(script, arguments)
    else:
        fail(f"there is no command {command!r}; `brainllm --help` lists them")


if __name__ == "__main__":
    main()
