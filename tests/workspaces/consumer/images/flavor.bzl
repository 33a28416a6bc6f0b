"""Images that are built for debugging in any build."""

load("@rules_qcow2//rules:defs.bzl", "Qcow2Info")

def _debug_impl(_settings, _attr):
    return {"//images:flavor": "debug"}

_debug = transition(
    implementation = _debug_impl,
    inputs = [],
    outputs = ["//images:flavor"],
)

def _debug_image_impl(ctx):
    image = ctx.attr.image[0]

    # Qcow2Info, if there is one, tells overlays the size and format.
    info = [image[Qcow2Info]] if Qcow2Info in image else []
    return [DefaultInfo(files = image[DefaultInfo].files)] + info

debug_image = rule(
    implementation = _debug_image_impl,
    doc = "An image, built for debugging.",
    attrs = {"image": attr.label(mandatory = True, cfg = _debug)},
)
