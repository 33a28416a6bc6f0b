"""Finds QEMU, strace and the parts of a Linux guest on this machine. Tests that need more than it has are skipped visibly.

The version of QEMU is in `@host_qemu`, see rules/host_program.bzl.
"""

_TOOLS = {
    "LINUX_GUEST": ["mke2fs", "python3", "qemu-img", "qemu-system-x86_64", "setpriv", "sfdisk"],
    "QEMU_IMG": ["qemu-img", "qemu-io"],
    "QEMU_SYSTEM": ["qemu-system-x86_64", "qemu-img"],
    "STRACE": ["strace", "unshare"],
}

# The PATH of actions and tests with --incompatible_strict_action_env, and /usr/sbin, which
# tests/vm/linux adds.
_PATH = ["/bin", "/usr/bin", "/usr/local/bin", "/usr/sbin"]

# The drivers that a guest of tests/vm/linux needs. Its kernel comes without modules.
_DRIVERS = ["/8250.ko", "/ext4.ko", "/nvme.ko"]

def _find_kernel(repository_ctx):
    """Returns a kernel that has all of _DRIVERS built in, or None."""
    modules = repository_ctx.path("/usr/lib/modules")
    for version in modules.readdir() if modules.exists else []:
        kernel = version.get_child("vmlinuz")
        builtin = version.get_child("modules.builtin")
        if kernel.exists and builtin.exists:
            drivers = repository_ctx.read(builtin)
            if all([driver in drivers for driver in _DRIVERS]):
                return kernel
    return None

def _find_program(repository_ctx, name):
    for directory in _PATH:
        program = repository_ctx.path(directory + "/" + name)
        if program.exists:
            return program
    return None

def _can_read_tar(repository_ctx):
    """Returns whether mke2fs can read archives: it loads this library when it opens one."""
    program = "import ctypes; ctypes.CDLL('libarchive.so.13')"
    return repository_ctx.execute(["python3", "-c", program]).return_code == 0

def _host_tools_impl(repository_ctx):
    lines = ['"""Values for `target_compatible_with` of tests that run these tools."""', ""]
    kernel = _find_kernel(repository_ctx)
    for name, tools in _TOOLS.items():
        found = all([_find_program(repository_ctx, tool) for tool in tools])
        if name == "LINUX_GUEST":
            found = found and kernel and _can_read_tar(repository_ctx)
        lines.append("{} = {}".format(name, [] if found else ["@platforms//:incompatible"]))
    if kernel:
        repository_ctx.symlink(kernel, "vmlinuz")
    repository_ctx.file("BUILD.bazel", """\
package(default_visibility = ["//visibility:public"])

filegroup(
    name = "kernel",
    srcs = glob(["vmlinuz"], allow_empty = True),
)
""")
    repository_ctx.file("defs.bzl", "\n".join(lines) + "\n")

host_tools = repository_rule(
    implementation = _host_tools_impl,
    doc = "A file `defs.bzl` with a list for each set of tools: empty if this machine has all of them.",
    configure = True,
    local = True,
)
