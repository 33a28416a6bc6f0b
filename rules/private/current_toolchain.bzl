"""The tool of the toolchain as targets: an executable, and a Make variable for genrules."""

load(":toolchain.bzl", "TOOLCHAIN_TYPE", "link_to_tool", "target_tool")

visibility("//rules")

def _current_tool_impl(ctx):
    executable = link_to_tool(ctx, target_tool(ctx))
    return [DefaultInfo(executable = executable, files = depset([executable]))]

current_tool = rule(
    implementation = _current_tool_impl,
    doc = "The tool for the target platform as an executable.",
    executable = True,
    toolchains = [TOOLCHAIN_TYPE],
)

def _current_qcow2_toolchain_impl(ctx):
    toolchain = ctx.toolchains[TOOLCHAIN_TYPE]
    tool = toolchain.exec_tool.executable

    # A shell looks up a name without a slash in PATH.
    command = tool.path if "/" in tool.path else "./" + tool.path
    return [
        DefaultInfo(files = depset([tool])),
        platform_common.TemplateVariableInfo({"QCOW2_OVERLAY": command}),
        toolchain,
    ]

current_qcow2_toolchain = rule(
    implementation = _current_qcow2_toolchain_impl,
    doc = "The tool for build actions: `$(QCOW2_OVERLAY)` in a genrule that has this target in `toolchains`.",
    toolchains = [TOOLCHAIN_TYPE],
)
