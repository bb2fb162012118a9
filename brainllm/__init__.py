# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The command `brainllm`, and the one way in which every script reads its options and reports errors."""

from importlib.metadata import PackageNotFoundError, version


try:
    __version__ = version("brainllm")
except PackageNotFoundError:  # a folder on the path, never installed
    __version__ = "unknown"

__all__ = ["__version__"]
