"""The toolchain that brings the tool to the rules."""

visibility("//rules/...")

TOOLCHAIN_TYPE = Label("//rules:toolchain_type")

def _qcow2_toolchain_impl(ctx):
    return [platform_common.ToolchainInfo(
        exec_tool = ctx.attr.exec_tool[DefaultInfo].files_to_run,
        target_tool = ctx.attr.target_tool[DefaultInfo].files_to_run,
    )]

def _tool(cfg, use):
    return attr.label(
        doc = "The executable `qcow2-overlay` for the {} platform, {}.".format(cfg, use),
        allow_files = True,
        cfg = cfg,
        executable = True,
        mandatory = True,
    )

_qcow2_toolchain = rule(
    implementation = _qcow2_toolchain_impl,
    doc = "See the macro of this name.",
    attrs = {
        "exec_tool": _tool("exec", "which runs in build actions"),
        "target_tool": _tool("target", "which runs beside tests"),
    },
    provides = [platform_common.ToolchainInfo],
)

def qcow2_toolchain(name, tool, **kwargs):
    """Another build of the tool, to be registered in place of the default.

    The default is built from source with rules_rust. With this one before it no Rust is
    fetched or built:

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

    with `register_toolchains("//:prebuilt_toolchain")` in `MODULE.bazel`.

    Build actions run the tool on the execution platform, tests on the target platform.
    Where these differ, `tool` is an `alias` that selects by the platform: it is looked
    at once for each.

    Args:
      name: the target's name.
      tool: the executable `qcow2-overlay`.
      **kwargs: what every rule has, such as `tags` and `visibility`.
    """
    _qcow2_toolchain(name = name, exec_tool = tool, target_tool = tool, **kwargs)
