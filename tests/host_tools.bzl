"""What this machine has of QEMU, strace and what a Linux guest is made of, so that tests that need more are skipped visibly."""

_TOOLS = {
    "LINUX_GUEST": ["mke2fs", "python3", "qemu-img", "qemu-system-x86_64", "setpriv", "sfdisk"],
    "QEMU_IMG": ["qemu-img", "qemu-io"],
    "QEMU_SYSTEM": ["qemu-system-x86_64", "qemu-img"],
    "STRACE": ["strace", "unshare"],
}

# Where tests and actions find them: the PATH of Bazel 9, whatever that of its caller is,
# and /usr/sbin, which tests/vm/linux adds.
_PATH = ["/bin", "/usr/bin", "/usr/local/bin", "/usr/sbin"]

# What a guest of tests/vm/linux boots with, in a kernel that comes without modules.
_DRIVERS = ["/8250.ko", "/ext4.ko", "/nvme.ko"]

def _find_kernel(repository_ctx):
    """A kernel that has all of _DRIVERS built in; None if there is none."""
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

def _qemu_version(repository_ctx):
    """What QEMU says its version is; nothing if there is none."""
    qemu = _find_program(repository_ctx, "qemu-system-x86_64")
    if not qemu:
        return ""

    # So that Bazel asks again after an upgrade.
    repository_ctx.watch(qemu)
    return repository_ctx.execute([qemu, "--version"]).stdout

def _can_read_tar(repository_ctx):
    """Whether mke2fs, which loads this library when it meets an archive, will find it."""
    program = "import ctypes; ctypes.CDLL('libarchive.so.13')"
    return repository_ctx.execute(["python3", "-c", program]).return_code == 0

def _host_tools_impl(repository_ctx):
    lines = ['"""Values for `target_compatible_with` of tests that run these tools."""', ""]
    kernel = _find_kernel(repository_ctx)
    for name, tools in _TOOLS.items():
        missing = [tool for tool in tools if not _find_program(repository_ctx, tool)]
        if name == "LINUX_GUEST" and not missing and not (kernel and _can_read_tar(repository_ctx)):
            missing = ["a kernel, or libarchive"]
        lines.append("{} = {}".format(name, ["@platforms//:incompatible"] if missing else []))
    if kernel:
        repository_ctx.symlink(kernel, "vmlinuz")
    repository_ctx.file("qemu_version", _qemu_version(repository_ctx))
    repository_ctx.file("BUILD.bazel", """\
package(default_visibility = ["//visibility:public"])

exports_files(["qemu_version"])

filegroup(
    name = "kernel",
    srcs = glob(["vmlinuz"], allow_empty = True),
)
""")
    repository_ctx.file("defs.bzl", "\n".join(lines) + "\n")

host_tools = repository_rule(
    implementation = _host_tools_impl,
    doc = "A file `defs.bzl` with a list for each set of tools, empty if all are installed.",
    configure = True,
    local = True,
)
