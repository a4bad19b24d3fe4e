"""A file mapped into memory as a tensor, and how much memory there is for it."""

import mmap
import os
import sys
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

# Linux's <mman.h>; Python 3.11 does not name it
_NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)


def mapped(path: Path) -> Tensor:
    """The bytes of a file, (N,) uint8: pages are read when they are used, and copied when they are written to.

    torch.from_file maps in the same way, but Linux refuses it files larger than memory: each page of the map might be
    written to one day, and room for all of them is reserved.

    Around a page that is missing the system reads others too, up to some MB. That is good where they will be used
    before they have to go again. Where the file is more than half of the memory, they would go unused, and it is told
    not to.

    Args:
        path: a file that is not empty.

    Raises:
        OSError: it cannot be opened or mapped.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "file"
        >>> _ = path.write_bytes(bytes([1, 2, 3]))
        >>> mapped(path)
        tensor([1, 2, 3], dtype=torch.uint8)
    """
    with path.open("rb") as file:
        pages = mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE | _NO_RESERVE, mmap.PROT_READ | mmap.PROT_WRITE)
    if len(pages) > allowed_memory() // 2:
        pages.madvise(mmap.MADV_RANDOM)
    return torch.frombuffer(pages, dtype=torch.uint8)


def allowed_memory(root: Path = Path("/")) -> int:
    """Bytes of memory that this process may use: the machine's or, on Linux, what its control groups allow.

    Containers and schedulers of clusters set the latter.

    Args:
        root: where `proc` and `sys` lie.

    Example:
        >>> allowed_memory() > 2**20
        True
    """
    groups = root / "proc/self/cgroup"
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for line in groups.read_text().splitlines() if groups.exists() else []:
        _, controllers, group = line.split(":", 2)
        if controllers in ("", "memory"):  # version 2 and 1
            mount, name = ("memory", "memory.limit_in_bytes") if controllers else ("", "memory.max")
            # a limit of an outer group holds too; inside a container the group is often the mount itself
            for folder in (PurePosixPath(group), *PurePosixPath(group).parents):
                limit = root / "sys/fs/cgroup" / mount / folder.relative_to("/") / name
                limits += [int(text) for text in _read(limit).split() if text.isdecimal()]
    return min(limits)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
