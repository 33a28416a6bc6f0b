"""`qcow2_test`: an executable as a test with fresh writable disks."""

load(":environment.bzl", "ExecutableEnvironmentInfo", "executable_environment", "expanded")
load(":errors.bzl", "rule_error", "shown")
load(":providers.bzl", "Qcow2Info")
load(":toolchain.bzl", "TOOLCHAIN_TYPE", "target_tool")

visibility("//rules")

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

# QEMU allows so many bytes in the name of a node.
_LONGEST_NAME = 31

# What Bazel sets for every test.
_RESERVED = ["HOME", "LOGNAME", "PATH", "PWD", "SHLVL", "TMPDIR", "TZ", "USER"]
_RESERVED_STARTS = ["BAZEL_", "QCOW2_OVERLAY_", "RUNFILES_", "TEST_"]

def _check_name(ctx, name):
    is_well_formed = name and len(name) <= _LONGEST_NAME and name[0] in _LETTERS and \
                     not name.strip(_LETTERS + "0123456789_")
    if not is_well_formed:
        rule_error(ctx, "disks", "{} is not the name of a disk: give a letter and up to {} letters, digits or _".format(
            repr(name),
            _LONGEST_NAME - 1,
        ))
    if name in _RESERVED or [start for start in _RESERVED_STARTS if name.startswith(start)]:
        rule_error(ctx, "disks", "{} is a variable of Bazel's: give another name".format(repr(name)))

def _disks(ctx):
    """The runfiles path of the image for each name of a disk."""
    disks = {}
    for target, names in ctx.attr.disk_names.items():
        info = target[Qcow2Info]
        if info.format == "raw":
            rule_error(ctx, "disks", "{} is a raw image: give a qcow2_overlay with backing = {}".format(
                shown(target.label),
                repr(shown(target.label)),
            ))
        for name in names.split(" "):
            _check_name(ctx, name)
            disks[name] = _rlocation_path(ctx, info.image)
    return disks

def _variables(disks):
    return [name + suffix for name in disks for suffix in ["", "_BLOCKDEV"]]

def _environment(ctx, disks):
    """The environment of the test, without what clashes."""
    given = ctx.attr.test[ExecutableEnvironmentInfo]
    environment = dict(given.environment)
    for name, value in expanded(ctx, ctx.attr.env, ctx.attr.data).items():
        if environment.get(name, value) != value:
            rule_error(ctx, "env", "{} is {}, but {} sets it to {}: leave one of them out".format(
                name,
                repr(value),
                shown(ctx.attr.test.label),
                repr(environment[name]),
            ))
        environment[name] = value
    variables = _variables(disks)
    if len(variables) > len({name: None for name in variables}):
        rule_error(ctx, "disks", "the name of one is that of another with _BLOCKDEV: give other names")
    inherited = given.inherited + ctx.attr.env_inherit
    for name in variables:
        if name in environment or name in inherited:
            rule_error(ctx, "disks", "{} is in the environment of the test already: give the disk another name".format(name))
    return environment, inherited

def _rlocation_path(ctx, file):
    if file.short_path.startswith("../"):
        return file.short_path[len("../"):]
    return ctx.workspace_name + "/" + file.short_path

def _qcow2_test_impl(ctx):
    disks = _disks(ctx)
    environment, inherited = _environment(ctx, disks)
    environment["QCOW2_OVERLAY_TEST"] = json.encode({
        "command": _rlocation_path(ctx, ctx.executable.test),
        "disks": disks,
        "keep": ctx.attr.keep_disks,
    })

    # The tool is the test: it makes the disks and becomes the executable.
    executable = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(output = executable, target_file = target_tool(ctx), is_executable = True)

    images = [target[Qcow2Info].chain for target in ctx.attr.disk_names]
    others = [target[DefaultInfo].default_runfiles for target in [ctx.attr.test] + ctx.attr.data]
    runfiles = ctx.runfiles(
        files = [ctx.executable.test] + ctx.files.data,
        transitive_files = depset(transitive = images),
    ).merge_all(others)

    providers = [
        DefaultInfo(executable = executable, runfiles = runfiles),
        RunEnvironmentInfo(environment = environment, inherited_environment = inherited),
        coverage_common.instrumented_files_info(ctx, dependency_attributes = ["test", "data"]),
    ]
    if testing.ExecutionInfo in ctx.attr.test:
        providers.append(ctx.attr.test[testing.ExecutionInfo])
    return providers

_qcow2_test = rule(
    implementation = _qcow2_test_impl,
    doc = "See the macro of this name.",
    attrs = {
        "data": attr.label_list(
            doc = "What the test also needs at run time.",
            allow_files = True,
        ),
        # A dictionary from names to labels is beyond Bazel 7.
        "disk_names": attr.label_keyed_string_dict(
            doc = "For each overlay the names of the disks like it, with spaces between.",
            providers = [Qcow2Info],
        ),
        "env": attr.string_dict(doc = "Environment of the test."),
        "env_inherit": attr.string_list(doc = "Variables of the environment to hand on."),
        "keep_disks": attr.string(
            doc = "When the disks of a run are kept.",
            default = "never",
            values = ["never", "on_failure", "always"],
        ),
        "test": attr.label(
            doc = "The executable to run.",
            aspects = [executable_environment],
            cfg = "target",
            executable = True,
            mandatory = True,
        ),
        # `bazel coverage` looks for these two. The merger is None without it, and is
        # not fetched.
        "_collect_cc_coverage": attr.label(
            cfg = config.exec(exec_group = "test"),
            default = "@bazel_tools//tools/test:collect_cc_coverage",
            executable = True,
        ),
        "_lcov_merger": attr.label(
            cfg = config.exec(exec_group = "test"),
            default = configuration_field(fragment = "coverage", name = "output_generator"),
            executable = True,
        ),
        "_rule": attr.string(default = "qcow2_test"),
    },
    fragments = ["coverage"],
    test = True,
    toolchains = [TOOLCHAIN_TYPE],
)

def qcow2_test(name, test, disks, **kwargs):
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
      name: the target's name.
      test: the executable: any target that `bazel run` could run, such as a `sh_binary`,
        or a test (tagged `manual`, or it also runs without disks).
      disks: dictionary from names of disks to targets with `Qcow2Info`. A name is a letter
        and up to 30 letters, digits or `_`. One target can be that of many disks. No
        `select()`.
      **kwargs: `keep_disks` (`"never"`, the default, `"on_failure"` or `"always"`: puts the
        disks into `$TEST_UNDECLARED_OUTPUTS_DIR/disks`, which Bazel keeps below
        `bazel-testlogs`), and what every test has: `args`, `data`, `env`, `env_inherit`,
        `size`, `timeout`, `shard_count`, `flaky`, `tags`, `target_compatible_with`...
    """
    if type(disks) != "dict":
        fail("qcow2_test {}: attribute disks: {} is no dictionary from names to labels".format(name, disks))
    names = {}
    for disk, target in disks.items():
        names.setdefault(native.package_relative_label(target), []).append(disk)
    _qcow2_test(
        name = name,
        test = test,
        disk_names = {target: " ".join(disks) for target, disks in names.items()},
        **kwargs
    )
