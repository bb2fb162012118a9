# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
import gzip
import hashlib

import pytest

from dataset_builders.readers.sources import (
    MAX_INFLATION,
    AnnexKey,
    annex_key,
    check_source,
    is_compressed,
    max_content_size,
    open_source,
)


CONTENT = b"onset\tduration\n1.5\t0.25\n"
MD5 = hashlib.md5(CONTENT).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()
S3_ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.'
    "</Message><Key>ds003020/sub-UTS01.hf5</Key></Error>"
)
S3_LISTING = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>openneuro.org</Name></ListBucketResult>'
)
PAGES = {
    "html 5": "<!DOCTYPE html>\n<html lang=en><head><title>404 Not Found</title></head></html>",
    "capitals": "<HTML><BODY>Sign in</BODY></HTML>",
    "xhtml": '<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0//EN" "x.dtd">\n<html></html>',
    "blank lines first": "\r\n\r\n  <html></html>",
    "byte order mark": "\ufeff<!DOCTYPE html><html></html>",
    "comment": "<!-- served from cache, 3 > 2 -->\n<html></html>",
    "no html element": "<head><title>502 Bad Gateway</title></head>",
    "S3 error": S3_ERROR,
    "S3 error on one line": S3_ERROR.replace("\n", ""),
    "S3 listing": S3_LISTING,
}
NO_PAGES = {
    "gifti": '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE GIFTI SYSTEM "gifti.dtd">\n<GIFTI Version="1.0"/>',
    "elan": '<?xml version="1.0"?><ANNOTATION_DOCUMENT/>',
    "unknown word": "<unk> says <html> here",
    "json": '{"message": "<html>"}',
    "an error in words": "error: none\n",
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "events.tsv"
    path.write_bytes(CONTENT)
    return path


def annex_link(folder, key, content=None, name="sub-01_bold.nii.gz"):
    """A link as `git annex add` makes it; its target exists only where there is content."""
    target = folder / ".git" / "annex" / "objects" / "Xk" / "9J" / key / key
    if content is not None:
        target.parent.mkdir(parents=True)
        target.write_bytes(content)
    link = folder / name
    link.symlink_to(target.relative_to(folder))
    return link


# ------------------------------------------------------------------------------------------------- is the file there
def test_path_of_a_good_file_comes_back(file):
    assert check_source(file) == file
    assert check_source(str(file)) == file


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"words\.TextGrid does not exist .* check the folder and the name"):
        check_source(tmp_path / "words.TextGrid")


def test_folder_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a file"):
        check_source(tmp_path)


def test_file_below_a_file_is_missing(file):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        check_source(file / "inner.tsv")


def test_empty_file_is_refused(tmp_path):
    path = tmp_path / "empty.hf5"
    path.touch()
    with pytest.raises(ValueError, match=r"empty\.hf5 is empty: download it again"):
        check_source(path)


def test_link_to_a_file_is_followed(file, tmp_path):
    link = tmp_path / "link.tsv"
    link.symlink_to(file)
    assert check_source(link, size=len(CONTENT), md5=MD5) == link


def test_broken_link_names_its_target(tmp_path):
    link = tmp_path / "link.tsv"
    link.symlink_to("gone.tsv")
    with pytest.raises(FileNotFoundError, match=r"link\.tsv is a link to gone\.tsv, which does not exist"):
        check_source(link)


def test_link_to_itself_is_refused(tmp_path):
    link = tmp_path / "loop.tsv"
    link.symlink_to(link)
    with pytest.raises(FileNotFoundError, match=r"loop\.tsv is a link to"):
        check_source(link)


# --------------------------------------------------------------------------------------------------------- git-annex
@pytest.mark.parametrize(
    "key", [f"MD5E-s{len(CONTENT)}--{MD5}.nii.gz", f"SHA256E-s{len(CONTENT)}--{SHA256}.nii.gz", "URL--http&c%%a.org%b"]
)
def test_annex_link_without_content(tmp_path, key):
    link = annex_link(tmp_path, key)
    with pytest.raises(FileNotFoundError, match=r"without its content: run `datalad get .*sub-01_bold\.nii\.gz`"):
        check_source(link)


def test_link_named_by_a_key_is_annex_wherever_it_points(tmp_path):
    link = tmp_path / "bold.nii.gz"
    link.symlink_to(f"/store/MD5E-s5--{MD5}.nii.gz")
    with pytest.raises(FileNotFoundError, match="datalad get"):
        check_source(link)


@pytest.mark.parametrize(
    ("key", "algorithm", "digest"),
    [
        (f"MD5E-s24--{MD5}.nii.gz", "MD5", MD5),
        (f"MD5-s24--{MD5}", "MD5", MD5),
        (f"SHA256E-s24--{SHA256}.hf5", "SHA256", SHA256),
        (f"SHA256-s24--{SHA256}", "SHA256", SHA256),
    ],
)
@pytest.mark.parametrize("content", [None, CONTENT], ids=["dangling", "present"])
def test_annex_key_of_a_link(tmp_path, key, algorithm, digest, content):
    assert annex_key(annex_link(tmp_path, key, content)) == AnnexKey(24, algorithm, digest)


def test_no_annex_key_in_other_files(file, tmp_path):
    other = tmp_path / "other"
    other.symlink_to(file)
    assert annex_key(file) is None
    assert annex_key(other) is None
    assert annex_key(tmp_path / "missing") is None
    assert annex_key(annex_link(tmp_path, "WORM-s24-m1700000000--events.tsv")) is None


