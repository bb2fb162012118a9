# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
import base64
import gzip
import os
import zlib
from pathlib import Path

import nibabel.gifti
import numpy as np
import pytest
from nibabel.gifti import GiftiDataArray, GiftiImage

from dataset_builders.readers.gifti import read_gifti_series


BUNDLED = Path(nibabel.gifti.__file__).parent / "tests" / "data"  # files of other programs, which come with nibabel
TRUTH = np.random.default_rng(7).normal(0, 100, (3, 5)).astype(np.float32)  # [frames, vertices]
EXACT = (TRUTH * 8).round() / 8  # numbers that a text of few digits holds exactly
ENCODINGS = ["ASCII", "B64BIN", "B64GZ"]
DOCTYPE = '<!DOCTYPE GIFTI SYSTEM "http://www.nitrc.org/frs/download.php/115/gifti.dtd">'

bundled = pytest.mark.skipif(not BUNDLED.is_dir(), reason="nibabel was installed without its test files")


def save(path, arrays, encoding="B64GZ", intent="time series", datatype="float32"):
    """As nibabel writes it, one data array for each of `arrays`."""
    image = GiftiImage()
    for array in arrays:
        image.add_gifti_data_array(GiftiDataArray(array, intent, f"NIFTI_TYPE_{datatype.upper()}", encoding))
    image.to_filename(path)
    return path


def element(data, num_values=5, **changed):
    """The XML of one data array; `changed` are attributes of other values, or without one where `None`."""
    attributes = {
        "Intent": "NIFTI_INTENT_TIME_SERIES", "DataType": "NIFTI_TYPE_FLOAT32", "Dimensionality": "1",
        "ArrayIndexingOrder": "RowMajorOrder", "Dim0": str(num_values), "Encoding": "Base64Binary",
        "Endian": "LittleEndian", "ExternalFileName": "", "ExternalFileOffset": "",
    } | changed  # fmt: skip
    text = " ".join(f'{name}="{value}"' for name, value in attributes.items() if value is not None)
    return f"<DataArray {text}><Data>{data}</Data></DataArray>"


def write(path, *elements, before=f'<?xml version="1.0" encoding="UTF-8"?>\n{DOCTYPE}\n', declared=None):
    number = len(elements) if declared is None else declared
    text = f'{before}<GIFTI Version="1.0" NumberOfDataArrays="{number}">{"".join(elements)}</GIFTI>'
    path.write_text(text, encoding="utf-8")
    return path


def base64_of(values):
    return base64.b64encode(values.tobytes()).decode()


def compressed(content):
    return base64.b64encode(zlib.compress(content)).decode()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sub-001_hemi-L.func.gii"


def refused(path, complaint):
    with pytest.raises(ValueError, match=rf"hemi-L\.func\.gii .*{complaint}"):
        read_gifti_series(path)


# ------------------------------------------------------------------------------------------- values equal to the truth
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_one_array_a_frame(path, encoding):
    values = read_gifti_series(save(path, EXACT, encoding))
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, EXACT)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_one_array_of_all_frames(path, encoding):
    values = read_gifti_series(save(path, [EXACT.T], encoding))
    assert values.flags.c_contiguous
    np.testing.assert_array_equal(values, EXACT)


@pytest.mark.parametrize("frames_first", [False, True])
def test_axis_of_a_standard_surface_is_the_vertices(path, frames_first):
    truth = np.random.default_rng(8).normal(size=(4, 2562)).astype(np.float32)
    np.testing.assert_array_equal(read_gifti_series(save(path, [truth if frames_first else truth.T])), truth)


def test_single_frame(path):
    np.testing.assert_array_equal(read_gifti_series(save(path, TRUTH[:1])), TRUTH[:1])


def test_medial_wall_stays_nan(path):
    truth = TRUTH.copy()
    truth[:, [0, 3]] = np.nan
    np.testing.assert_array_equal(read_gifti_series(save(path, truth)), truth)


def test_text_may_say_nan(path):
    truth = [[np.nan, 1, -np.inf, 2, np.nan]]
    np.testing.assert_array_equal(read_gifti_series(write(path, element("nan 1 -inf 2 NaN", Encoding="ASCII"))), truth)


