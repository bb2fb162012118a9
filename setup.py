# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A wheel holds the scripts of `examples/` too, inside `brainllm`, whose command runs and copies them."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithExamples(build_py):
    """Copies them, without benchmarks; an editable install finds them where they are."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            ignore = shutil.ignore_patterns("benchmarks", "__pycache__", "runs", "outputs")
            shutil.copytree(
                "examples", Path(self.build_lib, "brainllm", "examples"), ignore=ignore, dirs_exist_ok=True
            )


setup(cmdclass={"build_py": BuildWithExamples})
