"""Sizes in BUILD files, with the grammar of `qemu-img`."""

visibility(["//rules/...", "//tests/..."])

_UNITS = {
    "": 1,
    "B": 1,
    "E": 1 << 60,
    "G": 1 << 30,
    "K": 1 << 10,
    "M": 1 << 20,
    "P": 1 << 50,
    "T": 1 << 40,
}

_SECTOR = 512

def parse_size(text):
    """Parses a size such as `512`, `64K` or `1.5G`.

    Args:
      text: digits, and optionally a suffix K, M, G, T, P, E (powers of 1024) or B, in
        either case. A number with a suffix other than B can have a fraction.

    Returns:
      The number of bytes; None if `text` is not a size.
    """
    number = text.rstrip("bBkKmMgGtTpPeE")
    unit = _UNITS.get(text[len(number):].upper())
    whole, point, fraction = number.partition(".")
    digits = whole + fraction
    if unit == None or not digits or (point and unit == 1):
        return None
    for digit in digits.elems():
        if digit not in "0123456789":
            return None

    # A fraction of a byte is rounded to the nearest byte, as in qemu-img.
    scale = 1
    for _ in fraction.elems():
        scale *= 10
    return (int(digits, 10) * unit * 2 + scale) // (2 * scale)

def whole_sectors(size):
    """Rounds the size of a disk up as `qemu-img` does.

    Args:
      size: bytes.

    Returns:
      The next multiple of 512.
    """
    return (size + _SECTOR - 1) // _SECTOR * _SECTOR

def human_size(size):
    """Formats a size with the largest suffix that represents it exactly.

    Args:
      size: bytes.

    Returns:
      Text that `parse_size` parses as `size`.
    """
    for suffix in "EPTGMK".elems():
        if size and size % _UNITS[suffix] == 0:
            return str(size // _UNITS[suffix]) + suffix
    return str(size)
