"""Images in folders, one folder a class: `pets/cat/1.png`, `pets/dog/7.jpg`. Needs Pillow, imported on use."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zhdsl.data.arrays import Array, Arrays
from zhdsl.data.faults import check_bytes, fault
from zhdsl.data.files import listed, read_file
from zhdsl.data.registry import dataset

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".gif": "GIF", ".ppm": "PPM", ".pgm": "PPM"}
MODES = {1: "L", 3: "RGB"}
MAX_FILE_BYTES = 64 * 2**20
MAX_PIXELS = 64 * 2**20


@dataset("image_folder")
def image_folder(folder: Path, file: str, height: int, width: int, channels: int = 3) -> Arrays:
    """All images below `file`, by class, scaled to one size.

    Args:
        folder: the folder of the spec.
        file: folder of folders, one a class, named by it; classes are numbered in alphabetic order.
        height, width: every image is scaled to this size (bilinear), whatever its own proportions.
        channels: 3 for colour, 1 for grey.

    Returns:
        image: float32 [B, C, H, W], 0 to 1, in order of the paths; label: int32 [B], with the names of the classes.

    Raises:
        TrainingError: Pillow is missing, there are no images, one cannot be read or is too large; names the file.
    """
    if channels not in MODES or min(height, width) < 1:
        raise fault(file, f"images of {channels} × {height} × {width} cannot be made", "write channels = 1 or 3")
    classes = tuple(name for name, is_folder in listed(folder, file) if is_folder)
    paths = [(f"{file}/{name}/{image}", i) for i, name in enumerate(classes) for image in _images(folder, file, name)]
    if not paths:
        raise fault(file, "there are no images in folders below it", f"put them into {file}/CLASS/NAME.png")
    check_bytes(len(paths) * channels * height * width * 4, file)
    image = np.stack([_read(folder, path, height, width, MODES[channels]) for path, _ in paths])
    label = np.array([i for _, i in paths], dtype=np.int32)
    return Arrays({"image": image, "label": label}, f"images in {file}", labels="label", names={"label": classes})


def _images(folder: Path, file: str, name: str) -> list[str]:
    there = listed(folder, f"{file}/{name}")
    return [entry for entry, is_folder in there if not is_folder and Path(entry).suffix.lower() in SUFFIXES]


def _read(folder: Path, path: str, height: int, width: int, mode: str) -> Array:
    """One image as float32 [C, H, W]."""
    picture = _opened(read_file(folder, path, MAX_FILE_BYTES), path)
    try:
        scaled = picture.convert(mode).resize((width, height), resample=2)  # 2 is bilinear
    except (OSError, ValueError, SyntaxError) as error:
        raise fault(path, f"the image cannot be read ({error})", "mend or remove it") from None
    pixels = np.asarray(scaled, dtype=np.float32).reshape(height, width, -1) / np.float32(255)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _opened(data: bytes, path: str) -> Image.Image:
    """The image, its header read and its size found harmless; only the formats of `SUFFIXES` are tried."""
    try:
        from PIL import Image
    except ImportError:
        raise fault(path, "reading images needs Pillow", 'pip install "zhdsl[images]"') from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is stricter
            picture = Image.open(io.BytesIO(data), formats=sorted(set(SUFFIXES.values())))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise fault(path, f"this is no image ({error})", "mend or remove it") from None
    if picture.width * picture.height > MAX_PIXELS:
        raise fault(path, f"it has {picture.width} × {picture.height} pixels", f"the limit is {MAX_PIXELS:,} pixels")
    return picture
