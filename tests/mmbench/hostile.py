"""Files that people give, right and wrong: strategies of Hypothesis, and what a right one means by its own rules."""

from __future__ import annotations

import io
import struct
import unicodedata
import zlib
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from PIL import Image

GREY, RGB, GREY_ALPHA, RGBA = 0, 2, 4, 6
"""PNG's kinds of colour."""
CHANNELS = {GREY: 1, RGB: 3, GREY_ALPHA: 2, RGBA: 4}


@dataclass(frozen=True)
class Picture:
    """A whole image file: brightness (H, W, 3) in [0, 255], opacity (H, W) in [0, 1], as a viewer shows it."""

    content: bytes
    colours: np.ndarray
    opacity: np.ndarray

    def on(self, ground: float) -> np.ndarray:
        return self.colours * self.opacity[..., None] + ground * (1 - self.opacity[..., None])


def png(
    values: np.ndarray, depth: int, kind: int, key: tuple[int, ...] = (), orientation: int = 1, more: bytes = b""
) -> bytes:
    """A PNG of values (H, W, channels), written by its specification and not by Pillow."""
    height, width, _ = values.shape
    flat = values.reshape(height, -1)
    if depth == 16:
        rows = [row.astype(">u2").tobytes() for row in flat]
    else:
        bits = ((flat[..., None] >> np.arange(depth - 1, -1, -1)) & 1).reshape(height, -1)
        rows = [np.packbits(row.astype(np.uint8)).tobytes() for row in bits]
    content = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)) + more
    content += chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)) if key else b""
    content += chunk(b"eXIf", exif(orientation)) if orientation != 1 else b""
    content += chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + content + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def exif(orientation: int) -> bytes:
    """One tag of a TIFF directory, 0x0112."""
    return b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0) + b"\0\0\0\0"


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """EXIF says where the stored row 0 and column 0 are seen (1 top left, 2 top right, 3 bottom right, ...)."""
    array = array.swapaxes(0, 1) if orientation >= 5 else array
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return array[::rows, ::columns]


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    """Whole PNGs of every depth, with an alpha channel, a transparent colour, or none, in every orientation."""
    kind = draw(st.sampled_from([GREY, RGB, GREY_ALPHA, RGBA]))
    depth = draw(st.sampled_from([1, 2, 4, 8, 16] if kind == GREY else [8, 16]))
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    noise = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = noise.integers(0, 2**depth, (height, width, CHANNELS[kind]))
    orientation = draw(st.integers(1, 8))
    opacity, key = np.ones((height, width)), ()
    if kind in (GREY_ALPHA, RGBA):
        opacity = values[..., -1] / (2**depth - 1)
    elif draw(st.booleans()):
        key = tuple(int(v) for v in values[noise.integers(height), noise.integers(width)])
        if depth == 16:  # which readers of 8 bits tell by their upper halves
            key = tuple(v & 0xFF00 for v in key)
            values[values >> 8 == np.array(key) >> 8] &= 0xFF00
        opacity = 1 - (values == np.array(key)).all(axis=2).astype(float)
    colours = values[..., :3] if kind in (RGB, RGBA) else values[..., :1].repeat(3, axis=2)
    content = png(values, depth, kind, key, orientation)
    return Picture(content, upright(colours * (255 / (2**depth - 1)), orientation), upright(opacity, orientation))


def linear_profile() -> bytes:
    """An ICC profile (version 2) of sRGB's primaries, whose values are proportional to light: gamma 1."""
    xyz = {"rXYZ": (0.4361, 0.2225, 0.0139), "gXYZ": (0.3851, 0.7169, 0.0971), "bXYZ": (0.1431, 0.0606, 0.7141)}
    tags = {name: b"XYZ \0\0\0\0" + b"".join(fixed(v) for v in value) for name, value in xyz.items()}
    tags["wtpt"] = b"XYZ \0\0\0\0" + b"".join(map(fixed, (0.9642, 1.0, 0.8249)))
    tags |= dict.fromkeys(("rTRC", "gTRC", "bTRC"), b"curv\0\0\0\0" + struct.pack(">IHH", 1, 256, 0))
    tags["desc"] = b"desc\0\0\0\0" + struct.pack(">I", 7) + b"linear\0" + bytes(81)
    tags["cprt"] = b"text\0\0\0\0none\0\0\0\0"
    place, table, data = 132 + 12 * len(tags), b"", b""
    for name, value in tags.items():
        value += bytes(-len(value) % 4)
        table += name.encode() + struct.pack(">II", place + len(data), len(value))
        data += value
    head = struct.pack(
        ">I4sI4s4s4s12s4s", place + len(data), b"lcms", 0x02400000, b"mntr", b"RGB ", b"XYZ ", bytes(12), b"acsp"
    )
    head += bytes(28) + b"".join(map(fixed, (0.9642, 1.0, 0.8249)))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


def fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


SAVED = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "PPM", "JPEG2000", "TGA", "ICO", "EPS", "PCX")


@st.composite
def broken_images(draw: st.DrawFn) -> bytes:
    """Image files of every format that were cut, or of which bytes were changed or put in; and no images."""
    kind = draw(st.sampled_from([*SAVED, "none"]))
    if kind == "none":
        return draw(st.binary(max_size=200)) if draw(st.booleans()) else draw(st.text()).encode()
    noise = np.random.default_rng(0).integers(0, 256, (16, draw(st.integers(16, 24)), 3), dtype=np.uint8)
    made = io.BytesIO()
    Image.fromarray(noise).convert(draw(st.sampled_from(["L", "RGB"]))).save(made, kind)
    return draw(broken(made.getvalue()))


@st.composite
def broken(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes with one to three faults."""
    spoiled = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(len(spoiled) - 1, 0)))
        near = min(place, draw(st.integers(0, 64)))  # headers are where formats go wrong
        match draw(st.sampled_from(["cut", "change", "head", "insert", "huge"])):
            case "cut":
                del spoiled[place:]
            case "change":
                spoiled[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
            case "head":
                spoiled[near : near + 1] = draw(st.binary(min_size=1, max_size=1))
            case "insert":
                spoiled[near:near] = draw(st.binary(min_size=1, max_size=8))
            case "huge":
                spoiled[near : near + 4] = b"\x7f\xff\xff\xff"
    return bytes(spoiled)


SCRIPTS = {
    "english": "abcdefgh ,'-", "french": "abcdéèçàô ", "greek": "αβγδεάέ ", "russian": "абвгдйё ", "arabic": "ابتثج ",
    "hindi": "पक्षीलाल ", "korean": "새는빨강 ", "chinese": "鳥紅色小 ", "thai": "นกสีแดง ", "emoji": "🐦❤️… ",
}  # fmt: skip
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32")
ENDS = ("\n", "\r\n", "\r")


@dataclass(frozen=True)
class Text:
    """A text file and the lines in it that are not blank."""

    content: bytes
    lines: tuple[str, ...]

    @property
    def has_letters(self) -> bool:
        return any(unicodedata.category(c)[0] == "L" or c.isdigit() for line in self.lines for c in line)


@st.composite
def texts(draw: st.DrawFn) -> Text:
    """Whole text files in every script, encoding and kind of line."""
    script = draw(st.sampled_from(sorted(SCRIPTS)))
    lines = draw(st.lists(st.text(SCRIPTS[script], max_size=20), max_size=12))
    ends = draw(st.sampled_from(ENDS))
    content = "".join(line + ends for line in lines).encode(draw(st.sampled_from(ENCODINGS)))
    return Text(content, tuple(line.strip() for line in lines if line.strip()))


@st.composite
def broken_texts(draw: st.DrawFn) -> bytes:
    return draw(broken(draw(texts()).content or b"a bird\n"))


@st.composite
def tables(draw: st.DrawFn) -> tuple[bytes, list[tuple[str, str]]]:
    """A list of 'number value', right but for numbers that may be repeated, and its rows."""
    rows = draw(
        st.lists(st.tuples(st.integers(1, 30).map(str), st.text("ab/é. ", min_size=1).map(str.strip).filter(bool)))
    )
    gap, ends = draw(st.sampled_from([" ", "\t", "  ", " \t "])), draw(st.sampled_from([*ENDS, "\n\n"]))
    text = ends.join(gap.join(row) for row in rows)
    return text.encode(draw(st.sampled_from(ENCODINGS))), rows
