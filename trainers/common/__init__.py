# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What all trainers share: the base trainer, checkpoints, adapters' bases, distributed runs."""
