"""A program of this machine, such as QEMU, as a dependency.

Load it from `@rules_qcow2//rules:host_program.bzl` in `MODULE.bazel`.
"""

visibility("public")

_FOUND = """\
package(default_visibility = ["//visibility:public"])

exports_files(["program", "version"])
"""

# Bazel names the constraint when somebody names a target that needs the program.
_ABSENT = """\
package(default_visibility = ["//visibility:public"])

constraint_setting(name = "host")

constraint_value(
    name = "{program}_in_PATH",
    constraint_setting = ":host",
)

[filegroup(
    name = name,
    target_compatible_with = [":{program}_in_PATH"],
) for name in ["program", "version"]]
"""

# The content names the version, so that a new program is a new file.
_PROGRAM = """\
#!/bin/sh
{comment}
exec '{path}' "$@"
"""

def _find(repository_ctx):
    """Returns the first of these programs in PATH, or None. Bazel asks again if that changes."""
    for directory in (repository_ctx.getenv("PATH") or "").split(":"):
        if directory.startswith("/"):
            path = repository_ctx.path(directory + "/" + repository_ctx.attr.program)
            repository_ctx.watch(path)
            if path.exists and not path.is_dir:
                return path
    return None

def _host_program_impl(repository_ctx):
    program = repository_ctx.attr.program
    if "/" in program or "'" in program:
        fail("host_program {}: attribute program: {} is not a name: give the name of a program in PATH, such as \"qemu-system-x86_64\"".format(
            repository_ctx.name,
            repr(program),
        ))
    path = _find(repository_ctx)
    if not path:
        repository_ctx.file("BUILD.bazel", _ABSENT.format(program = program))
        return
    result = repository_ctx.execute([path, "--version"])
    if result.return_code:
        fail("host_program {}: {} --version failed with status {}: {}".format(
            repository_ctx.name,
            path,
            result.return_code,
            (result.stderr or result.stdout).strip().replace("\n", " "),
        ))
    version = result.stdout or result.stderr
    repository_ctx.file("BUILD.bazel", _FOUND)
    repository_ctx.file("version", version, executable = False)
    repository_ctx.file("program", _PROGRAM.format(
        comment = "\n".join(["# " + line for line in version.splitlines()]),
        path = str(path).replace("'", "'\\''"),
    ))

host_program = repository_rule(
    implementation = _host_program_impl,
    doc = """\
Makes a program of this machine, and its version, inputs of tests and build actions.

```starlark
host_program = use_repo_rule("@rules_qcow2//rules:host_program.bzl", "host_program")

host_program(
    name = "host_qemu",
    program = "qemu-system-x86_64",
)
```

- `@host_qemu//:version` is a file with what the program prints for `--version`.
- `@host_qemu//:program` is an executable file that runs the program with the same arguments.

In `data` of a test or `srcs` of a build action, either lets Bazel run the test or the action again
when the program has another version. Bazel looks for the program in its own `PATH`. If it is not
there, targets that depend on one of the two files are incompatible: `bazel test //...` skips
them, and it is an error to name one.
""",
    attrs = {
        "program": attr.string(
            doc = "The name of the program.",
            mandatory = True,
        ),
    },
    configure = True,
    local = True,
)
