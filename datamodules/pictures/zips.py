"""Pictures in a zip: listed by its directory, and read without unpacking it."""

import stat
import struct
import zlib
from pathlib import Path
from typing import NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from datamodules.pictures.scanning import TABLES, Found, is_hidden, is_picture

_ENCRYPTED = 1  # bit of a member's flags
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, length of the name, length of the extra field


class ZipMember(NamedTuple):
    """Where a file lies in a zip."""

    offset: int  # of its local header
    packed: int  # bytes in the zip
    size: int  # bytes unpacked
    crc: int  # of the unpacked bytes
    deflated: bool


def scan_zip(path: Path) -> tuple[Found, dict[str, ZipMember]]:
    r"""Everything in a zip, and where its pictures and tables lie; nothing is unpacked.

    Of two members of one name the last one counts, as for other programs. Links are not followed. Backslashes in
    zips from Windows separate folders.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no zip, or damaged, or members that are wanted are encrypted, packed by another method than
            "deflate", or have names with "..".

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with ZipFile(f"{folder}/a.zip", "w") as archive:
        ...         archive.writestr("cat/1.png", b"123")
        ...     found, members = scan_zip(Path(folder, "a.zip"))
        ...     found.folders, read_member(Path(folder, "a.zip"), members["cat/1.png"])
        (['cat'], b'123')
    """
    found, members, folders = Found(), {}, set()
    for info in _directory(path):
        name = _name(info)
        if not name or is_hidden(name):
            _refuse_climbing(path, name)
            continue
        if (folder := name.rpartition("/")[0]) not in folders:
            folders.update(_with_parents(folder))
        if name.endswith("/"):
            continue
        if stat.S_ISLNK(info.external_attr >> 16):
            found.broken.append(name)
        elif is_picture(name) or name.rpartition("/")[2] in TABLES:
            members[name] = _member(path, info)
            if is_picture(name):
                found.pictures[name] = (info.file_size, info.CRC)
            else:
                found.others.append(name)
        else:
            found.others.append(name)
    found.folders = sorted(folders - {""})
    return found, members


def read_member(path: Path, member: ZipMember) -> bytes:
    """The content of one file in a zip; threads and forked processes may read at once, as nothing is kept open.

    Raises:
        OSError: the zip is gone, or the bytes are not those that its directory promises.

    Example: see `scan_zip`.
    """
    with open(path, "rb") as file:
        file.seek(member.offset)
        header = file.read(_LOCAL_HEADER.size)
        content = b""
        if len(header) == _LOCAL_HEADER.size and header.startswith(b"PK\3\4"):
            _, name_length, extra_length = _LOCAL_HEADER.unpack(header)
            file.seek(name_length + extra_length, 1)
            content = file.read(member.packed)
    if member.deflated:
        content = _inflate(content, member.size)
    if len(content) != member.size or zlib.crc32(content) != member.crc:
        raise OSError("its checksum is wrong: the zip is damaged, or has changed since it was listed")
    return content


def _directory(path: Path) -> list[ZipInfo]:
    try:
        with ZipFile(path) as archive:
            members = archive.infolist()
        if any(info.header_offset < 0 for info in members):
            raise BadZipFile("a member lies before the file's start")
        return members
    # zipfile's parser: a damaged directory can raise any of these
    except (BadZipFile, NotImplementedError, EOFError, struct.error, ValueError, OverflowError) as error:
        raise ValueError(
            f"{path} is no zip, or is cut short or damaged ({error}): pass a folder or a .zip as data_dir; where the "
            "zip was downloaded, download it again"
        ) from error


def _name(info: ZipInfo) -> str:
    name = info.filename
    if "\\" in name and info.create_system == 0:  # 0: made on Windows
        name = name.replace("\\", "/")
    return name.removeprefix("./")


def _refuse_climbing(path: Path, name: str) -> None:
    if is_picture(name) and ".." in name.split("/"):
        raise ValueError(
            f"{path} holds {name!r}, whose name leads out of the zip: pack it again from inside the folder of pictures"
        )


def _with_parents(folder: str) -> list[str]:
    """The folder itself and all folders that it lies in."""
    parts = folder.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]


def _member(path: Path, info: ZipInfo) -> ZipMember:
    if info.flag_bits & _ENCRYPTED:
        raise ValueError(f"{path}: {info.filename!r} is encrypted: pack the pictures again without a password")
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise ValueError(
            f"{path}: {info.filename!r} is packed by method {info.compress_type}, expected 0 (stored) or 8 "
            "(deflate): pack the pictures again with a zip program's usual settings"
        )
    return ZipMember(
        info.header_offset, info.compress_size, info.file_size, info.CRC, info.compress_type == ZIP_DEFLATED
    )


def _inflate(content: bytes, size: int) -> bytes:
    """Unpack, to `size` bytes and one more at most, so that a wrong size is seen and a huge one does no harm."""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, size + 1)
    except zlib.error:
        return b""