@pytest.mark.parametrize("datatype", ["uint8", "int32", "float32"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_types_of_nibabel(path, datatype, encoding):
    truth = np.arange(15).reshape(3, 5).astype(datatype)
    np.testing.assert_array_equal(read_gifti_series(save(path, truth, encoding, datatype=datatype)), truth)


@pytest.mark.parametrize("datatype", ["uint8", "int8", "int16", "uint16", "int32", "uint32", "float32", "float64"])
@pytest.mark.parametrize(("endian", "order"), [("LittleEndian", "<"), ("BigEndian", ">")])
def test_types_and_byte_orders(path, datatype, endian, order):
    truth = np.array([0, 1, 2, 100, 127])
    stored = truth.astype(np.dtype(datatype).newbyteorder(order))
    write(path, element(base64_of(stored), DataType=f"NIFTI_TYPE_{datatype.upper()}", Endian=endian))
    np.testing.assert_array_equal(read_gifti_series(path), [truth])


@pytest.mark.parametrize(("name", "order"), [("RowMajorOrder", "C"), ("ColumnMajorOrder", "F")])
def test_order_of_two_axes(path, name, order):
    data = base64.b64encode(TRUTH.T.tobytes(order)).decode()
    write(path, element(data, Dimensionality="2", Dim1="3", ArrayIndexingOrder=name))
    np.testing.assert_array_equal(read_gifti_series(path), TRUTH)


def test_value_beyond_float32_becomes_infinite_silently(path):
    write(path, element("1e300 0 0 0 -1e300", Encoding="ASCII", DataType="NIFTI_TYPE_FLOAT64"))
    np.testing.assert_array_equal(read_gifti_series(path), [[np.inf, 0, 0, 0, -np.inf]])


def test_white_space_in_the_values(path):
    text = base64_of(TRUTH[0])
    write(path, element(f"\n  {text[:7]}\n\t{text[7:]}\n"), element("\n 1 2\n3\t4 5 \n", Encoding="ASCII"))
    np.testing.assert_array_equal(read_gifti_series(path), [TRUTH[0], [1, 2, 3, 4, 5]])


def test_values_in_cdata(path):
    write(path, element(f"<![CDATA[{base64_of(TRUTH[0])}]]>"))
    np.testing.assert_array_equal(read_gifti_series(path), TRUTH[:1])


def test_file_longer_than_what_is_read_at_once(path):
    truth = np.random.default_rng(9).normal(size=(2, 200_000)).astype(np.float32)
    np.testing.assert_array_equal(read_gifti_series(save(path, truth, "B64BIN")), truth)


def test_compressed_file(path):
    content = save(path, TRUTH).read_bytes()
    path.write_bytes(gzip.compress(content))
    np.testing.assert_array_equal(read_gifti_series(path), TRUTH)


# ------------------------------------------------------------------------------------------------ what is not followed
def test_external_file_is_refused(path):
    secret = path.with_name("secret.dat")
    secret.write_bytes(TRUTH[0].tobytes())
    write(path, element("", Encoding="ExternalFileBinary", ExternalFileName=secret.name, ExternalFileOffset="0"))
    refused(path, r"encoding ExternalFileBinary is not read \(values in another file never are\)")


def test_external_name_beside_own_values_is_ignored(path):
    write(path, element(base64_of(TRUTH[0]), ExternalFileName="/etc/hostname", ExternalFileOffset="0"))
    np.testing.assert_array_equal(read_gifti_series(path), TRUTH[:1])


def test_entity_bomb_is_refused(path):
    entities = '<!ENTITY a0 "0 ">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    write(path, element("&a11;", Encoding="ASCII"), before=f"<!DOCTYPE GIFTI [{entities}]>")
    refused(path, "it defines entities, which may grow without bound")


def test_entity_of_another_file_is_refused(path):
    secret = path.with_name("secret.txt")
    secret.write_text("1 2 3 4 5")
    doctype = f'<!DOCTYPE GIFTI [<!ENTITY secret SYSTEM "file://{secret}">]>'
    write(path, element("&secret;", Encoding="ASCII"), before=doctype)
    refused(path, "it defines entities")


def test_entity_without_definition_is_refused(path):
    refused(write(path, element("&other;", Encoding="ASCII"), before=""), "undefined entity")
    refused(write(path, element("&other;", Encoding="ASCII")), "0 or more numbers where 5 are declared")


def test_compressed_values_are_not_inflated_beyond_what_is_declared(path):
    bomb = compressed(bytes(30_000_000))
    refused(write(path, element(bomb, Encoding="GZipBase64Binary")), "holds more than the 20 bytes declared")


# -------------------------------------------------------------------------------------------------------- characters
@pytest.mark.parametrize("encoding", ["martian", "utf-7", "cp1252", "shift_jis", "hex", "rot13", "x" * 200])
def test_unknown_encoding_is_refused(path, encoding):
    write(path, element(base64_of(TRUTH[0])), before=f'<?xml version="1.0" encoding="{encoding}"?>')
    refused(path, f"it declares the encoding '{encoding}'; expected one of UTF-8")


@pytest.mark.parametrize("encoding", ["utf-8", "UTF-8", "utf-16", "iso-8859-1", "us-ascii"])
def test_known_encodings(path, encoding):
    name = "Zoe" if encoding == "us-ascii" else "Zoë"
    text = write(path, f"<MetaData>{name}</MetaData>", element(base64_of(TRUTH[0])), declared=1).read_text("utf-8")
    path.write_bytes(text.replace('"UTF-8"', f'"{encoding}"').encode(encoding))
    np.testing.assert_array_equal(read_gifti_series(path), TRUTH[:1])


@pytest.mark.parametrize("encoding", ["Base64Binary", "GZipBase64Binary"])
@pytest.mark.parametrize("data", ["äöü", "AAAA\u2028é", "A*AA", "AAA", "A"])
def test_values_that_are_no_base64(path, encoding, data):
    refused(write(path, element(data, Encoding=encoding)), "a data array cannot be decoded")


@pytest.mark.parametrize("text", ["1 2 3 4 five", "1 2 3 4 ä", "1,2 2 3 4 5"])
def test_text_that_is_no_number(path, text):
    refused(write(path, element(text, Encoding="ASCII")), "a data array has a value that is no number")


# ----------------------------------------------------------------------------------------- damage, and other contents
def test_missing_file_and_annex_link(path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_gifti_series(path)
    path.symlink_to(f".git/annex/objects/4V/Zz/MD5E-s9--{'0' * 32}.gii")
    with pytest.raises(FileNotFoundError, match="datalad get"):
        read_gifti_series(path)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_file_cut_short(path, share):
    save(path, TRUTH)
    os.truncate(path, int(share * path.stat().st_size))
    refused(path, "it is cut short or no XML")


def test_frames_of_unequal_lengths(path):
    refused(save(path, [TRUTH[0], TRUTH[1, :4]]), r"has data arrays of shapes \[\(4,\), \(5,\)\]")


def test_several_arrays_of_two_axes(path):
    refused(save(path, [TRUTH, TRUTH]), r"has data arrays of shapes \[\(3, 5\)\]")


def test_mesh_is_no_series(path):
    image = GiftiImage()
    image.add_gifti_data_array(GiftiDataArray(TRUTH[:, :3], "pointset"))
    image.add_gifti_data_array(GiftiDataArray(np.zeros((1, 3), np.int32), "triangle"))
    image.to_filename(path)
    refused(path, "it holds the mesh of a surface and no series")


@pytest.mark.parametrize("declared", [0, 1, 3, "two", "", -2])
def test_number_of_arrays_differs(path, declared):
    write(path, *[element(base64_of(TRUTH[0]))] * 2, declared=declared)
    refused(path, "it has 2 data arrays and declares")


def test_no_arrays(path):
    refused(write(path), "it has 0 data arrays and declares 0")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("\x89HDF\r\n", "no XML"),
        ("<svg/>", "its first element is <svg> and not <GIFTI>"),
        ("<html><body/></html>", "is a web page saved as data"),
        ("<GIFTI></GIFTI><GIFTI/>", "no XML"),
    ],
)
def test_other_content(path, content, complaint):
    path.write_text(content, encoding="latin-1")
    refused(path, complaint)


@pytest.mark.parametrize(
    ("attributes", "complaint"),
    [
        ({"DataType": "NIFTI_TYPE_COMPLEX64"}, "type NIFTI_TYPE_COMPLEX64"),
        ({"ArrayIndexingOrder": "Any"}, "order Any"),
        ({"Endian": "Middle"}, "the byte order 'Middle'"),
        ({"Dim0": "0"}, r"the dimensions \[0\]"),
        ({"Dim0": "-5"}, r"the dimensions \[None\]"),
        ({"Dim0": "٥"}, r"the dimensions \[None\]"),
        ({"Dim0": None}, r"the dimensions \[None\]"),
        ({"Dim0": "9" * 5000}, r"the dimensions \[None\]"),
        ({"Dimensionality": "2"}, r"the dimensions \[5, None\]"),
        ({"Dimensionality": "3"}, "the dimensions 3"),
        ({"Dim0": "4"}, "has 20 bytes where 16 are declared"),
        ({"Dim0": "999999999", "Dim1": "999999999", "Dimensionality": "2"}, "has 20 bytes where 3999999992000000004"),
        ({"DataType": "NIFTI_TYPE_FLOAT64"}, "has 20 bytes where 40 are declared"),
    ],
)
def test_damaged_attributes(path, attributes, complaint):
    refused(write(path, element(base64_of(TRUTH[0]), **attributes)), complaint)


@pytest.mark.parametrize(("data", "found"), [("1 2 3 4", 4), ("1 2 3 4 5 6", 6), ("", 0)])
def test_number_of_plain_numbers_differs(path, data, found):
    refused(write(path, element(data, Encoding="ASCII")), f"has {found} or more numbers where 5 are declared")


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (compressed(TRUTH[0].tobytes() + b"xy"), "holds more than the 20 bytes declared"),
        (compressed(TRUTH[0].tobytes()[:-1]), "has 19 bytes where 20 are declared"),
        (compressed(TRUTH[0].tobytes() + b"x"), "has 21 bytes where 20 are declared"),
        (base64.b64encode(zlib.compress(TRUTH[0].tobytes())[:-3]).decode(), "cut short"),
        (base64.b64encode(zlib.compress(TRUTH[0].tobytes())[:-1] + b"x").decode(), "incorrect data check"),
        (base64_of(TRUTH[0]), "cannot be decoded"),
        ("", "cut short"),
    ],
)
def test_damaged_compressed_values(path, data, complaint):
    refused(write(path, element(data, Encoding="GZipBase64Binary")), complaint)


