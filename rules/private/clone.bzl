"""The rule for `<name>.clone`, which writes a private disk when it is run."""

load(":providers.bzl", "Qcow2Info")
load(":toolchain.bzl", "TOOLCHAIN_TYPE", "link_to_tool")

visibility("//rules/private")

def _qcow2_clone_impl(ctx):
    info = ctx.attr.image[Qcow2Info]

    # `bazel run` runs this on the machine that builds, whatever the target platform is. The
    # tool finds the image beside this link.
    executable = link_to_tool(ctx, ctx.toolchains[TOOLCHAIN_TYPE].exec_tool.executable)
    return [
        DefaultInfo(
            executable = executable,
            runfiles = ctx.runfiles(transitive_files = info.chain),
        ),
        RunEnvironmentInfo(environment = {"QCOW2_OVERLAY_IMAGE": info.image.basename}),
    ]

qcow2_clone = rule(
    implementation = _qcow2_clone_impl,
    doc = "Writes a private writable disk that is like an image of the same package.",
    attrs = {
        "image": attr.label(
            doc = "The image.",
            mandatory = True,
            providers = [Qcow2Info],
        ),
    },
    executable = True,
    toolchains = [TOOLCHAIN_TYPE],
)
