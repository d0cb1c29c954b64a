"""The source tree on disk: what is found, in which order, and why a file or root cannot be read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from census.errors import EmptyTree, RootMissing, RootNotFolder, Unreadable
from census.tree import LARGEST_FILE_BYTES, DiskTree, standard_library

if TYPE_CHECKING:
    from pathlib import Path


def plant(root: Path, *paths: str) -> None:
    """Make empty files below `root`."""
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")


def test_files_are_listed_sorted_and_relative_to_the_root(tmp_path: Path) -> None:
    """O6: the order of the listing is the order of the commands, so it is the tree's and not the disk's."""
    plant(tmp_path, "b.py", "a/z.py", "a/b/c.py", "a.py", "Z.py", "a-b.py", "é.py")

    assert DiskTree().files(str(tmp_path)) == ("Z.py", "a-b.py", "a.py", "a/b/c.py", "a/z.py", "b.py", "é.py")


def test_only_python_files_of_the_tree_itself_are_listed(tmp_path: Path) -> None:
    """Hidden folders, caches and installed packages are not the tree's own source."""
    plant(tmp_path, "a.py", "a.pyc", "a.py.orig", "py", "sub/__pycache__/b.py", "site-packages/c.py")
    plant(tmp_path, ".git/d.py", "sub/.venv/lib/e.py", "dist-packages/f.py", "sub/my-site-packages/g.py")
    (tmp_path / "folder.py").mkdir()

    assert DiskTree().files(str(tmp_path)) == ("a.py", "sub/my-site-packages/g.py")


def test_links_to_folders_are_not_followed_and_links_to_files_are(tmp_path: Path) -> None:
    """A link back up is a loop, a link aside would count files twice."""
    plant(tmp_path, "a/b.py")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "twin").symlink_to(tmp_path / "a")
    (tmp_path / "linked.py").symlink_to(tmp_path / "a" / "b.py")
    (tmp_path / "dangling.py").symlink_to(tmp_path / "nowhere.py")
    (tmp_path / "itself.py").symlink_to(tmp_path / "itself.py")

    assert DiskTree().files(str(tmp_path)) == ("a/b.py", "linked.py")


def test_what_would_block_a_reader_is_not_listed(tmp_path: Path) -> None:
    """W5: opening a named pipe waits for a writer that never comes."""
    plant(tmp_path, "a.py")
    os.mkfifo(tmp_path / "pipe.py")

    assert DiskTree().files(str(tmp_path)) == ("a.py",)


def test_a_name_that_is_no_text_is_listed_and_unreadable(tmp_path: Path) -> None:
    """D9: a path that could not be encoded would fail the whole survey."""
    plant(tmp_path, os.fsdecode(b"caf\xe9.py"))

    (path,) = DiskTree().files(str(tmp_path))

    assert path == "caf\\xe9.py"
    with pytest.raises(Unreadable, match="not UTF-8"):
        DiskTree().read(str(tmp_path), path)


@pytest.mark.parametrize("root", ["nowhere", "no\0where", "x" * 5_000])
def test_a_root_that_does_not_exist_is_refused_with_its_name(tmp_path: Path, root: str) -> None:
    """A bad root is the submitter's, who is told what to give instead."""
    with pytest.raises(RootMissing, match="give a folder that exists") as caught:
        DiskTree().files(f"{tmp_path}/{root}")

    assert caught.value.root == f"{tmp_path}/{root}"


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """One file is no tree."""
    plant(tmp_path, "a.py")

    with pytest.raises(RootNotFolder, match=r"a\.py' is not a folder; give the folder"):
        DiskTree().files(str(tmp_path / "a.py"))


def test_a_tree_without_python_is_refused(tmp_path: Path) -> None:
    """A survey without files would never finish."""
    plant(tmp_path, "README.md", ".hidden/a.py")

    with pytest.raises(EmptyTree, match=r"no Python file below .*; give a folder"):
        DiskTree().files(str(tmp_path))


def test_a_file_is_read_as_bytes(tmp_path: Path) -> None:
    """Decoding is the measurer's."""
    (tmp_path / "a.py").write_bytes(b"\xff\0\r\n")

    assert DiskTree().read(str(tmp_path), "a.py") == b"\xff\0\r\n"


def test_a_file_of_the_limit_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    """5,000,000 bytes work; the next one is a reason."""
    (tmp_path / "a.py").write_bytes(b"#" * LARGEST_FILE_BYTES)
    (tmp_path / "b.py").write_bytes(b"#" * (LARGEST_FILE_BYTES + 1))

    assert len(DiskTree().read(str(tmp_path), "a.py")) == LARGEST_FILE_BYTES
    with pytest.raises(Unreadable) as caught:
        DiskTree().read(str(tmp_path), "b.py")
    assert caught.value.reason == "larger than 5,000,000 bytes; split it to have it measured"


def test_a_file_that_vanished_is_unreadable(tmp_path: Path) -> None:
    """Between the listing and the reading a tree may change."""
    with pytest.raises(Unreadable, match="vanished"):
        DiskTree().read(str(tmp_path), "a.py")


def test_a_file_that_became_a_folder_is_unreadable(tmp_path: Path) -> None:
    """Whatever the operating system says becomes the reason."""
    (tmp_path / "a.py").mkdir()

    with pytest.raises(Unreadable) as caught:
        DiskTree().read(str(tmp_path), "a.py")
    assert caught.value.reason == "Is a directory"


def test_the_standard_library_is_a_tree() -> None:
    """The default root exists wherever the interpreter does."""
    files = DiskTree().files(standard_library())

    assert {"ast.py", "email/message.py"} <= set(files)
    assert not [path for path in files if "site-packages" in path]
