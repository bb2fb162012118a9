# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""HDF5: what is read equals what h5py wrote, and what is hostile or damaged ends in one clear error."""

import os
import signal
import subprocess
import sys
import threading
import time
import zlib

import h5py
import numpy as np
import pytest

from dataset_builders.readers import hdf5_process
from dataset_builders.readers.hdf5 import hdf5_shapes, read_hdf5, read_hdf5_voxels


TRUTH = np.random.default_rng(0).normal(0, 1000, (6, 5, 4))
LAYOUTS = {
    "contiguous": {},
    "chunked": {"chunks": (4, 2, 3)},
    "gzip": {"chunks": (4, 2, 3), "compression": "gzip"},
    "gzip, shuffle, fletcher32": {"chunks": (1, 5, 4), "compression": "gzip", "shuffle": True, "fletcher32": True},
    "lzf": {"chunks": (6, 1, 1), "compression": "lzf"},
    "lzf, shuffle": {"chunks": (2, 2, 2), "compression": "lzf", "shuffle": True},
    "fletcher32": {"chunks": (3, 3, 3), "fletcher32": True},
}
SELECTIONS: list = [np.s_[...], np.s_[1], np.s_[-1, ..., 2], np.s_[1:5:2, 3], np.s_[..., 1:3], np.s_[2:2]]
SELECTIONS += [np.s_[5, 4, 3], np.s_[:100, ::4], np.s_[np.int64(2), :, -2:]]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "bold.h5"


def write(path, values=TRUTH, name="data", **options):
    with h5py.File(path, "w") as file:
        file.create_dataset(name, data=values, **options)
    return path


def assert_refused(path, *words, name="data", selection=...):
    """One ValueError that names the file and what is wrong; and the reader goes on to read another file."""
    with pytest.raises(ValueError, match=path.name) as refusal:
        read_hdf5(path, name, selection)
    assert type(refusal.value) is ValueError
    for word in words:
        assert word in str(refusal.value)
    sound = write(path.with_name("sound.h5"), chunks=True)
    np.testing.assert_array_equal(read_hdf5(sound, "data"), TRUTH)


