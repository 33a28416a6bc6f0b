"""The toolchain that provides the tool to the rules."""

visibility("//rules/...")

TOOLCHAIN_TYPE = Label("//rules:toolchain_type")

def _toolchain_of_tools_impl(ctx):
    exec_tool = ctx.attr.exec_tool[DefaultInfo].files_to_run
    target = ctx.attr.target_tool
    return [platform_common.ToolchainInfo(
        exec_tool = exec_tool,
        target_tool = target[DefaultInfo].files_to_run if target else exec_tool,
    )]

toolchain_of_tools = rule(
    implementation = _toolchain_of_tools_impl,
    doc = """\
Provides `ToolchainInfo` with two `FilesToRunProvider`s: `exec_tool`, for the execution
platform, which build actions run, and `target_tool`, for the target platform, which tests
run. `target_tool.executable` is None if there is no tool for that platform.
""",
    attrs = {
        "exec_tool": attr.label(
            doc = "The executable `qcow2-overlay` for the execution platform.",
            allow_files = True,
            cfg = "exec",
            executable = True,
            mandatory = True,
        ),
        "target_tool": attr.label(
            doc = "The same for the target platform, or a target without an executable. Default: `exec_tool`.",
            allow_files = True,
            cfg = "target",
        ),
    },
    provides = [platform_common.ToolchainInfo],
)

def qcow2_toolchain(name, tool, **kwargs):
    """Your own build of the tool, to register in place of the default.

    By default, the rules use the prebuilt tool of a release if there is one for the execution
    platform, and otherwise build the tool from source with rules_rust. If you register this
    toolchain, they do neither:

    ```starlark
    load("@rules_qcow2//rules:defs.bzl", "qcow2_toolchain")

    qcow2_toolchain(
        name = "prebuilt",
        tool = ":qcow2-overlay-linux-x86_64",
    )

    toolchain(
        name = "prebuilt_toolchain",
        exec_compatible_with = ["@platforms//os:linux", "@platforms//cpu:x86_64"],
        target_compatible_with = ["@platforms//os:linux", "@platforms//cpu:x86_64"],
        toolchain = ":prebuilt",
        toolchain_type = "@rules_qcow2//rules:toolchain_type",
    )
    ```

    Register it with `register_toolchains("//:prebuilt_toolchain")` in `MODULE.bazel`.

    Build actions run the tool on the execution platform, tests on the target platform. If
    these differ, `tool` must be an `alias` with a `select()` on the platform, which is
    resolved for each of the two.

    Args:
      name: The target's name.
      tool: The executable `qcow2-overlay`, one file.
      **kwargs: Attributes common to all rules, such as `tags` and `visibility`.
    """
    toolchain_of_tools(name = name, exec_tool = tool, target_tool = tool, **kwargs)

def link_to_tool(ctx, tool):
    """Declares the executable of a rule as a link to the tool, without a wrapper.

    Args:
      ctx: the context of the rule; the link is named after it.
      tool: the File of the tool.

    Returns:
      The File of the link.
    """
    executable = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(output = executable, target_file = tool, is_executable = True)
    return executable

def target_tool(ctx):
    """Returns the tool for the target platform, or fails if there is none.

    Args:
      ctx: the context of a rule that needs the toolchain.

    Returns:
      The File of the executable.
    """
    tool = ctx.toolchains[TOOLCHAIN_TYPE].target_tool.executable
    if not tool:
        fail(("{}: there is no qcow2-overlay for the target platform: for Linux or macOS build it with " +
              "--@rules_qcow2//rules:tool_from_source, for others register a qcow2_toolchain").format(ctx.label))
    return tool
