# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What the scripts of this folder share: CPU seconds in turns, what torch allocates, modules as they were."""

import importlib.util
import statistics
import subprocess
import tempfile
import time
import types
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


#: The last commit before the changes that these scripts measure.
BEFORE = "307ac89"
#: Operators that make a GPU's host wait.
SYNCS = ("aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten.unique", "aten.equal")


def in_turns(repeats: int, **functions: Callable[[], Any]) -> dict[str, float]:
    """Median CPU seconds of each function; they take turns, so that what else the machine does meets all alike."""
    spent: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.process_time()
            function()
            spent[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in spent.items()}


class Watch(TorchDispatchMode):
    """Counts operators, waits of the host, and bytes that live at once beside `known`; none are needed on `meta`."""

    def __init__(self, *known: torch.Tensor):
        super().__init__()
        self.calls, self.syncs, self.live, self.peak, self.largest = 0, 0, 0, 0, 0
        self._seen = {tensor.untyped_storage()._cdata for tensor in known}

    def __torch_dispatch__(self, function, kinds, args=(), kwargs=None):
        result = function(*args, **kwargs or {})
        self.calls += 1
        self.syncs += str(function).startswith(SYNCS)
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._seen:
            return
        self._seen.add(key)
        self.live += size
        self.peak, self.largest = max(self.peak, self.live), max(self.largest, size)
        weakref.finalize(storage, self._drop, key, size)

    def _drop(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.live -= size


def module_at(path: str, commit: str = BEFORE) -> types.ModuleType:
    """A file of a package as it was at a commit, beside the package as it is."""
    root = Path(__file__).parents[3]
    source = subprocess.run(
        ["git", "show", f"{commit}:{path}"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    name = path.removesuffix(".py").replace("/", ".")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, Path(path).name)
        file.write_text(source, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module
