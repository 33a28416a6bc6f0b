"""The rule `qcow2_provision`."""

load(":backing_chain.bzl", "add_backing", "place_beside", "relative_path")
load(":errors.bzl", "attribute_error")
load(":fixtures.bzl", "fixtures_of")
load(":fresh_disk.bzl", "fresh_disk")
load(":image_attribute.bzl", "FORMAT_ATTR", "check_chain", "image_of")
load(":image_providers.bzl", "image_providers")
load(":name_conflicts.bzl", "keep_apart")
load(":options.bzl", "COMPRESSION_ATTR", "OPTION_ATTRS", "image_options", "option_list")
load(":providers.bzl", "Qcow2Info")
load(":provisioned.bzl", "ProvisionInfo")
load(":toolchain.bzl", "TOOLCHAIN_TYPE")

visibility("//rules/private")

# Variables that the rule sets for the tool.
_DISK_VARIABLES = ["DISK", "DISK_BLOCKDEV"]

def _check_variables(ctx):
    """Fails if `env`, or the name of another disk or copy, is a variable that the rule sets."""
    for attribute, names in {"copies": ctx.attr.copies, "disks": ctx.attr.disks}.items():
        for name in names:
            if name in _DISK_VARIABLES:
                attribute_error(attribute, "{} is set to the disk over backing: choose another name".format(repr(name)))
    disks = [name + end for name in ctx.attr.disks for end in ["", "_BLOCKDEV"]]
    for names, what in [(_DISK_VARIABLES + disks, "disk"), (ctx.attr.copies, "copy")]:
        for name in names:
            if name in ctx.attr.env:
                attribute_error("env", "{} is set by the rule, to the {}: choose another name".format(repr(name), what))
    if ctx.attr.timeout < 1:
        attribute_error("timeout", "{} is not a number of seconds: give at least 1, or leave it out".format(ctx.attr.timeout))

def _add_disk(ctx, args, name, info, options):
    """Adds a further disk to the command line of the tool, and returns the Qcow2Info of its image."""
    check_chain("disks", ctx.attr.disks[name])
    part = "{}.{}".format(ctx.label.name, name)
    image = ctx.actions.declare_file(part + ".qcow2")
    backing, chain = place_beside(
        ctx,
        "disks",
        info.image,
        info.chain,
        name = part,
        target = ctx.attr.disks[name],
    )
    args.add("--disk", "{}={}".format(name, relative_path(backing, image)))
    args.add("--disk-output", image, format = name + "=%s")
    return Qcow2Info(
        backing = backing,
        chain = depset([image], transitive = [chain]),
        format = "qcow2",
        image = image,
        options = options,
        size = info.size,
    )

def _add_copy(ctx, args, name, original):
    """Adds a copy to the command line of the tool, and returns the File of what becomes of it."""
    path = "{}.{}".format(ctx.label.name, name)
    if original.is_directory:
        result = ctx.actions.declare_directory(path)
    else:
        result = ctx.actions.declare_file(path)
    args.add_all("--copy", [original], expand_directories = False, format_each = name + "=%s")
    args.add_all("--copy-output", [result], expand_directories = False, format_each = name + "=%s")
    return result

def _keep_apart(ctx, made, base, fixtures):
    """Fails if a file that this target makes is one of `outs`, or if an attribute names one."""
    keep_apart(ctx, made, "outs", ctx.outputs.outs)
    made = made + ctx.outputs.outs
    keep_apart(ctx, made, "backing", base.chain.to_list())
    keep_apart(ctx, made, "copies", fixtures.originals.values())
    for info in fixtures.images.values():
        keep_apart(ctx, made, "disks", info.chain.to_list())
    keep_apart(ctx, made, "srcs", ctx.files.srcs)

def _qcow2_provision_impl(ctx):
    _check_variables(ctx)
    fixtures = fixtures_of(ctx)
    image = ctx.actions.declare_file(ctx.label.name + ".qcow2")
    base = image_of(ctx, "backing")
    options = image_options(ctx, base.size)

    args = ctx.actions.args()
    args.add("provision")
    args.add("-q")
    backing, backing_chain = place_beside(ctx, "backing", base.file, base.chain)
    add_backing(args, image, base, backing, is_read = True)
    if ctx.attr.compression:
        args.add("-c")
    args.add("-o", option_list(options))
    args.add("--timeout", str(ctx.attr.timeout))
    disks = {name: _add_disk(ctx, args, name, info, options) for name, info in fixtures.images.items()}
    copies = {name: _add_copy(ctx, args, name, original) for name, original in fixtures.originals.items()}
    further = [info.image for info in disks.values()] + copies.values()
    chains = depset(transitive = [backing_chain] + [info.chain for info in disks.values()])

    # What backs the disks, without the images that this action writes.
    backing_files = [file for file in chains.to_list() if file not in further]
    links = [file for file in backing_files if file.owner == ctx.label]
    _keep_apart(ctx, [image] + further + links, base, fixtures)
    args.add(image)
    if base.size != None:
        args.add(str(base.size))
    args.add("--")
    tool = ctx.executable.tool

    # A name without a slash would be looked up in PATH.
    args.add(tool.path if "/" in tool.path else "./" + tool.path)

    # As in skylib's run_binary, labels are expanded, Make variables are not.
    expand = lambda text: ctx.expand_location(text, ctx.attr.srcs)
    tool_args = [expand(text) for text in ctx.attr.args]
    args.add_all(tool_args)
    env = {name: expand(value) for name, value in ctx.attr.env.items()}
    srcs = depset(ctx.files.srcs, transitive = [
        src[Qcow2Info].chain
        for src in ctx.attr.srcs
        if Qcow2Info in src
    ])
    originals = fixtures.originals.values()

    ctx.actions.run(
        executable = ctx.toolchains[TOOLCHAIN_TYPE].exec_tool,
        arguments = [args],
        inputs = depset(originals + backing_files, transitive = [srcs]),
        tools = [ctx.attr.tool[DefaultInfo].files_to_run],
        outputs = [image] + further + ctx.outputs.outs,
        env = env,
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
    ) + [ProvisionInfo(
        args = tool_args,
        copies = copies,
        disk = fresh_disk(ctx, options, base, backing, backing_chain),
        disks = disks,
        env = env,
        images = fixtures.images,
        originals = fixtures.originals,
        outs = ctx.outputs.outs,
        srcs = srcs,
        tool = ctx.attr.tool[DefaultInfo],
    )]

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
        "copies": attr.string_keyed_label_dict(
            doc = "Dictionary from names to files or directories of which the tool gets copies: see the macro.",
            allow_files = True,
        ),
        "disks": attr.string_keyed_label_dict(
            doc = "Dictionary from names to images over which the tool gets further disks: see the macro.",
            allow_files = True,
        ),
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
        "timeout": attr.int(
            doc = "Number of seconds that `tool` may take, which Bazel does not limit. It then gets TERM, and KILL 5 s later; the build fails, and nothing is kept.",
            default = 3600,
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
    provides = [ProvisionInfo, Qcow2Info],
    toolchains = [TOOLCHAIN_TYPE],
)
