"""The rule `qcow2_overlay`."""

load(":create.bzl", "create_image")
load(":image_attribute.bzl", "FORMAT_ATTR", "image_of")
load(":options.bzl", "OPTION_ATTRS")
load(":providers.bzl", "Qcow2Info")
load(":toolchain.bzl", "TOOLCHAIN_TYPE")

visibility("//rules/private")

def _qcow2_overlay_impl(ctx):
    base = image_of(ctx, "backing")
    return create_image(ctx, size = base.size, base = base)

qcow2_overlay = rule(
    implementation = _qcow2_overlay_impl,
    doc = "A writable disk that is backed by an image: see the macro of this name.",
    attrs = {
        "backing": attr.label(
            doc = "The base: one file, raw or qcow2, or a target with `Qcow2Info`, such as another overlay.",
            allow_files = True,
            mandatory = True,
        ),
        "backing_format": FORMAT_ATTR,
        "virtual_size": attr.string(
            doc = "Size of the disk: bytes, or a number with a suffix. Default: the size of the base, which is also the minimum.",
        ),
    } | OPTION_ATTRS,
    provides = [Qcow2Info],
    toolchains = [TOOLCHAIN_TYPE],
)
