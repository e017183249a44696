"""An array as a PNG in a data address: for small pictures inside a page, without a library for images."""

from __future__ import annotations

import base64
import struct
import zlib

from zhdsl.ir.arrays import Array, np


def png_address(picture: Array) -> str:
    """`data:image/png;base64,…` of [H, W, 1 or 3] numbers from 0 to 1."""
    values = (np.clip(picture, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)
    height, width, channels = values.shape
    lines = b"".join(b"\0" + line.tobytes() for line in values)
    head = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    content = _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(lines, 9)) + _chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + content).decode()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


PALETTE = np.array(
    [[0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [230, 159, 0], [86, 180, 233], [240, 228, 66]]
)


def overlaid(picture: Array, classes: Array, strength: float = 0.5) -> Array:
    """The picture with every class but 0 as a colour over it.

    Args:
        picture: [H, W, 1 or 3], from 0 to 1.
        classes: whole numbers [H, W].
    """
    base = np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture
    colours = PALETTE[(classes - 1) % len(PALETTE)] / 255.0
    return np.where((classes > 0)[..., None], base * (1 - strength) + colours * strength, base)
