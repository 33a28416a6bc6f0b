"""A rule that takes an image and makes another."""

load("@rules_qcow2//rules:defs.bzl", "Qcow2Info")

_TOOLCHAIN_TYPE = "@rules_qcow2//rules:toolchain_type"

def _doubled_impl(ctx):
    base = ctx.attr.image[Qcow2Info]
    image = ctx.actions.declare_file(ctx.label.name + ".qcow2")
    size = 2 * base.size

    # Both images are generated in this package, so the file name is enough to find the base. Size
    # and format are known, so `-u` does not open it.
    ctx.actions.run(
        executable = ctx.toolchains[_TOOLCHAIN_TYPE].exec_tool,
        arguments = ["create", "-q", "-u", "-b", base.image.basename, "-F", base.format, image.path, str(size)],
        outputs = [image],
        mnemonic = "Double",
        toolchain = _TOOLCHAIN_TYPE,
    )
    chain = depset([image], transitive = [base.chain])
    return [
        DefaultInfo(files = depset([image]), runfiles = ctx.runfiles(transitive_files = chain)),
        Qcow2Info(
            image = image,
            backing = base.image,
            chain = chain,
            format = "qcow2",
            size = size,
        ),
    ]

doubled = rule(
    implementation = _doubled_impl,
    doc = "A disk that is twice as large as an image of this package.",
    attrs = {"image": attr.label(mandatory = True, providers = [Qcow2Info])},
    provides = [Qcow2Info],
    toolchains = [_TOOLCHAIN_TYPE],
)
