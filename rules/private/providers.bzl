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
A disk image, and what it stands on.

A rule of your own provides it with `Qcow2Info(image = ..., format = ...)` and what else
is known. An image that stands on another also gives `backing` and `chain`; the name it
stores for its backing file must then be the relative path from the image to `backing`,
by `short_path`.
""",
    fields = {
        "backing": "File: the backing file of `image`. Default: None, it has none.",
        "chain": "depset of File: all that must be at its place for `image` to open, `image` included. Default: `image` alone.",
        "format": "string: the format of `image`, `qcow2` or `raw`. None if its content must say.",
        "image": "File: the image.",
        "options": "dict of string to string: the options of `image` as `qemu-img create -o` names them, such as `cluster_size` and `compat`. Default: empty, not known.",
        "size": "int: the virtual size of `image` in bytes. Default: None, not known before the build.",
    },
    init = _init,
)
