"""The rule `node_upgrade`: an image with a change installed, as an overlay with data."""

load("//rules:defs.bzl", "Qcow2Info")

def _node_upgrade_impl(ctx):
    base = ctx.file.base
    image = ctx.actions.declare_file(ctx.label.name + ".qcow2")
    if base.dirname != image.dirname:
        # The name that the image stores is then that of the file beside it, in the
        # output tree as in runfiles.
        fail("node_upgrade {}: attribute base: {} is not generated in this package".format(ctx.label, base.path))
    args = ctx.actions.args()
    args.add_all([ctx.executable._tool, ctx.file.kernel, base, ctx.file.package, image])
    ctx.actions.run(
        executable = ctx.executable._upgrade,
        arguments = [args],
        inputs = [base, ctx.file.kernel, ctx.file.package],
        tools = [ctx.attr._tool[DefaultInfo].files_to_run],
        outputs = [image],
        mnemonic = "NodeUpgrade",
        progress_message = "Installing %{input} in a node",
        # QEMU, which starts it, is not an input.
        execution_requirements = {"no-remote": ""},
    )
    chain = depset([image, base])
    return [
        DefaultInfo(files = depset([image]), runfiles = ctx.runfiles(transitive_files = chain)),
        Qcow2Info(
            backing = base,
            chain = chain,
            format = "qcow2",
            image = image,
            size = ctx.attr.virtual_size,
        ),
    ]

node_upgrade = rule(
    implementation = _node_upgrade_impl,
    doc = """\
Boots a node on an overlay of `base`, installs `package` in it, and keeps the overlay as
`<name>.qcow2`: a `qcow2_overlay` can stand on it.

The same inputs give the same files in the same places, but not the same bytes: about a
kilobyte differs, in what the guest's kernel draws at random or takes from its clock
(generation numbers and times of inodes, the journal, the counters of the superblock, and
their checksums). The clock starts at a fixed date.
""",
    attrs = {
        "base": attr.label(
            doc = "The raw image of the node, generated in this package.",
            allow_single_file = True,
            mandatory = True,
        ),
        "kernel": attr.label(allow_single_file = True, mandatory = True),
        "package": attr.label(
            doc = "An archive for tar, unpacked over the root directory.",
            allow_single_file = [".tar"],
            mandatory = True,
        ),
        "virtual_size": attr.int(doc = "The size of `base` in bytes.", mandatory = True),
        "_tool": attr.label(default = "//:qcow2-overlay", executable = True, cfg = "exec"),
        "_upgrade": attr.label(default = ":upgrade", executable = True, cfg = "exec"),
    },
    provides = [Qcow2Info],
)
