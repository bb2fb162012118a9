# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io.matlab
from scipy.io import loadmat, savemat

from dataset_builders.readers.matfiles import mat_shapes, read_mat


#: Files that several releases of MATLAB have written, on several machines; they come with SciPy.
BUNDLED = Path(scipy.io.matlab.__file__).parent / "tests" / "data"
READABLE = sorted(
    path.name
    for pattern in (
        "big_endian*", "broken_utf8*", "little_endian*", "miuint32_for*", "miutf8*", "one_by_zero*", "single_empty*",
        "test3d*", "test_empty*", "test_skip*", "testbool*", "testcell*", "testdouble_[67]*", "testemptycell*",
        "testmatrix_[67]*", "testminus_[67]*", "testmulti_[67]*", "testonechar_[67]*", "testscalarcell*",
        "testsimplecell*", "teststring_[67]*", "teststringarray_[67]*", "teststructarr*", "teststructnest*",
        "testunicode*",
    )
    for path in BUNDLED.glob(pattern)
)  # fmt: skip
REFUSED = {
    "bad_miuint32.mat": r"an array of shape \(-2147483647, 10\)",
    "bad_miutf8_array_name.mat": "Non ascii int8 string",
    "corrupted_zlib_checksum.mat": "incorrect data check",
    "corrupted_zlib_data.mat": "is not of the 26832 bytes that it declares",
    "debigged_m4.mat": "no MATLAB file of version 5",
    "logical_sparse.mat": "variable sp_log_5_4 holds a sparse matrix",
    "malformed1.mat": "cut short: a variable of 658840 bytes where 2072 are left",
    "nasty_duplicate_fieldnames.mat": "field names that are not distinct",
    "some_functions.mat": "variable sqr holds a function handle",
    "testcomplex_7.4_GLNX86.mat": "variable testcomplex holds complex numbers",
    "testfunc_7.4_GLNX86.mat": "variable testfunc holds a function handle",
    "testhdf5_7.4_GLNX86.mat": r"version 7\.3 \(HDF5\); open it in MATLAB and save it again with -v7",
    "testobject_7.4_GLNX86.mat": "variable testobject holds a MATLAB object",
}

bundled = pytest.mark.skipif(not BUNDLED.is_dir(), reason="SciPy was installed without its MATLAB files")


def column(texts):
    cell = np.empty((len(texts), 1), object)
    cell[:, 0] = texts
    return cell


@pytest.fixture
def truth():
    generator = np.random.default_rng(0)
    return {
        "examples": generator.normal(size=(5, 7)),
        "keySentences": column(["A dog barks.", "Café, naïve – 東京", "", "x", "Blanks  stay "]),
        "labels": np.arange(1.0, 6)[:, None],
        "meta": {"dimx": 3.0, "mask": np.array([[True, False]]), "rois": column([column(["a", "b"]), column(["c"])])},
    }


@pytest.fixture
def path(tmp_path, truth):
    savemat(tmp_path / "a.mat", truth, do_compression=True)
    return tmp_path / "a.mat"


def same(ours, theirs):
    """Whether values are equal in kind, shape and content, however deep they are nested."""
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[name], theirs[name]) for name in ours)
    if isinstance(ours, list) or (isinstance(ours, np.ndarray) and ours.dtype.kind == "O"):
        pairs = zip(np.ravel(np.array(ours, object)), np.ravel(np.array(theirs, object)), strict=True)
        return np.shape(ours) == np.shape(theirs) and all(same(our, their) for our, their in pairs)
    return type(ours) is type(theirs) and np.array_equal(ours, theirs)


# -- files made by hand, for what no writer writes -------------------------------------------------------------------


def element(kind, content):
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def array(array_class, shape, *values, name=b"", flags=0):
    header = element(6, struct.pack("<II", array_class | flags, 0))
    header += element(5, struct.pack(f"<{len(shape)}i", *shape)) + element(1, name)
    return element(14, header + b"".join(values))


def numbers(values, name=b""):
    return array(6, (1, len(values)), element(9, np.array(values, "<f8").tobytes()), name=name)


def compressed(content):
    packed = zlib.compress(content)
    return struct.pack("<II", 15, len(packed)) + packed


