# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import xxhash

from dataset_builders.schema import Sample
from dataset_builders.splitting.fingerprints import (
    EXACT,
    RESCALED,
    STANDARDIZED,
    VARIES,
    FrameTable,
    digest_frames,
    distances,
    near_keys,
)


VALUES = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


class TestDigests:
    def test_exact_hash_is_that_of_the_float32_bytes(self):
        digests = digest_frames(VALUES.astype(np.float16))
        expected = [xxhash.xxh3_128_digest(row.astype(np.float16).astype("<f4").tobytes()) for row in VALUES]
        assert [bytes(row) for row in digests[:, EXACT]] == expected
        assert digests.dtype == np.uint8
        assert digests.shape == (6, VARIES.stop)

    @pytest.mark.parametrize("raw", [True, False])
    def test_affine_copies_have_the_same_hash_and_frames_that_follow_do_not(self, raw):
        """Slow raw volumes, and components of falling variance."""
        generator = np.random.default_rng(5)
        values = np.cumsum(generator.normal(0, 2, (400, 300)), axis=0) + generator.normal(1000, 300, 300)
        if not raw:
            values = generator.normal(size=(400, 300)) * 800 / np.sqrt(1 + np.arange(300))
        values = values.astype(np.float32)
        scale, shift = generator.uniform(0.01, 50, (2, 400, 1)).astype(np.float32)
        frames = digest_frames(scale * values + shift)[:, RESCALED] == digest_frames(values)[:, RESCALED]
        assert frames.all(1).mean() > 0.95
        features = digest_frames((values - values.mean(0)) / values.std(0))[:, STANDARDIZED]
        own = digest_frames(values)
        assert (features == own[:, STANDARDIZED]).all(1).mean() > 0.9
        for columns in (EXACT, RESCALED, STANDARDIZED):
            assert len(np.unique(own[:, columns], axis=0)) == 400

    def test_voxels_without_values_do_not_hide_a_copy(self):
        values = np.random.default_rng(6).normal(size=(30, 200)).astype(np.float32)
        values[:, ::7] = np.nan
        same = digest_frames(3 * values + 1)[:, RESCALED] == digest_frames(values)[:, RESCALED]
        assert same.all(1).mean() > 0.9

    def test_what_is_too_small_to_tell(self):
        digests = digest_frames(np.random.default_rng(7).normal(size=(15, 15)).astype(np.float32))
        assert not digests[:, RESCALED].any()
        assert not digests[:, STANDARDIZED].any()
        assert digests[:, VARIES].all()
        assert not digest_frames(np.full((1, 20), 3, np.float32))[:, VARIES].any()


class TestLikeness:
    def test_near_sequences_are_those_at_one_change(self):
        """Compared with a search through all ways to add, leave out, exchange or move one member."""
        generator = np.random.default_rng(8)
        texts = ["".join(generator.choice(list("abc"), generator.integers(1, 6))) for _ in range(120)]
        owners, keys = near_keys([*texts, ""])
        sets = [set(keys[owners == n].tolist()) for n in range(len(texts) + 1)]
        assert sets[-1] == set()

        def shortened(text):
            return {text[:k] + text[k + 1 :] for k in range(len(text))}

        for one, left in enumerate(texts):
            moved = {rest[:k] + c + rest[k:] for i, c in enumerate(left) for rest in [left[:i] + left[i + 1 :]]
                     for k in range(len(rest) + 1)}  # fmt: skip
            for two, right in enumerate(texts):
                exchanged = any(left[:k] + right[k : k + 1] + left[k + 1 :] == right for k in range(len(left)))
                alike = right in moved | shortened(left) or left in shortened(right) or exchanged
                # A member may be moved and exchanged at once: the two share what is left without it.
                alike = alike or bool(shortened(left) & shortened(right))
                assert bool(sets[one] & sets[two]) == alike, (left, right)

    def test_distances(self):
        generator = np.random.default_rng(9)
        places, others = generator.integers(0, 1000, 80), generator.integers(0, 1000, 30)
        np.testing.assert_array_equal(distances(places, others), np.abs(places[:, None] - others).min(1))
        assert distances(places, others[:0]).min() > 10**12

    def test_repetition_time_is_read_from_the_rows(self):
        samples = [
            Sample(*["x"] * 10, recording=name, frames=frames, frame_times=times)
            for name, frames, times in (
                ("a/1", (3, 4, 5), (4.5, 6.0, 7.5)), ("a/2", (0,), (1.0,)), ("a/2", (4,), (3.0,)),
                ("a/3", (1, 2), ()), ("a/1", (9,), (13.5,)), ("a/4", (7,), (1.0,)),
            )
        ]  # fmt: skip
        seconds = FrameTable.of(samples).seconds_per_frame()
        np.testing.assert_allclose(seconds, [1.5, 1.5, 1.5, 0.5, 0.5, np.nan, np.nan, 1.5, np.nan])
