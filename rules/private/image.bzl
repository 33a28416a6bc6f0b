"""The rule `qcow2_image`."""

load(":create.bzl", "create_image")
load(":options.bzl", "OPTION_ATTRS", "declared_size")
load(":providers.bzl", "Qcow2Info")
load(":toolchain.bzl", "TOOLCHAIN_TYPE")

visibility("//rules/private")

def _qcow2_image_impl(ctx):
    return create_image(ctx, size = declared_size(ctx))

qcow2_image = rule(
    implementation = _qcow2_image_impl,
    doc = "A blank disk: see the macro of this name.",
    attrs = OPTION_ATTRS | {
        "virtual_size": attr.string(
            doc = "Size of the disk: bytes, or a number with a suffix.",
            mandatory = True,
        ),
        "_rule": attr.string(default = "qcow2_image"),
    },
    provides = [Qcow2Info],
    toolchains = [TOOLCHAIN_TYPE],
)
