# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
Files → arrays and words: the only places where source files are opened.

Each reader refuses what is missing, cut short, unsafe or too large with one `ValueError` or `FileNotFoundError` that
names the file; none imports anything of the corpora.
"""
