"""Images of the rules, opened with QEMU's tools."""

load("@host_tools//:defs.bzl", "QEMU_IMG")
load("@rules_shell//shell:sh_test.bzl", "sh_test")
load("//rules:defs.bzl", "qcow2_image", "qcow2_overlay")

def image_test(name, image, virtual_size, content = None, backing_format = None, compression = None):
    """Checks an image with qemu-img.

    Args:
      name: the test's name.
      image: a target of `qcow2_image` or `qcow2_overlay`.
      virtual_size: the virtual size that it must have, in bytes.
      content: the raw file that the image must read as.
      backing_format: the format that the image must record for its backing file; None if
        it must have none.
      compression: how all its clusters must be compressed; None to leave that open.
    """
    sh_test(
        name = name,
        size = "small",
        env = {"COMPRESSION": compression} if compression else {},
        srcs = ["//tests/rules/images:image_test.sh"],
        args = ["$(rootpath {})".format(image), str(virtual_size)] +
               (["$(rootpath {})".format(content)] if content else []) +
               ([backing_format] if backing_format else []),
        data = [image] + ([content] if content else []),
        target_compatible_with = QEMU_IMG,
    )

def _file(name, cmd, srcs = ["source.img"], **kwargs):
    native.genrule(
        name = name.partition(".")[0],
        srcs = srcs,
        outs = [name],
        cmd = cmd,
        toolchains = ["//rules:current_qcow2_toolchain"],
        **kwargs
    )

# The files that the images are made of.
def _files():
    _file("generated.img", "cat $< $< $< > $@")
    _file("doubled.img", "cat $< $< > $@")

    # Data at both ends and a hole between them.
    _file("sparse.img", "cat $< > $@ && truncate -s 30M $@ && cat $< >> $@ && truncate -s 31M $@")

    # Compressed, like images for download.
    _file(
        "compressed.qcow2",
        "qemu-img convert -q -c -f raw -O qcow2 -o compression_type=zstd $< $@",
        [":sparse"],
        target_compatible_with = QEMU_IMG,
    )
    _file("packed.img.gz", "gzip -nc $< > $@", [":doubled"])

    # As the message about a compressed image says.
    _file("unpacked.qcow2", "gzip -dc $< | $(QCOW2_OVERLAY) convert -q - $@", [":packed"])

    # Through a pipe, without a temporary file.
    _file("streamed.qcow2", "cat $< $< | $(QCOW2_OVERLAY) convert -q -f raw - $@")

    # The raw image is not an output of the action, only a temporary file of it.
    _file(
        "kept_to_itself.qcow2",
        "cat $< > $@.raw && truncate -s 64M $@.raw && $(QCOW2_OVERLAY) convert -q -f raw $@.raw $@ && rm $@.raw",
    )

# buildifier: disable=unnamed-macro
def images():
    """Declares the images and their tests."""
    _files()
    node = "//tests/vm/demo:node_image"
    for name, size, content, declared in [
        ("blank", 10 << 30, None, {"size": "10G"}),
        (
            "blank_with_options",
            3 << 19,
            None,
            {"cluster_size": "512", "compat": "1.1", "lazy_refcounts": True, "size": "1.5M"},
        ),
        ("of_raw", 31 << 20, ":sparse", {"cluster_size": "4K", "src": ":sparse"}),
        # Larger than its source.
        (
            "of_source",
            1 << 30,
            "source.img",
            {"compat": "0.10", "size": "1G", "src": "source.img", "src_format": "raw"},
        ),
        (
            "of_compressed",
            31 << 20,
            ":sparse",
            {"extended_l2": True, "src": ":compressed", "target_compatible_with": QEMU_IMG},
        ),
        # The bytes of a compressed file as a disk.
        ("of_packed", 512, ":packed", {"src": ":packed", "src_format": "raw"}),
        # A chain of three as one file.
        ("of_chain", 1 << 30, node, {"src": ":on_overlay"}),
    ]:
        qcow2_image(name = name, **declared)
        image_test(name + "_test", name, size, content)

    for name, backing_format, size, content, declared in [
        # A base that is generated in the same package. Its content gives size and format.
        ("on_generated", "raw", 3 * 4096, ":generated", {"backing": ":generated"}),
        # A base that is a source file.
        ("on_source", "raw", 4096, "source.img", {"backing": "source.img"}),
        # A base of another package.
        (
            "on_other_package",
            "raw",
            1 << 30,
            node,
            {"backing": node, "cluster_size": "2M", "extended_l2": True, "size": "1G"},
        ),
        # An overlay of an overlay of another package.
        ("on_overlay", "qcow2", 1 << 30, node, {"backing": "//tests/vm/demo:node", "compat": "0.10"}),
        ("on_streamed", "qcow2", 1 << 30, ":doubled", {"backing": ":streamed", "size": "1G"}),
        ("on_packed", "raw", 512, ":packed", {"backing": ":packed", "backing_format": "raw"}),
    ]:
        qcow2_overlay(name = name, **declared)
        image_test(name + "_test", name, size, content, backing_format)

    for compression in ["zlib", "zstd"]:
        name = "compressed_with_" + compression
        qcow2_image(name = name, src = ":sparse", compression = compression)
        image_test(name + "_test", name, 31 << 20, ":sparse", compression = compression)

    image_test("unpacked_test", ":unpacked", 8192, ":doubled")
    image_test("kept_to_itself_test", ":kept_to_itself", 64 << 20, "source.img")
