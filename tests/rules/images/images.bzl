"""Test of an image of the rules with QEMU's tools."""

load("@host_tools//:defs.bzl", "QEMU_IMG")
load("@rules_shell//shell:sh_test.bzl", "sh_test")

def image_test(name, image, virtual_size, content = None, backing_format = None):
    """Checks an image with qemu-img.

    Args:
      name: the test's name.
      image: a target of `qcow2_image` or `qcow2_overlay`.
      virtual_size: the virtual size that it must have, in bytes.
      content: the raw file that the image must read as.
      backing_format: the format that the image must record for its backing file; None if
        it must have none.
    """
    sh_test(
        name = name,
        size = "small",
        srcs = ["//tests/rules/images:image_test.sh"],
        args = ["$(rootpath {})".format(image), str(virtual_size)] +
               (["$(rootpath {})".format(content)] if content else []) +
               ([backing_format] if backing_format else []),
        data = [image] + ([content] if content else []),
        target_compatible_with = QEMU_IMG,
    )
