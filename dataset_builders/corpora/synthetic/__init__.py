# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Planted corpora: sentences, images, stories, with a signal of known strength."""
