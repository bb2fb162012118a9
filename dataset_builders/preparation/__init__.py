# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""From recordings to rows: statistics, fits on training frames, preprocessing, storage."""
