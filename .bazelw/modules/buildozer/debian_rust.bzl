"""A repository with a `rust_toolchain` for Debian's rustc."""

_BUILD = """\
load("@rules_rust//rust:toolchain.bzl", "rust_stdlib_filegroup", "rust_toolchain")

# Since 1.97, rustc needs the .rmeta of a crate beside its .rlib.
rust_stdlib_filegroup(
    name = "std",
    srcs = glob(["lib/*.rlib", "lib/*.rmeta", "lib/*.so", "lib/*.a"], allow_empty = True),
)

rust_toolchain(
    name = "rust",
    binary_ext = "",
    cargo = "bin/cargo",
    default_edition = "2021",
    dylib_ext = ".so",
    exec_triple = "{triple}",
    rust_doc = "bin/rustdoc",
    rust_std = ":std",
    rustc = "bin/rustc",
    staticlib_ext = ".a",
    stdlib_linkflags = ["-lpthread", "-ldl"],
    target_triple = "{triple}",
    visibility = ["//visibility:public"],
)
"""

def _debian_rust_impl(repository_ctx):
    rustc = str(repository_ctx.path("/usr/bin/rustc"))
    verbose = repository_ctx.execute([rustc, "-vV"])
    if verbose.return_code:
        fail("rustc -vV: " + verbose.stderr)
    triple = [
        line[len("host: "):]
        for line in verbose.stdout.splitlines()
        if line.startswith("host: ")
    ][0]
    for tool in ["rustc", "rustdoc", "cargo"]:
        repository_ctx.symlink("/usr/bin/" + tool, "bin/" + tool)
    repository_ctx.symlink("/usr/lib/rustlib/%s/lib" % triple, "lib")
    repository_ctx.file("BUILD.bazel", _BUILD.format(triple = triple))

debian_rust = repository_rule(
    implementation = _debian_rust_impl,
    doc = "Declares the Rust toolchain of the Debian root that Bazel runs in.",
)
