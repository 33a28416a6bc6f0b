"""A prebuilt tool as a repository, downloaded when a build needs it."""

load(":tools.bzl", "TOOLS")

def _prebuilt_tool_impl(repository_ctx):
    tool = TOOLS[repository_ctx.attr.platform]
    repository_ctx.download(
        executable = True,
        output = "qcow2-overlay",
        sha256 = tool["sha256"],
        url = tool["url"],
    )
    repository_ctx.file("BUILD.bazel", 'exports_files(["qcow2-overlay"])\n')

prebuilt_tool = repository_rule(
    implementation = _prebuilt_tool_impl,
    doc = "The tool of a release for a platform, as `//:qcow2-overlay`.",
    attrs = {
        "platform": attr.string(
            doc = "The platform: a key of TOOLS.",
            mandatory = True,
        ),
    },
)
