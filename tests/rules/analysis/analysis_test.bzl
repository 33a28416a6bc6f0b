"""Tests of providers and actions, without building anything."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//rules:defs.bzl", "Qcow2Info")

def _names(files):
    return sorted([file.basename for file in files])

def _image_action(env):
    """Returns the action that writes the image."""
    actions = analysistest.target_actions(env)
    return [action for action in actions if action.mnemonic.startswith("Qcow2")][0]

def _image_test_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    info = target[Qcow2Info]
    image = target.label.name + ".qcow2"
    asserts.equals(env, image, info.image.basename)
    asserts.equals(env, "qcow2", info.format)
    asserts.equals(env, ctx.attr.virtual_size, str(info.size))
    options = {"cluster_size": "65536", "compat": "1.1"} | ctx.attr.options
    asserts.equals(env, options, info.options)
    asserts.equals(env, ctx.attr.base, info.backing.basename if info.backing else "")
    asserts.equals(env, [info.image], target[DefaultInfo].files.to_list())
    chain = sorted([image] + ([ctx.attr.base] if ctx.attr.base else []) + ctx.attr.chain)
    asserts.equals(env, chain, _names(info.chain.to_list()))
    asserts.equals(env, chain, _names(target[DefaultInfo].default_runfiles.files.to_list()))
    action = _image_action(env)
    arguments = " ".join(action.argv[1:])
    asserts.true(env, ctx.attr.arguments in arguments, arguments)
    reads = [
        name
        for name in _names(action.inputs.to_list())
        # Without the tool, and without the runfiles of any tool.
        if "qcow2-overlay" not in name and "runfiles" not in name
    ]
    asserts.equals(env, ctx.attr.reads, reads)
    return analysistest.end(env)

_image_test = analysistest.make(
    _image_test_impl,
    attrs = {
        "arguments": attr.string(doc = "Text that is in the command line of the action."),
        "base": attr.string(doc = "Name of the backing file."),
        "chain": attr.string_list(doc = "Names of the files that back `base`."),
        "options": attr.string_dict(doc = "The options in the provider that are not the defaults."),
        "reads": attr.string_list(doc = "Names of the inputs of the action other than the tool, sorted."),
        "virtual_size": attr.string(doc = "The size in the provider."),
    },
)

def tested(rule, name, declared, **expected):
    """Declares an image, and the test `<name>_test` of its providers and its action.

    Args:
      rule: the rule of the image.
      name: the target's name.
      declared: dict: attributes of the target.
      **expected: attributes of the test.
    """
    rule(name = name, **declared)
    _image_test(name = name + "_test", target_under_test = name, **expected)

def _provision_test_impl(ctx):
    env = analysistest.begin(ctx)
    action = _image_action(env)
    asserts.equals(env, ctx.attr.outs, _names(action.outputs.to_list()))

    # Paths from the root of the output tree, whatever the configuration.
    place = lambda text: "".join([
        part.partition("/bin/")[2] if part.startswith("bazel-out/") else part
        for part in text.replace("bazel-out/", "\nbazel-out/").split("\n")
    ])
    command = [place(text) for text in action.argv[action.argv.index("--") + 1:]]
    asserts.equals(env, [ctx.attr.tool] + ctx.attr.tool_args, command)
    argv = action.argv[:action.argv.index("--")]
    options = [
        option + " " + place(value)
        for option, value in zip(argv, argv[1:])
        if option.startswith("--disk") or option.startswith("--copy") or option == "--timeout"
    ]
    asserts.equals(env, ctx.attr.options, options)
    found = {name: place(action.env[name]) for name in ctx.attr.env}
    asserts.equals(env, ctx.attr.env, found)
    tool = action.argv[action.argv.index("--") + 1]
    asserts.true(env, tool.startswith("./") or "-exec" in tool, tool)
    return analysistest.end(env)

provision_test = analysistest.make(
    _provision_test_impl,
    attrs = {
        "env": attr.string_dict(doc = "Environment of the tool, paths from the root of the output tree."),
        "outs": attr.string_list(doc = "Names of the outputs of the action, sorted."),
        "options": attr.string_list(
            doc = "Its options for time, disks and copies, paths from the root of the output tree.",
            default = ["--timeout 3600"],
        ),
        "tool": attr.string(doc = "Path of the tool."),
        "tool_args": attr.string_list(doc = "Its arguments."),
    },
)

def _provisioned_disk_test_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    info = target[Qcow2Info]
    asserts.equals(env, target.label.name + ".qcow2", info.image.basename)
    asserts.equals(env, "qcow2", info.format)
    asserts.equals(env, ctx.attr.virtual_size, str(info.size))
    asserts.equals(env, {"cluster_size": "65536", "compat": "1.1", "extended_l2": "on"}, info.options)
    asserts.equals(env, ctx.attr.base, info.backing.basename)
    asserts.equals(env, [info.image], target[DefaultInfo].files.to_list())
    for files in [info.chain, target[DefaultInfo].default_runfiles.files, target[OutputGroupInfo].chain]:
        asserts.equals(env, ctx.attr.chain, _names(files.to_list()))
    return analysistest.end(env)

# A further disk of a derived image with extended_l2.
provisioned_disk_test = analysistest.make(
    _provisioned_disk_test_impl,
    attrs = {
        "base": attr.string(doc = "Name of the backing file."),
        "chain": attr.string_list(doc = "Names of all files of the chain, sorted."),
        "virtual_size": attr.string(doc = "The size in the provider."),
    },
)

def _image_is_a_file_test_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    asserts.equals(env, None, target[DefaultInfo].files_to_run.executable)
    asserts.equals(env, [target[Qcow2Info].image], target[DefaultInfo].files.to_list())
    return analysistest.end(env)

image_is_a_file_test = analysistest.make(_image_is_a_file_test_impl)

def _clone_test_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    asserts.equals(env, {"QCOW2_OVERLAY_IMAGE": ctx.attr.image}, target[RunEnvironmentInfo].environment)

    # The image is in the directory of the program, and its chain is in the runfiles.
    files = target[DefaultInfo].default_runfiles.files.to_list()
    images = [file for file in files if file.basename == ctx.attr.image]
    asserts.equals(env, target[DefaultInfo].files_to_run.executable.dirname, images[0].dirname)
    asserts.true(env, "generated.img" in [file.basename for file in files], "the base in the runfiles")
    return analysistest.end(env)

clone_test = analysistest.make(
    _clone_test_impl,
    attrs = {"image": attr.string(doc = "Name of the image.")},
)

def _disks_test_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    test = json.decode(target[RunEnvironmentInfo].environment["QCOW2_OVERLAY_TEST"])
    disks = {name: path.rpartition("/")[2] for name, path in test["disks"].items()}
    asserts.equals(env, ctx.attr.disks, disks)
    copies = {name: path.rpartition("/")[2] for name, path in test["copies"].items()}
    asserts.equals(env, ctx.attr.copies, copies)
    runfiles = [file.basename for file in target[DefaultInfo].default_runfiles.files.to_list()]
    for file in disks.values() + copies.values():
        asserts.true(env, file in runfiles, file + " in the runfiles")
    return analysistest.end(env)

disks_test = analysistest.make(
    _disks_test_impl,
    attrs = {
        "copies": attr.string_dict(doc = "Names of the originals by the names of the copies."),
        "disks": attr.string_dict(doc = "Names of the images by the names of the disks."),
    },
)

def _toolchain_test_impl(ctx):
    env = analysistest.begin(ctx)
    toolchain = analysistest.target_under_test(env)[platform_common.ToolchainInfo]
    asserts.equals(env, ctx.attr.exec_tool, toolchain.exec_tool.executable.basename)
    asserts.equals(env, ctx.attr.target_tool, toolchain.target_tool.executable.basename)
    return analysistest.end(env)

toolchain_test = analysistest.make(
    _toolchain_test_impl,
    attrs = {
        "exec_tool": attr.string(doc = "Name of the tool that runs in actions."),
        "target_tool": attr.string(doc = "Name of the tool that runs in tests."),
    },
    config_settings = {"//command_line_option:platforms": str(Label(":other_machine"))},
)

def _current_test_impl(ctx):
    env = analysistest.begin(ctx)
    variables = analysistest.target_under_test(env)[platform_common.TemplateVariableInfo].variables
    asserts.equals(env, ctx.attr.command, variables["QCOW2_OVERLAY"])
    return analysistest.end(env)

current_test = analysistest.make(
    _current_test_impl,
    attrs = {"command": attr.string(doc = "The command that runs the tool in a genrule.")},
    config_settings = {"//command_line_option:extra_toolchains": [str(Label(":registered_of_root"))]},
)

def _coverage_test_impl(ctx):
    env = analysistest.begin(ctx)
    actions = analysistest.target_actions(env)
    test = [action for action in actions if action.mnemonic == "TestRunner"][0]
    inputs = [file.basename for file in test.inputs.to_list()]
    for script in ["collect_cc_coverage.sh", "coverage_merger"]:
        asserts.true(env, script in inputs, script)
    return analysistest.end(env)

# By default, Bazel downloads the programs that merge coverage.
coverage_test = analysistest.make(
    _coverage_test_impl,
    config_settings = {
        "//command_line_option:collect_code_coverage": True,
        "//command_line_option:coverage_output_generator": str(Label(":coverage_merger")),
        "//command_line_option:coverage_report_generator": str(Label(":coverage_merger")),
    },
)
