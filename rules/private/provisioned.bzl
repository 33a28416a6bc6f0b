"""What belongs to a derived image: its further disks and copies, and its tool by hand."""

load(":image_providers.bzl", "image_providers")
load(":providers.bzl", "Qcow2Info")
load(":runfiles.bzl", "runfiles_path")
load(":toolchain.bzl", "TOOLCHAIN_TYPE", "link_to_tool")

visibility("//rules/private")

ProvisionInfo = provider(
    doc = "What a tool writes besides the image, and how it is run.",
    fields = {
        "args": "list of string: the arguments of the tool.",
        "copies": "dict of string to File: what becomes of the copies.",
        "disk": "struct of the File `image` and the depset `chain`: an empty disk.",
        "disks": "dict of string to Qcow2Info: the images of the further disks.",
        "env": "dict of string to string: the environment of the tool.",
        "images": "dict of string to Qcow2Info: the images that back the further disks.",
        "originals": "dict of string to File: what the copies are made of.",
        "outs": "list of File: what else the tool writes.",
        "srcs": "depset of File: what the tool reads.",
        "tool": "DefaultInfo: the tool.",
    },
)

_ATTRS = {
    "image": attr.label(
        doc = "The derived image.",
        mandatory = True,
        providers = [ProvisionInfo],
    ),
}

_NAME_ATTR = {"of": attr.string(doc = "The name of the disk or copy.", mandatory = True)}

def _qcow2_provisioned_disk_impl(ctx):
    info = ctx.attr.image[ProvisionInfo].disks[ctx.attr.of]
    return image_providers(
        ctx,
        backing = info.backing,
        backing_chain = info.chain,
        image = info.image,
        options = info.options,
        size = info.size,
    )

qcow2_provisioned_disk = rule(
    implementation = _qcow2_provisioned_disk_impl,
    doc = "The image of a further disk of a derived image.",
    attrs = _ATTRS | _NAME_ATTR,
    provides = [Qcow2Info],
)

def _qcow2_provisioned_copy_impl(ctx):
    files = [ctx.attr.image[ProvisionInfo].copies[ctx.attr.of]]
    return [DefaultInfo(files = depset(files), runfiles = ctx.runfiles(files))]

qcow2_provisioned_copy = rule(
    implementation = _qcow2_provisioned_copy_impl,
    doc = "A copy, as the tool of a derived image has left it.",
    attrs = _ATTRS | _NAME_ATTR,
)

def _qcow2_provision_by_hand_impl(ctx):
    info = ctx.attr.image[ProvisionInfo]
    files = {name: image.image for name, image in info.images.items()} | {"DISK": info.disk.image}
    tool = info.tool.files_to_run.executable

    # Paths in `args` and `env` are those of an action. The tool links them to the runfiles.
    description = ctx.actions.declare_file(ctx.label.name + ".json")
    ctx.actions.write(description, json.encode({
        "args": info.args,
        "command": runfiles_path(ctx, tool),
        "copies": {name: runfiles_path(ctx, file) for name, file in info.originals.items()},
        "disks": {name: runfiles_path(ctx, file) for name, file in files.items()},
        "inputs": {file.path: runfiles_path(ctx, file) for file in info.srcs.to_list()},
        "outputs": [file.path for file in info.outs],
    }))
    runfiles = ctx.runfiles(
        files = [tool, description] + info.originals.values(),
        transitive_files = depset(transitive = [info.disk.chain, info.srcs] + [
            image.chain
            for image in info.images.values()
        ]),
    ).merge(info.tool.default_runfiles)
    return [
        DefaultInfo(
            executable = link_to_tool(ctx, ctx.toolchains[TOOLCHAIN_TYPE].exec_tool.executable),
            runfiles = runfiles,
        ),
        RunEnvironmentInfo(environment = info.env | {"QCOW2_OVERLAY_PROVISION": description.basename}),
    ]

qcow2_provision_by_hand = rule(
    implementation = _qcow2_provision_by_hand_impl,
    doc = "Runs the tool of a derived image outside the build, with disks that stay.",
    attrs = _ATTRS,
    executable = True,
    toolchains = [TOOLCHAIN_TYPE],
)
