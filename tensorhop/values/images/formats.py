"""Which image formats this installation reads: those of Pillow's codecs, and HEIF where its package is installed."""

from functools import cache
from importlib import import_module
from importlib.util import find_spec

from PIL import Image, features

ALWAYS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
BY_CODEC = {"AVIF": "avif", "JPEG2000": "jpg_2000"}  # format: Pillow's name of the codec
BY_PACKAGE = {"HEIF": "pillow_heif"}  # format: the module that adds it to Pillow
SAME = {"JPEG": ("MPO",), "BMP": ("DIB",)}  # formats of Pillow that are read as another
# What files of formats are called that may be missing here, and what would read them.
MISSING = {
    "AVIF": ({".avif", ".avifs"}, "Pillow 11.3 or newer, with AVIF"),
    "JPEG2000": ({".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c"}, "Pillow with JPEG 2000"),
    "HEIF": ({".heic", ".heics", ".heif", ".heifs", ".hif"}, "the package pillow-heif"),
}


@cache
def readable_formats() -> tuple[str, ...]:
    """Names of the formats, as Pillow calls them, that can be read here."""
    codecs = tuple(name for name, codec in BY_CODEC.items() if has_codec(codec))
    return ALWAYS + codecs + (("HEIF",) if register_heif() else ())


@cache
def readable_suffixes() -> frozenset[str]:
    """Suffixes of the files that can be read here, lower case, with their dot."""
    readable_formats()  # a package adds its suffixes when it is registered
    known = {name for kind in readable_formats() for name in (kind, *SAME.get(kind, ()))}
    return frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in known)


def missing_for(suffix: str) -> str:
    """What would read files of a suffix that cannot be read here; "" if nothing is known."""
    return next((what for suffixes, what in MISSING.values() if suffix.lower() in suffixes), "")


def has_codec(name: str) -> bool:
    # Not get_supported, which tries all of Pillow's features, and so imports Tk.
    return name in {**features.codecs, **features.modules} and bool(features.check(name))


def register_heif() -> bool:
    """Have Pillow read HEIF; whether it can."""
    if find_spec(BY_PACKAGE["HEIF"]) is None:
        return False
    try:
        import_module(BY_PACKAGE["HEIF"]).register_heif_opener()
    except ImportError:  # a library of the system is missing
        return False
    return True
