# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The stories of the Huth lab: LeBel et al. 2023, Tang et al. 2023."""