# ------------------------------------------------------------------------------------------ files of other programs
@bundled
@pytest.mark.parametrize(
    ("name", "shape"),
    [("task.func.gii", (10, 642)), ("rh.shape.curv.gii", (1, 133764)), ("gzipbase64.gii", (1, 143479))],
)
def test_bundled_series(name, shape):
    values = read_gifti_series(BUNDLED / name)
    assert values.shape == shape
    np.testing.assert_array_equal(
        values, [array.data.ravel() for array in GiftiImage.from_filename(BUNDLED / name).darrays]
    )


@bundled
@pytest.mark.parametrize("name", ["ascii.gii", "base64bin.gii", "external.gii"])
def test_bundled_files_that_are_no_series(name):
    with pytest.raises(
        ValueError, match=rf"{name} cannot be read as a GIFTI series: (it holds the mesh|a data array)"
    ):
        read_gifti_series(BUNDLED / name)


def test_one_array_that_is_transposed(path):
    """By the standard it would be a series of 2,600 frames of 12 vertices; no surface is that small."""
    values = np.random.default_rng(0).normal(size=(12, 2600)).astype(np.float32)
    with pytest.raises(ValueError, match=r"2600 frames of 12 vertices. Is it transposed\?"):
        read_gifti_series(save(path, [values]))
    np.testing.assert_array_equal(read_gifti_series(save(path, [values.T])), values)
