"""What a disk image target tells the targets that use it."""

visibility("//rules/...")

Qcow2Info = provider(
    doc = "A disk image, and what it stands on.",
    fields = {
        "backing": "File: the backing file of `image`; None if it has none.",
        "chain": "depset of File: all that must be at its place for `image` to open, `image` included.",
        "format": "string: the format of `image`, `qcow2` or `raw`.",
        "image": "File: the image.",
        "size": "int: the virtual size of `image` in bytes; None if it is not known before the build.",
    },
)
