"""The toolchain that brings the tool to the rules."""

visibility("//rules/...")

TOOLCHAIN_TYPE = Label("//rules:toolchain_type")

def _qcow2_toolchain_impl(ctx):
    return [platform_common.ToolchainInfo(tool = ctx.attr.tool[DefaultInfo].files_to_run)]

qcow2_toolchain = rule(
    implementation = _qcow2_toolchain_impl,
    doc = """\
Another build of the tool for the rules, to be registered in place of the default,
which is built from source:

```starlark
qcow2_toolchain(
    name = "prebuilt",
    tool = ":qcow2-overlay-linux-x86_64",
)

toolchain(
    name = "prebuilt_toolchain",
    exec_compatible_with = ["@platforms//os:linux", "@platforms//cpu:x86_64"],
    toolchain = ":prebuilt",
    toolchain_type = "@rules_qcow2//rules:toolchain_type",
)
```
""",
    attrs = {
        "tool": attr.label(
            doc = "The executable `qcow2-overlay`, for the execution platform.",
            allow_files = True,
            cfg = "exec",
            executable = True,
            mandatory = True,
        ),
    },
)
