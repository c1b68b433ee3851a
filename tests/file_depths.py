"""Small image files of every depth, most of which Pillow can read and not write."""

from __future__ import annotations

import struct
import zlib

SIDE = 12


def png(colour_type: int, depth: int, channels: int) -> bytes:
    """Zeros, as a PNG; Pillow itself writes no colours of 16 bits."""
    rows = b"".join(b"\0" + bytes(SIDE * channels * depth // 8) for _ in range(SIDE))

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, depth, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def pnm(kind: int, largest: int, channels: int) -> bytes:
    header = f"P{kind} {SIDE} {SIDE} {largest}\n".encode()
    if kind <= 3:
        return header + b"0 " * (SIDE * SIDE * channels)
    return header + bytes(SIDE * SIDE * channels * (2 if largest > 255 else 1))


def tiff(depth: int, channels: int, photometric: int, *, alpha: bool = False) -> bytes:
    """Zeros, as an uncompressed TIFF."""
    strip = bytes(SIDE * SIDE * channels * depth // 8)
    tags = [(256, SIDE), (257, SIDE), (259, 1), (262, photometric), (277, channels), (278, SIDE), (279, len(strip))]
    tags += [(338, 2)] if alpha else []
    depths_at = 8 + 2 + 12 * (len(tags) + 2) + 4
    depths = struct.pack("<" + "H" * channels, *[depth] * channels)
    fields = {tag: struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags}
    inline = depths.ljust(4, b"\0") if channels < 3 else struct.pack("<I", depths_at)
    fields[258] = struct.pack("<HHI", 258, 3, channels) + inline
    fields[273] = struct.pack("<HHII", 273, 4, 1, depths_at + len(depths))
    directory = struct.pack("<H", len(fields)) + b"".join(fields[tag] for tag in sorted(fields)) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + directory + depths + strip


DEEP = {
    "grey 16.png": (png(0, 16, 1), 16),
    "colour 16.png": (png(2, 16, 3), 16),
    "grey and alpha 16.png": (png(4, 16, 2), 16),
    "colour and alpha 16.png": (png(6, 16, 4), 16),
    "grey 16.pgm": (pnm(5, 65535, 1), 16),
    "grey 12.pgm": (pnm(5, 4095, 1), 12),
    "colour 16.ppm": (pnm(6, 65535, 3), 16),
    "colour 12.ppm": (pnm(6, 4095, 3), 12),
    "plain 12.ppm": (pnm(3, 4095, 3), 12),
    "grey 16.tif": (tiff(16, 1, 1), 16),
    "grey 12.tif": (tiff(12, 1, 1), 12),
    "colour 16.tif": (tiff(16, 3, 2), 16),
    "colour and alpha 16.tif": (tiff(16, 4, 2, alpha=True), 16),
    "inks 16.tif": (tiff(16, 4, 5), 16),
}
SHALLOW = {
    "grey.png": png(0, 8, 1),
    "colour.png": png(2, 8, 3),
    "grey and alpha.png": png(4, 8, 2),
    "one bit.png": png(0, 1, 1),
    "grey.pgm": pnm(5, 255, 1),
    "colour.ppm": pnm(6, 255, 3),
    "dark.ppm": pnm(6, 15, 3),
    "grey.tif": tiff(8, 1, 1),
    "colour.tif": tiff(8, 3, 2),
    "colour and alpha.tif": tiff(8, 4, 2, alpha=True),
}