class TestReading:
    @pytest.mark.parametrize("selection", SELECTIONS, ids=str)
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_every_layout_and_selection_is_the_truth(self, path, layout, selection):
        read = read_hdf5(write(path, **LAYOUTS[layout]), "data", selection)
        assert read.dtype == np.float64
        np.testing.assert_array_equal(read, TRUTH[selection], strict=True)

    @pytest.mark.parametrize("libver", ["earliest", "latest"])
    @pytest.mark.parametrize("layout", ["contiguous", "gzip"])
    @pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", ">f4", "<f2", "<i2", ">i2", "<i8", "|u1"])
    def test_every_type_is_the_truth_in_the_order_of_the_machine(self, path, dtype, layout, libver):
        values = np.abs(TRUTH).astype(np.uint8).astype(dtype)
        with h5py.File(path, "w", libver=libver) as file:
            file.create_dataset("data", data=values, **LAYOUTS[layout])
        assert hdf5_shapes(path) == {"/data": ((6, 5, 4), np.dtype(dtype))}
        np.testing.assert_array_equal(
            read_hdf5(path, "data"), values.astype(values.dtype.newbyteorder("=")), strict=True
        )

    def test_groups_scalars_empty_and_compact_datasets(self, path):
        with h5py.File(path, "w", userblock_size=512) as file:
            file["one"] = 2.5
            file["a/b/é"] = np.arange(3)
            file["empty"] = np.zeros((0, 4), np.int16)
            plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plan.set_layout(h5py.h5d.COMPACT)
            space = h5py.h5s.create_simple((4,))
            compact = h5py.h5d.create(file.id, b"compact", h5py.h5t.STD_I32BE, space, plan)
            compact.write(space, space, np.arange(4, dtype=">i4"))
        assert set(hdf5_shapes(path)) == {"/one", "/a/b/é", "/empty", "/compact"}
        assert read_hdf5(path, "one") == 2.5
        np.testing.assert_array_equal(read_hdf5(path, "/a/b/é"), [0, 1, 2])
        np.testing.assert_array_equal(read_hdf5(path, "empty"), np.zeros((0, 4), np.int16), strict=True)
        np.testing.assert_array_equal(read_hdf5(path, "compact"), np.arange(4, dtype=np.int32), strict=True)

    @pytest.mark.parametrize("chunks", [None, (6, 1, 1), (2, 5, 4)], ids=str)
    def test_voxels_come_in_the_order_of_the_mask(self, path, chunks):
        mask = np.random.default_rng(1).random((5, 4)) < 0.5
        np.testing.assert_array_equal(read_hdf5_voxels(write(path, chunks=chunks), "data", mask), TRUTH[:, mask])

    @pytest.mark.parametrize("shape", [(6, 5, 4), (6, 0, 4)], ids=str)
    def test_no_voxels(self, path, shape):
        mask = np.zeros(shape[1:], bool)
        path = write(path, np.zeros(shape, np.int16))
        np.testing.assert_array_equal(read_hdf5_voxels(path, "data", mask), np.zeros((6, 0), np.int16), strict=True)

    @pytest.mark.parametrize("mask", [np.ones((4, 5), bool), np.ones((5, 4))], ids=["shape", "type"])
    def test_a_mask_of_another_grid(self, path, mask):
        with pytest.raises(ValueError, match=r"bold\.h5 has frames of shape \[5, 4\].*give booleans"):
            read_hdf5_voxels(write(path), "data", mask)

    def test_a_relative_path_holds_after_the_folder_changed(self, path, monkeypatch):
        read_hdf5(write(path, chunks=True), "data")  # the other process runs from here on
        (path.parent / "inner").mkdir()
        write(path.parent / "inner" / "bold.h5", TRUTH + 1, chunks=True)
        monkeypatch.chdir(path.parent / "inner")
        np.testing.assert_array_equal(read_hdf5("bold.h5", "data"), TRUTH + 1)

    def test_a_limit_of_memory_that_the_user_set_is_no_crash(self, path):
        program = (
            "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30));"
            "from dataset_builders.readers.hdf5 import read_hdf5; print(read_hdf5(sys.argv[1], 'data').sum())"
        )
        command = [sys.executable, "-c", program, str(write(path, np.ones(5), chunks=(2,)))]
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        assert subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout == "5.0\n"

    def test_a_changed_file_is_checked_again(self, path):
        assert hdf5_shapes(write(path)) == {"/data": ((6, 5, 4), np.dtype(float))}
        times = path.stat()
        time.sleep(0.02)  # file systems count time in ticks
        write(path, TRUTH.astype(np.int64))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert path.stat().st_size == times.st_size
        assert hdf5_shapes(path) == {"/data": ((6, 5, 4), np.dtype(np.int64))}
        time.sleep(0.02)
        with h5py.File(path, "a") as file:
            file["outside"] = h5py.ExternalLink("secret.h5", "/data")
        assert_refused(path, "'/outside', a link to another file")


class TestOtherFiles:
    """HDF5 can name another file in place of values; nothing of it may be read."""

    @pytest.fixture
    def secret(self, tmp_path):
        return write(tmp_path / "secret.h5")

    def test_external_links(self, path, secret):
        with h5py.File(path, "w") as file:
            file["group/data"] = h5py.ExternalLink(secret, "/data")
        assert_refused(path, "a link to another file", name="group/data")

    def test_external_storage(self, path, secret):
        with h5py.File(path, "w") as file:
            file.create_dataset("data", (8,), "u1", external=[(str(secret), 0, 8)])
        assert_refused(path, "whose values lie in another file", "download it again")

    def test_virtual_datasets(self, path, secret):
        layout = h5py.VirtualLayout((6, 5, 4), float)
        layout[:] = h5py.VirtualSource(secret, "data", (6, 5, 4))
        with h5py.File(path, "w") as file:
            file.create_virtual_dataset("data", layout)
        assert_refused(path, "whose values lie in another file")

    def test_soft_links_are_not_followed(self, path):
        with h5py.File(path, "w") as file:
            file["data"], file["alias"], file["lost"] = TRUTH, h5py.SoftLink("/data"), h5py.SoftLink("/nothing")
        assert set(hdf5_shapes(path)) == {"/data"}
        assert_refused(path, "no dataset '/alias': choose from /data", name="alias")