def write(path, *elements):
    path.write_bytes(b"MATLAB 5.0 MAT-file, by hand".ljust(116) + bytes(8) + b"\x00\x01IM" + b"".join(elements))
    return path


class TestReading:
    def test_values_are_the_truth(self, path, truth):
        read = read_mat(path)
        np.testing.assert_array_equal(read["examples"], truth["examples"])
        texts = read["keySentences"]
        assert texts[[0, 1, 3, 4]].tolist() == ["A dog barks.", "Café, naïve – 東京", "x", "Blanks  stay "]
        assert texts[2].size == 0
        np.testing.assert_array_equal(read["labels"], [1, 2, 3, 4, 5])
        assert read["meta"]["dimx"] == 3
        np.testing.assert_array_equal(read["meta"]["mask"], [1, 0])
        assert read["meta"]["rois"][0].tolist() == ["a", "b"]
        assert read["meta"]["rois"][1] == "c"

    def test_only_what_is_wanted(self, path, truth):
        assert list(read_mat(path, ["labels"])) == ["labels"]
        assert mat_shapes(path) == {"examples": (5, 7), "keySentences": (5, 1), "labels": (5, 1), "meta": (1, 1)}

    def test_missing_variable(self, path):
        with pytest.raises(ValueError, match=r"a\.mat cannot be read: it has no variable x, but examples, keyS"):
            read_mat(path, ["labels", "x"])

    @bundled
    @pytest.mark.parametrize("name", READABLE)
    def test_files_of_matlab(self, name):
        theirs = loadmat(BUNDLED / name, simplify_cells=True)
        ours = read_mat(BUNDLED / name)
        assert ours
        assert same(ours, {key: value for key, value in theirs.items() if not key.startswith("__")})
        shapes = {key: np.shape(value) for key, value in loadmat(BUNDLED / name, chars_as_strings=False).items()}
        assert {key: shape for key, shape in shapes.items() if not key.startswith("__")} == mat_shapes(BUNDLED / name)

    @bundled
    def test_enough_files_were_found(self):
        assert len(READABLE) > 50

    def test_wide_characters(self, tmp_path):
        """SciPy, left to itself, keeps the lower byte of each."""
        text = "naïve 東京"
        content = array(4, (1, len(text)), element(4, text.encode("utf-16-le")), name=b"text")
        assert read_mat(write(tmp_path / "a.mat", content))["text"] == text


class TestRefusals:
    @bundled
    @pytest.mark.parametrize("name", REFUSED)
    def test_files_of_matlab(self, name):
        with pytest.raises(ValueError, match=f"{name} cannot be read: .*{REFUSED[name]}"):
            read_mat(BUNDLED / name)

    def test_function_handle_is_harmless_where_it_is_not_read(self, tmp_path):
        path = write(tmp_path / "a.mat", numbers([1.0, 2.0], b"good"), array(16, (1, 1), numbers([]), name=b"bad"))
        np.testing.assert_array_equal(read_mat(path, ["good"])["good"], [1, 2])
        with pytest.raises(ValueError, match="variable bad holds a function handle"):
            read_mat(path)

    def test_opaque_object(self, tmp_path):
        """As MATLAB writes a `table` or a `string`."""
        flags = element(6, struct.pack("<II", 17, 0))
        opaque = element(14, flags + element(1, b"words") + element(1, b"MCOS") + element(1, b"string"))
        with pytest.raises(ValueError, match="variable words holds an opaque object"):
            read_mat(write(tmp_path / "a.mat", opaque))

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"b\.mat"):
            read_mat(tmp_path / "b.mat")

    def test_annex_pointer(self, tmp_path):
        (tmp_path / "a.mat").write_text("/annex/objects/MD5E-s12345--0123456789abcdef0123456789abcdef.mat\n")
        with pytest.raises(ValueError, match="datalad get"):
            read_mat(tmp_path / "a.mat")

    def test_hdf5_file_without_header(self, tmp_path):
        (tmp_path / "a.mat").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(1000))
        with pytest.raises(ValueError, match=r"of version 7\.3"):
            read_mat(tmp_path / "a.mat")

    @pytest.mark.parametrize("kept", [60, 130, 200, 700])
    def test_file_cut_short(self, path, kept):
        os.truncate(path, kept)
        with pytest.raises(ValueError, match=r"a\.mat cannot be read"):
            read_mat(path)

    def test_two_variables_of_one_name(self, tmp_path):
        with pytest.raises(ValueError, match="two variables have the name x"):
            read_mat(write(tmp_path / "a.mat", numbers([1.0], b"x"), numbers([2.0], b"x")))

    def test_any_flipped_byte_of_compressed_values_is_noticed(self, path):
        names, content = list(mat_shapes(path)), path.read_bytes()
        for place in range(128, len(content), 7):
            path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
            with pytest.raises(ValueError, match=r"a\.mat cannot be read"):
                read_mat(path, names)


