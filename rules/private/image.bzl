"""The rule `qcow2_image`."""

load(":convert.bzl", "convert_image")
load(":create.bzl", "create_image")
load(":errors.bzl", "attribute_error")
load(":image_attribute.bzl", "FORMAT_ATTR", "image_of")
load(":options.bzl", "COMPRESSION_ATTR", "OPTION_ATTRS", "declared_size")
load(":providers.bzl", "Qcow2Info")
load(":toolchain.bzl", "TOOLCHAIN_TYPE")

visibility("//rules/private")

def _qcow2_image_impl(ctx):
    if ctx.attr.src:
        return convert_image(ctx, image_of(ctx, "src"))
    if ctx.attr.src_format:
        attribute_error("src_format", "it is {}, but there is no src: give src too".format(
            repr(ctx.attr.src_format),
        ))
    if ctx.attr.compression:
        attribute_error("compression", "it is {}, but there is no src, and a blank disk has no data: give src too".format(
            repr(ctx.attr.compression),
        ))
    size = declared_size(ctx)
    if size == None:
        attribute_error("size", "it is missing, and so is src: give a size such as \"10G\" for a blank disk, or an image as src")
    return create_image(ctx, size = size)

qcow2_image = rule(
    implementation = _qcow2_image_impl,
    doc = "A disk in one file: see the macro of this name.",
    attrs = {
        "compression": COMPRESSION_ATTR,
        "src": attr.label(
            doc = "The image to take the content from: one file, raw or qcow2, or a target with `Qcow2Info`, such as an overlay. Default: none, for a blank disk.",
            allow_files = True,
        ),
        "src_format": FORMAT_ATTR,
        "virtual_size": attr.string(
            doc = "Size of the disk: bytes, or a number with a suffix. Default: the size of `src`, which is also the minimum.",
        ),
    } | OPTION_ATTRS,
    provides = [Qcow2Info],
    toolchains = [TOOLCHAIN_TYPE],
)
