"""Stub of the extension that bazel_tools uses. `bazel mod tidy` needs the real one."""

def _no_binary_impl(_repository_ctx):
    fail("buildozer is not available in the private Debian root of bazelw")

_no_binary = repository_rule(implementation = _no_binary_impl)

def _buildozer_binary_impl(_module_ctx):
    _no_binary(name = "buildozer_binary")

buildozer_binary = module_extension(implementation = _buildozer_binary_impl)
