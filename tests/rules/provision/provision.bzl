"""Releases of a node, each with what a tool wrote over the one before."""

load("@host_tools//:defs.bzl", "QEMU_IMG")
load("//rules:defs.bzl", "qcow2_image", "qcow2_overlay", "qcow2_provision")
load("//tests/rules/images:images.bzl", "image_test")

# What each release writes: an octal number, and in which 64 KiB.
_V1 = [(21, 16)]
_V2 = _V1 + [(42, 112)]
_V3 = [(63, 16), (42, 112)]

# buildifier: disable=unnamed-macro
def releases():
    """Declares the images and their tests."""
    for name, declared in [
        ("v1", {"args": ["1M", "0x11"], "backing": ":base"}),
        # The tool reads and writes files, and the disk is larger.
        (
            "v2",
            {
                "args": ["7M", "0x22", "$(location release2.txt)", "$(execpath v2.log)"],
                "backing": ":v1",
                "cluster_size": "4K",
                "env": {"OLD": "$(execpath :v1)"},
                "outs": ["v2.log"],
                "size": "8M",
                "srcs": ["release2.txt", ":v1"],
            },
        ),
        # The tool overwrites what v1 wrote.
        ("v3", {"args": ["1M", "0x33"], "backing": ":v2", "compression": "zstd", "extended_l2": True}),
    ]:
        qcow2_provision(name = name, target_compatible_with = QEMU_IMG, tool = ":install", **declared)
    qcow2_overlay(name = "node", size = "1G", backing = ":v3", target_compatible_with = QEMU_IMG)
    qcow2_image(name = "node_in_one", src = ":v3", target_compatible_with = QEMU_IMG)

    # The expected content of the disks.
    for name, size, writes in [("v1", "3M", _V1), ("v2", "8M", _V2), ("v3", "8M", _V3)]:
        native.genrule(
            name = name + "_content",
            srcs = [":base"],
            outs = [name + ".img"],
            cmd = "cat $< > $@ && truncate -s {} $@".format(size) + "".join([
                " && head -c 64K /dev/zero | tr '\\0' '\\{}' | dd of=$@ bs=64K seek={} conv=notrunc status=none".format(octal, seek)
                for octal, seek in writes
            ]),
        )

    for name, content, backing_format, size in [
        ("v1", "v1", "raw", 3 << 20),
        ("v2", "v2", "qcow2", 8 << 20),
        ("v3", "v3", "qcow2", 8 << 20),
        ("node", "v3", "qcow2", 1 << 30),
        ("node_in_one", "v3", None, 8 << 20),
    ]:
        image_test(name + "_test", name, size, content + ".img", backing_format)
