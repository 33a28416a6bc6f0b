"""Images of a flavor that is not that of the build."""

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

    # What is known of an image goes on to the overlays of it.
    known = [image[Qcow2Info]] if Qcow2Info in image else []
    return [DefaultInfo(files = image[DefaultInfo].files)] + known

debug_image = rule(
    implementation = _debug_image_impl,
    doc = "An image, built for debugging.",
    attrs = {"image": attr.label(mandatory = True, cfg = _debug)},
)
