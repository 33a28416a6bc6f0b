"""Images of another configuration."""

load("@rules_qcow2//rules:defs.bzl", "Qcow2Info")

def _debug_impl(_settings, _attr):
    return {"//command_line_option:compilation_mode": "dbg"}

_debug = transition(
    implementation = _debug_impl,
    inputs = [],
    outputs = ["//command_line_option:compilation_mode"],
)

def _debug_image_impl(ctx):
    target = ctx.attr.image[0]
    providers = [DefaultInfo(files = target[DefaultInfo].files)]
    if Qcow2Info in target:
        providers.append(target[Qcow2Info])
    return providers

debug_image = rule(
    implementation = _debug_image_impl,
    doc = "The image as `--compilation_mode=dbg` builds it.",
    attrs = {"image": attr.label(mandatory = True, cfg = _debug)},
)
