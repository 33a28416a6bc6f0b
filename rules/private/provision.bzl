"""The rule `qcow2_provision`."""

load(":backing_chain.bzl", "add_backing")
load(":errors.bzl", "attribute_error")
load(":image_attribute.bzl", "FORMAT_ATTR", "image_of")
load(":image_providers.bzl", "image_providers")
load(":name_conflicts.bzl", "keep_apart")
load(":options.bzl", "COMPRESSION_ATTR", "OPTION_ATTRS", "image_options", "option_list")
load(":providers.bzl", "Qcow2Info")
load(":toolchain.bzl", "TOOLCHAIN_TYPE")

visibility("//rules/private")

# Variables that the rule sets for the tool.
_DISK_VARIABLES = ["DISK", "DISK_BLOCKDEV"]

def _qcow2_provision_impl(ctx):
    image = ctx.actions.declare_file(ctx.label.name + ".qcow2")
    base = image_of(ctx, "backing")
    keep_apart(ctx, [image], "outs", ctx.outputs.outs)
    keep_apart(ctx, [image] + ctx.outputs.outs, "backing", base.chain.to_list())
    options = image_options(ctx, base.size)

    args = ctx.actions.args()
    args.add("provision")
    args.add("-q")
    backing, backing_chain = add_backing(ctx, args, image, base, is_read = True)
    links = [file for file in backing_chain.to_list() if file.owner == ctx.label]
    keep_apart(ctx, links, "outs", ctx.outputs.outs)
    keep_apart(ctx, [image] + links + ctx.outputs.outs, "srcs", ctx.files.srcs)
    if ctx.attr.compression:
        args.add("-c")
    args.add("-o", option_list(options))
    args.add(image)
    if base.size != None:
        args.add(str(base.size))
    args.add("--")
    tool = ctx.executable.tool

    # A name without a slash would be looked up in PATH.
    args.add(tool.path if "/" in tool.path else "./" + tool.path)

    # As in skylib's run_binary, labels are expanded, Make variables are not.
    expand = lambda text: ctx.expand_location(text, ctx.attr.srcs)
    args.add_all([expand(text) for text in ctx.attr.args])
    for name in _DISK_VARIABLES:
        if name in ctx.attr.env:
            attribute_error("env", "{} is set by the rule, to the disk: choose another name".format(repr(name)))

    ctx.actions.run(
        executable = ctx.toolchains[TOOLCHAIN_TYPE].exec_tool,
        arguments = [args],
        inputs = depset(ctx.files.srcs, transitive = [backing_chain] + [
            src[Qcow2Info].chain
            for src in ctx.attr.srcs
            if Qcow2Info in src
        ]),
        tools = [ctx.attr.tool[DefaultInfo].files_to_run],
        outputs = [image] + ctx.outputs.outs,
        env = {name: expand(value) for name, value in ctx.attr.env.items()},
        mnemonic = "Qcow2Provision",
        progress_message = "Provisioning qcow2 image %{output}",
        # If the build is interrupted, the tool has time to remove its temporary files.
        execution_requirements = {"supports-graceful-termination": ""},
        toolchain = TOOLCHAIN_TYPE,
        use_default_shell_env = True,
    )
    return image_providers(
        ctx,
        backing = backing,
        backing_chain = backing_chain,
        image = image,
        options = options,
        size = base.size,
    )

qcow2_provision = rule(
    implementation = _qcow2_provision_impl,
    doc = "An overlay that holds what a tool wrote to the disk: see the macro of this name.",
    attrs = {
        "args": attr.string_list(
            doc = "Arguments of `tool`. `$(location)`, `$(execpath)` and `$(rootpath)` of `srcs` and `outs` are expanded. `$(DISK)` is not: the tool finds the disk in its environment.",
        ),
        "backing": attr.label(
            doc = "The base, with the initial content of the disk: one file, raw or qcow2, or a target with `Qcow2Info`. It is never written to.",
            allow_files = True,
            mandatory = True,
        ),
        "backing_format": FORMAT_ATTR,
        "compression": COMPRESSION_ATTR,
        "env": attr.string_dict(
            doc = "Environment variables of `tool`, in addition to those of every action (`--action_env`); expanded like `args`.",
        ),
        "outs": attr.output_list(
            doc = "Other files that the tool must write, such as an installation log.",
        ),
        "srcs": attr.label_list(
            doc = "Files that the tool reads. An image comes with its whole backing chain.",
            allow_files = True,
        ),
        "tool": attr.label(
            doc = "The executable that writes to the disk, built for the execution platform.",
            allow_files = True,
            cfg = "exec",
            executable = True,
            mandatory = True,
        ),
        "virtual_size": attr.string(
            doc = "Size of the disk: bytes, or a number with a suffix. Default: the size of `backing`, which is also the minimum.",
        ),
    } | OPTION_ATTRS,
    provides = [Qcow2Info],
    toolchains = [TOOLCHAIN_TYPE],
)
