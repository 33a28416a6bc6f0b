"""Finds QEMU, strace and the parts of a Linux guest on this machine. Tests that need more than it has are skipped visibly.

The version of QEMU is in `@host_qemu`, see rules/host_program.bzl.
"""

# The oldest QEMU of a set is that with which its tests were run: 7.2 is in Debian 12, 10.0 in Debian
# 13. Guests have a machine type of 10.0, and `info` prints what `qemu-img info` of 10.0 prints.
_NEEDS = {
    "LINUX_GUEST": struct(qemu = 10.0, programs = ["mke2fs", "python3", "qemu-img", "qemu-system-x86_64", "setpriv", "sfdisk"]),
    "QEMU_IMG": struct(qemu = 7.2, programs = ["qemu-img", "qemu-io"]),
    "QEMU_IMG_10": struct(qemu = 10.0, programs = ["qemu-img", "qemu-io"]),
    "QEMU_SYSTEM": struct(qemu = 7.2, programs = ["qemu-system-x86_64", "qemu-img"]),
    "STRACE": struct(qemu = None, programs = ["strace", "unshare"]),
    "UEFI_GUEST": struct(qemu = 10.0, programs = ["insmod", "mcopy", "mformat", "swtpm"]),
}

# What a guest with firmware needs: files of Debian's packages ovmf and systemd-boot-efi.
_FIRMWARE = {
    "boot_loader": "/usr/lib/systemd/boot/efi/systemd-bootx64.efi",
    "firmware": "/usr/share/OVMF/OVMF_CODE_4M.fd",
    "firmware_variables": "/usr/share/OVMF/OVMF_VARS_4M.fd",
}

# The PATH of actions and tests with --incompatible_strict_action_env, and /usr/sbin, which
# tests/vm/linux adds.
_PATH = ["/bin", "/usr/bin", "/usr/local/bin", "/usr/sbin"]

# The drivers that a guest of tests/vm/linux needs: it loads no modules.
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

def _qemu_version(repository_ctx):
    """Returns the version of QEMU, such as 10.0, or 0 without QEMU."""
    program = _find_program(repository_ctx, "qemu-img")
    if not program:
        return 0

    # It prints: qemu-img version 10.0.2 (Debian ...)
    words = repository_ctx.execute([program, "--version"]).stdout.split(" ")
    return float(".".join(words[2].split(".")[:2]))

def _host_tools_impl(repository_ctx):
    kernel = _find_kernel(repository_ctx)
    qemu = _qemu_version(repository_ctx)
    found = {}
    for name, needs in _NEEDS.items():
        programs = all([_find_program(repository_ctx, program) for program in needs.programs])
        found[name] = programs and (not needs.qemu or qemu >= needs.qemu)
    found["LINUX_GUEST"] = found["LINUX_GUEST"] and kernel and _can_read_tar(repository_ctx)
    files = {name: repository_ctx.path(file) for name, file in _FIRMWARE.items()}
    has_modules = kernel and kernel.dirname.get_child("kernel").exists
    found["UEFI_GUEST"] = found["UEFI_GUEST"] and found["LINUX_GUEST"] and has_modules and \
                          all([file.exists for file in files.values()])

    lines = ['"""Values for `target_compatible_with` of tests that run these tools."""', ""]
    for name, is_found in found.items():
        lines.append("{} = {}".format(name, [] if is_found else ["@platforms//:incompatible"]))
    repository_ctx.file("defs.bzl", "\n".join(lines) + "\n")

    lines = ['package(default_visibility = ["//visibility:public"])', ""]
    for name, file in ({"kernel": kernel} | files).items():
        if file and file.exists:
            repository_ctx.symlink(file, "files/" + name)
        lines.append('filegroup(name = "{0}", srcs = glob(["files/{0}"], allow_empty = True))'.format(name))
    repository_ctx.file("BUILD.bazel", "\n".join(lines) + "\n")

host_tools = repository_rule(
    implementation = _host_tools_impl,
    doc = "A file `defs.bzl` with a list for each set of tools: empty if this machine has all of them.",
    configure = True,
    local = True,
)
