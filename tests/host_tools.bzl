"""What of QEMU and strace this machine has, so that tests that need more are skipped visibly."""

_TOOLS = {
    "QEMU_IMG": ["qemu-img", "qemu-io"],
    "QEMU_SYSTEM": ["qemu-system-x86_64", "qemu-img"],
    "STRACE": ["strace", "unshare"],
}

def _host_tools_impl(repository_ctx):
    lines = ['"""Values for `target_compatible_with` of tests that run these tools."""', ""]
    for name, tools in _TOOLS.items():
        missing = [tool for tool in tools if not repository_ctx.which(tool)]
        lines.append("{} = {}".format(name, ["@platforms//:incompatible"] if missing else []))
    repository_ctx.file("BUILD.bazel")
    repository_ctx.file("defs.bzl", "\n".join(lines) + "\n")

host_tools = repository_rule(
    implementation = _host_tools_impl,
    doc = "A file `defs.bzl` with a list for each set of tools, empty if all are installed.",
    configure = True,
    environ = ["PATH"],
    local = True,
)
