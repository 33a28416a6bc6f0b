"""The provider of disk images."""

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

A rule of your own provides it with `Qcow2Info(image = ..., format = ...)` and the other
fields that are known. For an image with a backing file, give `backing` and `chain` too. The
image must then store the relative path from itself to `backing`, by `short_path`.
""",
    fields = {
        "backing": "File: the backing file of `image`, if it has one.",
        "chain": "depset of File: all files that are needed to open `image`, including `image`. Default: only `image`.",
        "format": "string: the format of `image`, `qcow2` or `raw`; None to detect it from the content.",
        "image": "File: the image.",
        "options": "dict of string to string: the options of `image` as `qemu-img create -o` names them, such as `cluster_size` and `compat`. Default: empty, which means unknown.",
        "size": "int: the virtual size of `image` in bytes, if it is known before the build.",
    },
    init = _init,
)
