"""The crates of Cargo.lock as a repository, fetched by Cargo itself.

Cargo uses the registry and the credentials of the user's own configuration, and checks
the checksums in `Cargo.lock`. So this module contains no download address, and its users
do not need cargo-bazel. The BUILD files come from `build_files`, where the script `update`
writes them.
"""

_BUILD_FILE_PREFIX = "BUILD."
_BUILD_FILE_SUFFIX = ".bazel"

# The rust-version of Cargo.toml.
_MINIMUM_CARGO = (1, 89)

# Fetched, by rules_rust, only if PATH has no such Cargo.
_HOST_CARGO = Label("@rust_host_tools//:bin/cargo")

def _find_cargo(repository_ctx):
    cargo = repository_ctx.which("cargo")
    if cargo:
        result = repository_ctx.execute([cargo, "--version"])
        words = result.stdout.split(" ")
        if result.return_code == 0 and len(words) > 1:
            major, minor = words[1].split(".")[:2]
            if (int(major), int(minor)) >= _MINIMUM_CARGO:
                return cargo
    return repository_ctx.path(_HOST_CARGO)

def _vendor(repository_ctx):
    """Has Cargo write the sources of each crate to a directory of its own."""
    manifest = "manifest/Cargo.toml"
    repository_ctx.file(manifest, repository_ctx.read(repository_ctx.attr.manifest))
    repository_ctx.file("manifest/Cargo.lock", repository_ctx.read(repository_ctx.attr.lockfile))

    # Cargo requires the source files of a manifest to exist.
    repository_ctx.file("manifest/src/lib.rs", "")
    repository_ctx.file("manifest/src/main.rs", "")
    cargo = _find_cargo(repository_ctx)
    repository_ctx.report_progress("Running cargo vendor")
    result = repository_ctx.execute(
        [cargo, "vendor", "--locked", "--versioned-dirs", "--no-delete", "--manifest-path", manifest, "."],
        timeout = 1800,
    )
    if result.return_code:
        fail("cargo vendor, which fetches the crates of {}, failed:\n{}".format(
            repository_ctx.attr.lockfile,
            result.stderr,
        ))
    repository_ctx.delete("manifest")

def _crates_impl(repository_ctx):
    _vendor(repository_ctx)

    crates = {}
    build_files = repository_ctx.path(repository_ctx.attr.build_files).dirname
    for build_file in build_files.readdir():
        name = build_file.basename
        if name.startswith(_BUILD_FILE_PREFIX) and name.endswith(_BUILD_FILE_SUFFIX) and name != "BUILD.bazel":
            crate = name[len(_BUILD_FILE_PREFIX):-len(_BUILD_FILE_SUFFIX)]
            crates[crate] = repository_ctx.read(build_file)

    for entry in repository_ctx.path(".").readdir():
        if entry.basename not in crates:
            repository_ctx.delete(entry)
    aliases = []
    for crate, content in crates.items():
        repository_ctx.file(crate + "/BUILD.bazel", content)
        name = crate.rpartition("-")[0]
        aliases.append('alias(name = "{}", actual = "//{}:{}")'.format(name, crate, name.replace("-", "_")))
    repository_ctx.file("BUILD.bazel", "\n".join(
        ['package(default_visibility = ["//visibility:public"])'] + aliases,
    ) + "\n")

crates = repository_rule(
    implementation = _crates_impl,
    doc = "The crates of a Cargo.lock, each as `//:NAME`.",
    attrs = {
        "build_files": attr.label(
            doc = "A file in the directory of the files `BUILD.<crate>-<version>.bazel`.",
            mandatory = True,
        ),
        "lockfile": attr.label(doc = "The `Cargo.lock`.", mandatory = True),
        "manifest": attr.label(doc = "The `Cargo.toml`.", mandatory = True),
    },
)