class TestAbsurdSizes:
    """Short files that would cost SciPy gigabytes, its stack, or the process."""

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (array(6, (2**31 - 1, 2**31 - 1), element(9, bytes(8)), name=b"x"), "numbers of 8 bytes in 8 bytes"),
            (array(6, (1, 3), element(9, bytes(16)), name=b"x"), "3 numbers of 8 bytes in 16 bytes"),
            (array(1, (1, 2**30), name=b"x"), "1073741824 arrays in 0 bytes"),
            (array(4, (1, 2**30), element(16, b"a"), name=b"x"), "1073741824 characters in 1 bytes"),
            (array(4, (2**30, 0), element(16, b""), name=b"x"), "an empty array of shape"),
            (array(2, (1, 2**30), element(5, struct.pack("<i", 8)), element(1, b""), name=b"x"), "without fields"),
            (array(6, (1, 1), element(77, bytes(8)), name=b"x"), "an element of type 77 in place of numbers"),
            (array(99, (1, 1), element(9, bytes(8)), name=b"x"), "unknown class 99"),
            (array(6, (1, 1), element(9, bytes(8)), bytes(8), name=b"x"), "8 bytes after the end of an array"),
            (array(6, (1,) * 40, element(9, bytes(8)), name=b"x"), "an array of shape"),
        ],
    )
    def test_claims_that_bytes_do_not_bear_out(self, tmp_path, content, message):
        for number, wrapped in enumerate((content, compressed(content))):
            path = write(tmp_path / f"{number}.mat", wrapped)
            with pytest.raises(ValueError, match=message):
                read_mat(path)

    def test_deep_nesting(self, tmp_path):
        content = numbers([1.0])
        for _ in range(5000):
            content = array(1, (1, 1), content)
        with pytest.raises(ValueError, match="32 levels"):
            read_mat(write(tmp_path / "a.mat", array(1, (1, 1), content, name=b"x")))

    def test_very_many_cells(self, tmp_path):
        content = array(1, (1, 200_000), element(14, b"") * 200_000, name=b"x")
        with pytest.raises(ValueError, match="more than 100000 cells"):
            read_mat(write(tmp_path / "a.mat", compressed(content)))

    def test_bomb_is_refused_before_it_is_inflated(self, tmp_path):
        inflater = zlib.compressobj(9)
        start = struct.pack("<II", 14, 2**31) + array(6, (1, 2**28), name=b"x")[8:]
        packed = inflater.compress(start + bytes(2**20)) + inflater.flush()
        path = write(tmp_path / "a.mat", struct.pack("<II", 15, len(packed)) + packed)
        with pytest.raises(ValueError, match="claim to be 2147483648 once inflated"):
            read_mat(path)

    def test_variable_larger_than_it_declares(self, tmp_path):
        content = numbers(np.zeros(100), b"x") + bytes(2**20)
        with pytest.raises(ValueError, match="is not of the 856 bytes that it declares"):
            read_mat(write(tmp_path / "a.mat", compressed(content)))

    def test_masks_may_deflate_well(self, tmp_path):
        savemat(tmp_path / "a.mat", {"mask": np.zeros((1000, 1000))}, do_compression=True)
        assert (tmp_path / "a.mat").stat().st_size < 10_000
        assert read_mat(tmp_path / "a.mat")["mask"].shape == (1000, 1000)
