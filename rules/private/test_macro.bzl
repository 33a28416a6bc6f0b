"""The public macro `qcow2_test`, which checks `disks` and `copies` before Bazel converts their labels."""

load(":fixtures.bzl", "labels_of")
load(":test.bzl", _qcow2_test = "qcow2_test")

visibility("//rules")

def qcow2_test(name, test, disks = {}, copies = {}, keep_disks = "never", keep_disks_as = "overlay", **kwargs):
    """Runs an executable as a test that has fresh, private, writable disks and other files.

    ```starlark
    load("@rules_qcow2//rules:defs.bzl", "qcow2_test")
    load("@rules_shell//shell:sh_binary.bzl", "sh_binary")

    sh_binary(
        name = "upgrade",
        srcs = ["upgrade.sh"],
        testonly = True,
    )

    qcow2_test(
        name = "upgrade_test",
        test = ":upgrade",
        disks = {
            "NODE1": ":node",
            "NODE2": ":node",
            "SCRATCH": ":scratch",
        },
        copies = {"NODE1_VARS": "//firmware:OVMF_VARS.fd"},
    )
    ```

    The test gets two environment variables for each disk. `$NODE1` is the path of the disk,
    and `$NODE1_BLOCKDEV` is a complete value for QEMU's `-blockdev` with the node name
    `NODE1`. The disks are in a new directory. Each has the size, options and base of its
    image. For a copy, `$NODE1_VARS` is the path of a file or directory with the same content,
    which is in the same place. Build outputs are never opened for writing. `$QCOW2_OVERLAY` is the
    path of the tool, for [further disks](README.md#disks-that-a-test-makes).

    The test has the environment, runfiles and execution requirements of the executable, but
    not the `args` of its target: give them here.

    Args:
      name: The target's name.
      test: The executable: any target that `bazel run` can run, such as a `sh_binary` or
        a test. Tag a test `manual`, or it also runs without disks.
      disks: Dictionary from names of disks to images: targets of `qcow2_overlay`,
        `qcow2_image` or `qcow2_provision`, or others with `Qcow2Info`. A name is a letter and
        up to 30 letters, digits or `_`, but not that of a variable that Bazel sets (`PATH`,
        `HOME`, `TEST_TMPDIR`...), nor `NODE1_BLOCKDEV` beside `NODE1`. Several disks can have
        the same image. The dictionary and each image can be a `select()`. It can be empty if
        `copies` is not.
      copies: Dictionary from names of copies to targets with one file or one directory, such as
        [firmware variables or the state of a TPM](README.md#files-that-a-test-may-write-to).
        Names are as in `disks`, and not those of disks.
      keep_disks: `"always"` or `"on_failure"` keeps the disks and copies of a run in
        `$TEST_UNDECLARED_OUTPUTS_DIR/disks`. The test's log says where Bazel puts that.
      keep_disks_as: `"image"` keeps each disk as [one compressed file](README.md#kept-disks) that
        needs no base and can be read on any machine. It needs `keep_disks`.
      **kwargs: Attributes common to all tests: `args`, `data`, `env`, `env_inherit`, `size`, `timeout`,
        `shard_count`, `flaky`, `tags`, `target_compatible_with`...
    """
    _qcow2_test(
        name = name,
        test = test,
        copies = labels_of(name, "copies", copies),
        disks = labels_of(name, "disks", disks),
        keep_disks = keep_disks,
        keep_disks_as = keep_disks_as,
        **kwargs
    )
