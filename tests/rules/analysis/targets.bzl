"""Rules whose targets the tests use as bases."""

load("//rules:defs.bzl", "Qcow2Info")

def _directory_impl(ctx):
    directory = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run_shell(outputs = [directory], command = "mkdir -p " + directory.path)
    return [DefaultInfo(files = depset([directory]))]

directory = rule(
    implementation = _directory_impl,
    doc = "A target whose output is a directory.",
)

def _foreign_image_impl(ctx):
    image = ctx.file.image
    backing = ctx.file.backing
    chain = depset([image] + ctx.files.chain)
    return [
        DefaultInfo(files = depset([image])),
        Qcow2Info(image = image, format = "qcow2", size = 1 << 20, backing = backing, chain = chain),
    ]

foreign_image = rule(
    implementation = _foreign_image_impl,
    doc = "An image of another ruleset, which provides Qcow2Info.",
    attrs = {
        "backing": attr.label(allow_single_file = True),
        "chain": attr.label_list(doc = "The files that back `image`.", allow_files = True),
        "image": attr.label(allow_single_file = True, mandatory = True),
    },
)

def _plain_image_impl(ctx):
    return [Qcow2Info(image = ctx.file.image, format = "raw")]

plain_image = rule(
    implementation = _plain_image_impl,
    doc = "An image whose Qcow2Info has only the mandatory fields.",
    attrs = {"image": attr.label(allow_single_file = True, mandatory = True)},
)

def _debug_impl(_settings, _attr):
    return {"//command_line_option:compilation_mode": "dbg"}

_debug = transition(
    implementation = _debug_impl,
    inputs = [],
    outputs = ["//command_line_option:compilation_mode"],
)

def _debug_image_impl(ctx):
    target = ctx.attr.image[0]
    return [DefaultInfo(files = target[DefaultInfo].files), target[Qcow2Info]]

debug_image = rule(
    implementation = _debug_image_impl,
    doc = "The image as `--compilation_mode=dbg` builds it.",
    attrs = {"image": attr.label(mandatory = True, cfg = _debug)},
)
