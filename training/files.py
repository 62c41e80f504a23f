"""Files that are written once and then only read."""

import os
import shutil
from pathlib import Path


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file that nobody changes a second name; a copy where the file system cannot.

    Args:
        source: A file.
        target: Must not exist; its folder is created.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
