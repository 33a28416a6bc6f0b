"""The rule `qcow2_provision`."""

load(":errors.bzl", "rule_error")
load(":named.bzl", "FORMAT_ATTR", "named_image")
load(":options.bzl", "OPTION_ATTRS", "image_options", "option_list")
load(":place.bzl", "place_beside", "relative_path")
load(":provide.bzl", "image_providers")
load(":providers.bzl", "Qcow2Info")
load(":toolchain.bzl", "TOOLCHAIN_TYPE")

visibility("//rules/private")

# What the tool finds in its environment.
_DISK_VARIABLES = ["DISK", "DISK_BLOCKDEV"]

def _qcow2_provision_impl(ctx):
    image = ctx.actions.declare_file(ctx.label.name + ".qcow2")
    base = named_image(ctx, "backing")
    options = image_options(ctx, base.size)
    backing, beneath = place_beside(ctx, "backing", base.file, base.chain)

    args = ctx.actions.args()
    args.add("provision")
    args.add("-q")
    args.add("-b", relative_path(backing.short_path, image.short_path))
    if base.format:
        args.add("-F", base.format)
    args.add("--probe", backing)
    if base.is_last:
        # A backing file of its own could exist, but would not be an input.
        args.add("--standalone")
    args.add("-o", option_list(options))
    args.add(image)
    if base.size != None:
        args.add(str(base.size))
    args.add("--")
    tool = ctx.executable.tool

    # What has no slash would be looked for in PATH.
    args.add(tool.path if "/" in tool.path else "./" + tool.path)

    # As skylib's run_binary: labels are expanded, variables are not.
    expand = lambda text: ctx.expand_location(text, ctx.attr.srcs)
    args.add_all([expand(text) for text in ctx.attr.args])
    for name in _DISK_VARIABLES:
        if name in ctx.attr.env:
            rule_error(ctx, "env", "{} is set by the rule, to the disk: choose another name".format(repr(name)))

    ctx.actions.run(
        executable = ctx.toolchains[TOOLCHAIN_TYPE].exec_tool,
        arguments = [args],
        inputs = depset(ctx.files.srcs, transitive = [beneath] + [
            src[Qcow2Info].chain
            for src in ctx.attr.srcs
            if Qcow2Info in src
        ]),
        tools = [ctx.attr.tool[DefaultInfo].files_to_run],
        outputs = [image] + ctx.outputs.outs,
        env = {name: expand(value) for name, value in ctx.attr.env.items()},
        mnemonic = "Qcow2Provision",
        progress_message = "Provisioning qcow2 image %{output}",
        # When the build is interrupted, time to remove what is beside the image.
        execution_requirements = {"supports-graceful-termination": ""},
        toolchain = TOOLCHAIN_TYPE,
        use_default_shell_env = True,
    )
    return image_providers(
        ctx,
        backing = backing,
        beneath = beneath,
        image = image,
        options = options,
        size = base.size,
    )

qcow2_provision = rule(
    implementation = _qcow2_provision_impl,
    doc = "An image with what a tool wrote to the disk: see the macro of this name.",
    attrs = OPTION_ATTRS | {
        "args": attr.string_list(
            doc = "Arguments of `tool`; `$(location)` and the like are expanded.",
        ),
        "backing": attr.label(
            doc = "The initial content of the disk: one file, raw or qcow2, or a target with `Qcow2Info`.",
            allow_files = True,
            mandatory = True,
        ),
        "backing_format": FORMAT_ATTR,
        "env": attr.string_dict(
            doc = "Environment of `tool`; `$(location)` and the like are expanded.",
        ),
        "outs": attr.output_list(
            doc = "Other files that the tool writes.",
        ),
        "srcs": attr.label_list(
            doc = "Files that the tool reads; an image comes with its chain.",
            allow_files = True,
        ),
        "tool": attr.label(
            doc = "The executable that writes to the disk.",
            allow_files = True,
            cfg = "exec",
            executable = True,
            mandatory = True,
        ),
        "virtual_size": attr.string(
            doc = "Size of the disk: bytes, or a number with a suffix; at least that of `backing`, which is the default.",
        ),
        "_rule": attr.string(default = "qcow2_provision"),
    },
    provides = [Qcow2Info],
    toolchains = [TOOLCHAIN_TYPE],
)
