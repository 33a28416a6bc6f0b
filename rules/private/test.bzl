"""The rule `qcow2_test`."""

load(":environment.bzl", "ExecutableEnvironmentInfo", "executable_environment", "expanded")
load(":errors.bzl", "attribute_error", "shown")
load(":fixtures.bzl", "fixtures_of_test")
load(":name_conflicts.bzl", "keep_apart")
load(":runfiles.bzl", "runfiles_path")
load(":toolchain.bzl", "TOOLCHAIN_TYPE", "link_to_tool", "target_tool")

visibility("//rules/private")

# The variable that the tool sets to its own path.
_TOOL = "QCOW2_OVERLAY"

def _environment(ctx):
    """Returns the environment of the test, set and inherited. A conflict is an error."""
    test = ctx.attr.test
    given = struct(environment = {}, inherited = [])
    if ExecutableEnvironmentInfo in test:
        given = test[ExecutableEnvironmentInfo]
    environment = dict(given.environment)
    for name, value in expanded(ctx, ctx.attr.env, ctx.attr.data).items():
        if environment.get(name, value) != value:
            attribute_error("env", "{} is {}, but {} sets it to {}: leave one of them out".format(
                name,
                repr(value),
                shown(test.label),
                repr(environment[name]),
            ))
        environment[name] = value
    inherited = given.inherited + ctx.attr.env_inherit
    if _TOOL in environment or _TOOL in inherited:
        attribute_error("env", "{} is the path of the tool, for every test: choose another name".format(_TOOL))
    for attribute, one, names in [
        ("disks", "disk", [disk + end for disk in ctx.attr.disks for end in ["", "_BLOCKDEV"]]),
        ("copies", "copy", ctx.attr.copies),
    ]:
        for name in names:
            if name in environment or name in inherited:
                attribute_error(attribute, "{} is in the environment of the test already: give the {} another name".format(
                    name,
                    one,
                ))
    return environment, inherited

def _qcow2_test_impl(ctx):
    command = ctx.attr.test[DefaultInfo].files_to_run.executable
    if not command:
        attribute_error("test", "{} is not executable: name what `bazel run` could run, such as a sh_binary or py_binary".format(
            shown(ctx.attr.test.label),
        ))
    if ctx.attr.keep_disks == "never" and ctx.attr.keep_disks_as == "image":
        attribute_error("keep_disks_as", "no disk is kept: give keep_disks = \"on_failure\" or \"always\", too")
    fixtures = fixtures_of_test(ctx)
    environment, inherited = _environment(ctx)
    environment["QCOW2_OVERLAY_TEST"] = json.encode({
        "command": runfiles_path(ctx, command),
        "copies": {name: runfiles_path(ctx, file) for name, file in fixtures.originals.items()},
        "disks": {name: runfiles_path(ctx, info.image) for name, info in fixtures.images.items()},
        "keep": ctx.attr.keep_disks,
        "keep_as": ctx.attr.keep_disks_as,
    })

    chain = depset(transitive = [info.chain for info in fixtures.images.values()])
    originals = fixtures.originals.values()
    made = [ctx.actions.declare_file(ctx.label.name)]
    keep_apart(ctx, made, "disks", chain.to_list())
    keep_apart(ctx, made, "copies", originals)

    # The executable of the test is the tool, which makes the disks and copies and becomes the command.
    executable = link_to_tool(ctx, target_tool(ctx))

    runfiles = ctx.runfiles(
        files = [command] + originals + ctx.files.data,
        transitive_files = chain,
    ).merge_all([target[DefaultInfo].default_runfiles for target in [ctx.attr.test] + ctx.attr.data])

    providers = [
        DefaultInfo(executable = executable, runfiles = runfiles),
        RunEnvironmentInfo(environment = environment, inherited_environment = inherited),
        coverage_common.instrumented_files_info(ctx, dependency_attributes = ["test", "data"]),
    ]
    if testing.ExecutionInfo in ctx.attr.test:
        providers.append(ctx.attr.test[testing.ExecutionInfo])
    return providers

qcow2_test = rule(
    implementation = _qcow2_test_impl,
    doc = "An executable as a test with fresh disks and copies: see the macro of this name.",
    attrs = {
        "copies": attr.string_keyed_label_dict(
            doc = "Dictionary from names of copies to files or directories.",
            allow_files = True,
        ),
        "data": attr.label_list(
            doc = "Other files that the test needs at run time.",
            allow_files = True,
        ),
        # Neither `providers` nor `allow_empty` here, which asks for files too, nor `executable` in
        # `test`, with which Bazel runs the rule on: our messages say more than Bazel's.
        "disks": attr.string_keyed_label_dict(
            doc = "Dictionary from names of disks to images.",
            allow_files = True,
        ),
        "env": attr.string_dict(doc = "Environment of the test."),
        "env_inherit": attr.string_list(doc = "Variables to inherit."),
        "keep_disks": attr.string(
            doc = "When the disks and copies of a run are kept.",
            default = "never",
            values = ["never", "on_failure", "always"],
        ),
        "keep_disks_as": attr.string(
            doc = "As what the disks are kept.",
            default = "overlay",
            values = ["overlay", "image"],
        ),
        "test": attr.label(
            doc = "The executable to run.",
            allow_files = True,
            aspects = [executable_environment],
            mandatory = True,
        ),
        # `bazel coverage` looks for these two attributes. Without it, the merger is None and
        # is not fetched.
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
    },
    fragments = ["coverage"],
    test = True,
    toolchains = [TOOLCHAIN_TYPE],
)
