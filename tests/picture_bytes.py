"""Picture files built byte by byte, for what no library writes."""

import struct
import zlib

import numpy as np

LEVELS = np.array([0, 128, 129, 255, 1000, 32767, 65535], dtype=np.uint16)
ROUNDED = [0, 0, 1, 1, 4, 127, 255]  # LEVELS / 257, rounded


def png(values, colour_type, bits=16, extra=(), clear=None):
    """A PNG of whole numbers (H, W) or (H, W, C); `clear` is the content of its tRNS chunk."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + _packed(row, bits) for row in np.asarray(values))
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", values.shape[1], len(values), bits, colour_type, 0, 0, 0))]
    parts += [chunk(kind, data) for kind, data in extra]
    parts += [chunk(b"tRNS", b"".join(struct.pack(">H", each) for each in clear))] if clear else []
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")])


def _packed(row, bits):
    if bits == 16:
        return row.astype(">u2").tobytes()
    digits = "".join(f"{value:0{bits}b}" for value in row.ravel())
    digits += "0" * (-len(digits) % 8)
    return bytes(int(digits[place : place + 8], 2) for place in range(0, len(digits), 8))


def tiff(values, photometric, order="<", deflated=False, extra=None, planes=1, bits=16):
    """A TIFF of one strip, of 16-bit numbers (H, W) or (H, W, C)."""
    height, width, channels = (*values.shape, 1)[:3]
    data = values.astype(f"{order}u2").tobytes()
    data = zlib.compress(data) if deflated else data
    compression = 8 if deflated else 1
    tags = [(256, "I", [width]), (257, "I", [height]), (258, "H", [bits] * channels), (259, "H", [compression])]
    tags += [(262, "H", [photometric]), (273, "I", [0]), (277, "H", [channels]), (278, "I", [height])]
    tags += [(279, "I", [len(data)]), (284, "H", [planes])] + ([(338, "H", [extra])] if extra is not None else [])
    behind = 8 + 2 + 12 * len(tags) + 4
    place = behind + sum(2 * len(numbers) for _, kind, numbers in tags if kind == "H" and len(numbers) > 2)
    entries, long = b"", b""
    for tag, kind, numbers in tags:
        numbers = [place] if tag == 273 else numbers
        content = b"".join(struct.pack(order + kind, number) for number in numbers)
        entries += struct.pack(f"{order}HHI", tag, {"H": 3, "I": 4}[kind], len(numbers))
        if len(content) > 4:
            entries += struct.pack(f"{order}I", behind + len(long))
            long += content
        else:
            entries += content.ljust(4, b"\0")
    start = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HIH", 42, 8, len(tags))
    return start + entries + bytes(4) + long + data
