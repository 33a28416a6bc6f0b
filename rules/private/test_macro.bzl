"""The public macro `qcow2_test`, which finds mistakes that the rule would see too late."""

load(":disks.bzl", "labels_of_disks")
load(":test.bzl", _qcow2_test = "qcow2_test")

visibility("//rules")

def qcow2_test(name, test, disks, keep_disks = "never", **kwargs):
    """Runs an executable as a test that has fresh, private, writable disks.

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
    )
    ```

    The test finds the path of each disk in the variable of its name, `$NODE1`, and in
    `$NODE1_BLOCKDEV` a complete value for QEMU's `-blockdev`, whose node is `NODE1`. The
    disks are in `$TEST_TMPDIR`. They are like the overlays they are named after: same
    size, same options, same base; the build outputs are never opened for writing.

    The executable's own environment, runfiles and execution requirements stay in force,
    but the `args` of its rule do not: give them here.

    Args:
      name: The target's name.
      test: The executable: any target that `bazel run` could run, such as a `sh_binary`,
        or a test (tagged `manual`, or it also runs without disks).
      disks: Dictionary from names of disks to images: targets of `qcow2_overlay` or
        `qcow2_image`, or others with `Qcow2Info`. A name is a letter and up to 30 letters,
        digits or `_`. One target can be that of many disks. `select()` is possible for the
        dictionary and for each image.
      keep_disks: `"always"` or `"on_failure"` puts the disks of a run into
        `$TEST_UNDECLARED_OUTPUTS_DIR/disks`, which Bazel keeps below `bazel-testlogs`.
      **kwargs: What every test has: `args`, `data`, `env`, `env_inherit`, `size`, `timeout`,
        `shard_count`, `flaky`, `tags`, `target_compatible_with`...
    """
    _qcow2_test(
        name = name,
        test = test,
        disks = labels_of_disks("qcow2_test", name, disks),
        keep_disks = keep_disks,
        **kwargs
    )
