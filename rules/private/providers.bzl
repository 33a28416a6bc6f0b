"""What a disk image target tells the targets that use it."""

visibility("//rules/...")

def _init(*, image, format, size = None, backing = None, chain = None, options = None):
    if chain == None:
        chain = depset([image])
    return {
        "backing": backing,
        "chain": chain,
        "format": format,
        "image": image,
        "options": options or {},
        "size": size,
    }

Qcow2Info, _new_qcow2_info = provider(
    doc = """\
A disk image and the files that back it.

A rule of your own provides it with `Qcow2Info(image = ..., format = ...)` and what else
is known. An image that is backed by another also gives `backing` and `chain`; the name it
stores for its backing file must then be the relative path from the image to `backing`,
by `short_path`.
""",
    fields = {
        "backing": "File: the backing file of `image`, if it has one.",
        "chain": "depset of File: all that must be at its place for `image` to open, itself included. Default: `image` alone.",
        "format": "string: the format of `image`, `qcow2` or `raw`; None if its content must say.",
        "image": "File: the image.",
        "options": "dict of string to string: the options of `image` as `qemu-img create -o` names them, such as `cluster_size` and `compat`. Default: empty, not known.",
        "size": "int: the virtual size of `image` in bytes, if it is known before the build.",
    },
    init = _init,
)
