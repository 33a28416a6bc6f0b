"""A Bazel workspace with its own output base and server, in which builds are measured."""

import os
import shutil
import subprocess
import time

from measure import run

MODULE = """
module(name = "bench")

bazel_dep(name = "rules_qcow2")
bazel_dep(name = "rules_shell", version = "0.6.1")

register_toolchains("//:toolchain")
"""

ROOT_BUILD = """
load("@rules_qcow2//rules:defs.bzl", "qcow2_toolchain")

exports_files(glob(["*"]), visibility = ["//visibility:public"])

qcow2_toolchain(name = "prebuilt", tool = "qcow2-overlay")

toolchain(
    name = "toolchain",
    toolchain = ":prebuilt",
    toolchain_type = "@rules_qcow2//rules:toolchain_type",
)
"""


class Workspace:
    """Uses the rules of this repository and the tool that the benchmark is given."""

    def __init__(self, setup):
        self.setup = setup
        self.path = setup.directory / "workspace"
        self.path.mkdir()
        self.write("MODULE.bazel", MODULE)
        self.write("BUILD.bazel", ROOT_BUILD)
        shutil.copy(setup.tool, self.path / "qcow2-overlay")
        shutil.copy(setup.workspace / ".bazelrc", self.path / ".bazelrc")
        with open(self.path / ".bazelrc", "a") as bazelrc:
            bazelrc.write(f"common --override_module=rules_qcow2={setup.workspace}\n")

    def write(self, name, text):
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def bazel(self, *arguments):
        # If `bazelw` has started this, its Bazel is the one in PATH.
        environment = dict(os.environ)
        if "BAZEL" not in environment and not shutil.which("bazelisk"):
            environment["BAZEL"] = shutil.which("bazel")
        for name in ["BUILD_WORKSPACE_DIRECTORY", "BUILD_WORKING_DIRECTORY", "RUNFILES_DIR"]:
            environment.pop(name, None)
        bazelw = self.setup.workspace / "bazelw"
        output = f"--output_user_root={self.setup.directory / 'output'}"
        return run(bazelw, output, *arguments, cwd=self.path, env=environment)

    def build(self, *arguments):
        """Builds; returns the seconds from start to end."""
        start = time.monotonic()
        self.bazel("build", *arguments)
        return time.monotonic() - start

    def close(self):
        self.bazel("shutdown")
        # Bazel makes output directories read-only.
        subprocess.run(["chmod", "-R", "u+w", self.setup.directory], check=True)