class TestRefused:
    @pytest.mark.parametrize(
        "values",
        [
            np.array([b"abc", b"de"]),
            np.array(["abc", "de"], h5py.string_dtype()),
            np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
            np.array([1 + 2j]),
            np.array([True, False]),
            np.ones(3, np.longdouble),
        ],
        ids=["text", "text of any length", "records", "complex", "booleans", "long double"],
    )
    def test_types_that_are_no_plain_numbers(self, path, values):
        assert_refused(write(path, values), "'/data' is not read", "not plain integers or real numbers")

    def test_objects_and_references(self, path):
        with h5py.File(path, "w") as file:
            file["sound"] = TRUTH
            file.create_dataset("ragged", (2,), h5py.vlen_dtype(np.int32))
            file.create_dataset("references", data=[file.ref], dtype=h5py.ref_dtype)
        np.testing.assert_array_equal(read_hdf5(path, "sound"), TRUTH)
        assert_refused(path, "not plain integers or real numbers", name="ragged")
        assert_refused(path, "not plain integers or real numbers", name="references")

    def test_a_filter_that_loses_values(self, path):
        assert_refused(write(path, np.arange(8), chunks=(4,), scaleoffset=3), "filters [6]", "only gzip, lzf")

    def test_an_unknown_filter(self, path):
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((4,))
        plan.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, (1, 2))
        with h5py.File(path, "w") as file:
            h5py.h5d.create(file.id, b"data", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((4,)), plan)
        assert_refused(path, "filters [32001]", "only gzip, lzf")

    @pytest.mark.parametrize("layout", ["contiguous", "chunked", "gzip"])
    def test_more_values_than_the_file_can_hold(self, path, layout):
        with h5py.File(path, "w") as file:
            file.create_dataset("data", (1 << 20, 1 << 10, 1 << 10), "f8", **LAYOUTS[layout])
        assert_refused(path, f"'/data', which declares {1 << 43} bytes in a file of {path.stat().st_size}")

    def test_values_that_were_never_written(self, path):
        with h5py.File(path, "w") as file:
            file.create_dataset("data", (4,), "f8")
            file["null"] = h5py.Empty("f8")
            file.create_dataset("chunked", (6,), "f8", chunks=(2,))[:3] = 1
        assert_refused(path, "never written")
        assert_refused(path, "it has no values", name="null")
        assert_refused(path, "2 of the 3 chunks of '/chunked'", "never written", name="chunked", selection=np.s_[:2])

    def test_a_missing_dataset_names_those_that_exist(self, path):
        assert_refused(write(path, name="group/betas"), "'/data'", "choose from /group/betas")
        h5py.File(path, "w").close()
        assert_refused(path, "choose from none")

    @pytest.mark.parametrize(
        ("selection", "word"),
        [
            (6, "does not fit the shape (6, 5, 4)"),
            (np.s_[0, 0, 0, 0], "does not fit the shape (6, 5, 4)"),
            (np.s_[:, ::0], "does not fit the shape (6, 5, 4)"),
            (np.s_[::-1], "take it forwards"),
            (np.s_[..., 0, ...], "at most one ellipsis"),
            ([0, 1], "must be of integers, slices"),
        ],
        ids=str,
    )
    def test_selections_that_do_not_fit(self, path, selection, word):
        assert_refused(write(path), "'data'", word, selection=selection)