def test_annex_link_with_its_content(tmp_path):
    link = annex_link(tmp_path, f"MD5E-s{len(CONTENT)}--{MD5}.tsv", CONTENT)
    assert check_source(link, size=len(CONTENT), md5=MD5) == link


@pytest.mark.parametrize("backend", ["MD5E", "SHA256E"])
@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"\n", b""])
def test_annex_content_of_another_size(tmp_path, backend, content):
    link = annex_link(tmp_path, f"{backend}-s{len(CONTENT)}--{MD5}.tsv", content)
    with pytest.raises(ValueError, match=rf"has {len(content)} bytes and its git-annex link says {len(CONTENT)}"):
        check_source(link)


@pytest.mark.parametrize(
    "pointer",
    [
        f"/annex/objects/MD5E-s812004--{MD5}.nii.gz\n",
        f"../../.git/annex/objects/p4/3X/MD5E-s812004--{MD5}.nii.gz/MD5E-s812004--{MD5}.nii.gz",
    ],
    ids=["unlocked file", "link checked out as text"],
)
def test_pointer_file_is_refused(tmp_path, pointer):
    path = tmp_path / "sub-01_bold.nii.gz"
    path.write_text(pointer)
    with pytest.raises(ValueError, match=r"sub-01_bold\.nii\.gz is a git-annex pointer.*run `datalad get"):
        check_source(path, size=812_004)


def test_large_file_that_speaks_of_annex_is_no_pointer(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("see .git/annex/objects/ for the data\n" * 1000)
    assert check_source(path) == path


# ------------------------------------------------------------------------------------------- pages saved as the data
@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_web_page_is_refused(tmp_path, page):
    path = tmp_path / "betas_session01.hdf5"
    path.write_text(page, encoding="utf-8")
    with pytest.raises(ValueError, match=r"betas_session01\.hdf5 is a web page saved as data .* download the file"):
        check_source(path)


def test_page_is_recognised_before_its_size(tmp_path):
    path = tmp_path / "betas.hdf5"
    path.write_text(S3_ERROR)
    with pytest.raises(ValueError, match="it holds <Error>"):
        check_source(path, size=5_000_000, md5=MD5)


@pytest.mark.parametrize("text", NO_PAGES.values(), ids=NO_PAGES)
def test_other_text_is_no_web_page(tmp_path, text):
    path = tmp_path / "data"
    path.write_text(text)
    assert check_source(path) == path


# ------------------------------------------------------------------------------------------------------ size and MD5
def test_size_and_md5_of_the_publisher(file):
    assert check_source(file, size=len(CONTENT), md5=MD5.upper()) == file


@pytest.mark.parametrize("size", [len(CONTENT) + 1, len(CONTENT) - 1, 0])
def test_other_size_than_published(file, size):
    with pytest.raises(ValueError, match=rf"events\.tsv has {len(CONTENT)} bytes and the publisher says {size}:"):
        check_source(file, size=size)


def test_other_md5_than_published(file):
    with pytest.raises(ValueError, match=f"has the MD5 {MD5} and the publisher says {'0' * 32}: download it again"):
        check_source(file, size=len(CONTENT), md5="0" * 32)


# ------------------------------------------------------------------------------------------------------- compression
@pytest.mark.parametrize("name", ["words.tsv", "words.tsv.gz"])
@pytest.mark.parametrize("compressed", [False, True])
def test_content_is_unpacked_whatever_the_name(tmp_path, name, compressed):
    path = tmp_path / name
    path.write_bytes(gzip.compress(CONTENT) if compressed else CONTENT)
    assert is_compressed(path) is compressed
    with open_source(path) as opened:
        assert opened.read() == CONTENT


def test_most_that_a_file_can_hold(tmp_path):
    plain, packed = tmp_path / "zeros", tmp_path / "zeros.gz"
    plain.write_bytes(bytes(1_000_000))
    packed.write_bytes(gzip.compress(bytes(1_000_000), 9))
    assert max_content_size(plain) == 1_000_000
    assert max_content_size(packed) == packed.stat().st_size * MAX_INFLATION
    assert 1_000_000 <= max_content_size(packed) < 1_100_000  # zeros come close to the limit of deflate


@pytest.mark.parametrize("cut", [2, 9, 20, -9, -1])
def test_compressed_file_cut_short(tmp_path, cut):
    path = tmp_path / "words.tsv.gz"
    path.write_bytes(gzip.compress(CONTENT)[:cut])
    with pytest.raises(ValueError, match=r"words\.tsv\.gz is compressed data cut short"), open_source(path) as opened:
        opened.read()


@pytest.mark.parametrize("place", [12, -8, -4], ids=["data", "checksum", "length"])
def test_compressed_file_damaged(tmp_path, place):
    packed = bytearray(gzip.compress(CONTENT))
    packed[place] ^= 0xFF
    path = tmp_path / "words.tsv.gz"
    path.write_bytes(packed)
    with pytest.raises(ValueError, match=r"words\.tsv\.gz is compressed data cut short"), open_source(path) as opened:
        opened.read()


def test_opening_checks_the_source(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="datalad get"),
        open_source(annex_link(tmp_path, f"MD5E-s5--{MD5}.tsv")),
    ):
        pass


def test_errors_of_the_reader_pass_unchanged(file):
    with pytest.raises(KeyError, match="word"), open_source(file):
        raise KeyError("word")