class TestDamaged:
    @pytest.mark.parametrize("layout", ["contiguous", "gzip"])
    def test_cut_short(self, path, layout):
        raw = write(path, **LAYOUTS[layout]).read_bytes()
        for share in (0.02, 0.3, 0.6, 0.9, 0.999):
            path.write_bytes(raw[: int(len(raw) * share)])
            assert_refused(path, "it again")

    @pytest.mark.parametrize("raw", [b"PK\x03\x04 no HDF5", b"\x89HDF\r\n\x1a\n", b"MATLAB 5.0 MAT-file" * 100])
    def test_other_formats(self, path, raw):
        path.write_bytes(raw)
        assert_refused(path, "cannot be read as HDF5", "download it again")

    def test_no_file_a_web_page_and_a_pointer(self, path):
        with pytest.raises(FileNotFoundError, match=r"bold\.h5 does not exist"):
            read_hdf5(path, "data")
        path.write_text("<html><body>404</body></html>")
        assert_refused(path, "a web page saved as data")
        path.write_text("/annex/objects/MD5E-s10--d41d8cd98f00b204e9800998ecf8427e.h5\n")
        assert_refused(path, "datalad get")

    def test_a_checksum_tells_an_altered_value(self, path):
        raw = bytearray(write(path, chunks=(6, 5, 4), fletcher32=True).read_bytes())
        raw[raw.index(TRUTH[3, 2].tobytes())] ^= 1
        path.write_bytes(raw)
        assert_refused(path, "cannot be read as HDF5")

    @pytest.mark.parametrize("compression", [None, "gzip", "lzf"])
    @pytest.mark.parametrize("num_bytes", [100, 8000])
    @pytest.mark.parametrize("start", [0, 1000])
    def test_a_chunk_of_another_size_than_its_shape(self, path, compression, num_bytes, start):
        """libhdf5 would fill the rest with what is in memory, or write behind it."""
        raw = np.random.default_rng(0).bytes(num_bytes)
        with h5py.File(path, "w") as file:
            file["padding"] = np.zeros(4000)
            data = file.create_dataset("data", (2000,), "f4", chunks=(1000,), compression=compression)
            data[:] = 1
            data.id.write_direct_chunk((start,), zlib.compress(raw) if compression == "gzip" else raw)
        assert_refused(path, "cannot be read as HDF5")

    def test_flipped_bits_never_escape_as_another_error(self, path):
        raw = write(path, **LAYOUTS["gzip, shuffle, fletcher32"]).read_bytes()
        generator = np.random.default_rng(0)
        for number in range(60):
            mutant = bytearray(raw)
            mutant[generator.integers(len(raw))] ^= 1 << generator.integers(8)
            broken = path.with_name(f"{number}.h5")
            broken.write_bytes(mutant)
            try:
                read_hdf5(broken, "data")
            except ValueError as error:
                assert broken.name in str(error)  # noqa: PT017 - most mutants are read


class TestOtherProcess:
    @pytest.fixture
    def slow(self, path):
        """4 GiB of zeros in 4 MB, within what gzip can inflate: seconds to read."""
        chunk = zlib.compress(bytes(16 << 20), 9)
        with h5py.File(path, "w") as file:
            data = file.create_dataset("data", (256, 16 << 20), "u1", chunks=(1, 16 << 20), compression="gzip")
            for row in range(256):
                data.id.write_direct_chunk((row, 0), chunk)
        return path

    def request(self, path, seconds):
        slabs = [[[row, row + 1, 1], [0, 16 << 20, 1]] for row in range(256)]
        return {"serve": "read", "path": str(path), "name": "data", "slabs": slabs, "seconds": seconds}

    def test_a_file_that_takes_too_long(self, slow):
        with pytest.raises(ValueError, match=r"bold\.h5 cannot be read as HDF5 \(libhdf5 takes more than 1 s\)"):
            hdf5_process.ask_libhdf5(self.request(slow, 1), lambda block: None)
        np.testing.assert_array_equal(read_hdf5(write(slow.with_name("sound.h5"), chunks=True), "data"), TRUTH)

    def test_a_process_that_dies(self, slow):
        hdf5_shapes(slow)
        process = hdf5_process._PROCESS.process
        assert process
        threading.Timer(0.2, os.killpg, [process.pid, signal.SIGKILL]).start()
        with pytest.raises(ValueError, match=r"bold\.h5 cannot be read as HDF5 \(libhdf5 crashes on it\): download"):
            hdf5_process.ask_libhdf5(self.request(slow, 3600), lambda block: None)
        np.testing.assert_array_equal(read_hdf5(write(slow.with_name("sound.h5"), chunks=True), "data"), TRUTH)

    def test_an_answer_that_nobody_waited_for_is_not_the_next_one(self, slow):
        def interrupt(block):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            hdf5_process.ask_libhdf5(self.request(slow, 3600), interrupt)
        np.testing.assert_array_equal(read_hdf5(write(slow.with_name("sound.h5"), chunks=True), "data"), TRUTH)

    def test_a_fork_has_a_process_of_its_own(self, path):
        read_hdf5(write(path, chunks=True), "data")
        child = os.fork()
        if not child:
            status = 1
            try:
                status = int(not np.array_equal(read_hdf5(path, "data", 1), TRUTH[1]))
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        np.testing.assert_array_equal(read_hdf5(path, "data", 2), TRUTH[2])
