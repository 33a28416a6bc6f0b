"""1,000 Bazel targets of several kinds: built from nothing, again, and after a change."""

import os
import shutil

from measure import ratio_text, spread, spread_text, table
from workspace import Workspace

TITLE = "Bazel targets"
WRITE = "small file, `ctx.actions.write`"
RUN = "small file, `ctx.actions.run` of `touch`"
OVERLAY = "`qcow2_overlay`, size declared"
UNDECLARED = "`qcow2_overlay`, size not declared"
GENRULE = "`genrule` of `qemu-img create`"
BIG = "on a 5 GiB source file, size declared"
BIG_ALONE = "the same, `--output_groups=default`"
BIG_UNDECLARED = "on a 5 GiB source file, not declared"

# Label -> the package, its head, and a target. A change replaces {size} or {cluster}.
SMALL_FILES = 'load("//:small_file.bzl", "{0}")\n'
OVERLAYS = 'load("@rules_qcow2//rules:defs.bzl", "qcow2_overlay")\n'
BASE = 'genrule(name = "base", outs = ["base.img"], cmd = "truncate -s 1M $@")\n'
DECLARED = 'qcow2_overlay(name = "t{n}", backing = "%s", backing_format = "raw", size = "{size}")\n'
PACKAGES = {
    WRITE: ("write", SMALL_FILES.format("written_file"), 'written_file(name = "t{n}", content = "{size}")\n'),
    RUN: ("run", SMALL_FILES.format("touched_file"), 'touched_file(name = "t{n}", content = "{size}")\n'),
    OVERLAY: ("overlay", OVERLAYS + BASE, DECLARED % ":base"),
    UNDECLARED: (
        "probed",
        OVERLAYS + BASE,
        'qcow2_overlay(name = "t{n}", backing = ":base", cluster_size = "{cluster}")\n',
    ),
    GENRULE: (
        "genrule",
        BASE,
        'genrule(name = "t{n}", srcs = [":base"], outs = ["t{n}.qcow2"],'
        ' cmd = "qemu-img create -q -f qcow2 -b base.img -F raw $@ {size}")\n',
    ),
    BIG: ("big", OVERLAYS, DECLARED % "//:big.img"),
    BIG_ALONE: ("big", OVERLAYS, DECLARED % "//:big.img"),
    BIG_UNDECLARED: (
        "big_probed",
        OVERLAYS,
        'qcow2_overlay(name = "t{n}", backing = "//:big.img", cluster_size = "{cluster}")\n',
    ),
}

SMALL_FILE_BZL = '''
"""Rules whose targets are one small file each."""

def _written_file_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".txt")
    ctx.actions.write(out, ctx.attr.content)
    return [DefaultInfo(files = depset([out]))]

written_file = rule(
    implementation = _written_file_impl,
    attrs = {"content": attr.string()},
)

def _touched_file_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".txt")
    ctx.actions.run(
        executable = ctx.executable._tool,
        arguments = [out.path],
        outputs = [out],
        env = {"CONTENT": ctx.attr.content},
    )
    return [DefaultInfo(files = depset([out]))]

touched_file = rule(
    implementation = _touched_file_impl,
    attrs = {
        "content": attr.string(),
        "_tool": attr.label(default = "//:touch", allow_single_file = True, executable = True, cfg = "exec"),
    },
)
'''

# Bazel also builds, and therefore hashes, the runfiles of a requested target, unless it is told
# to build only the target's own output.
FLAGS = {BIG_ALONE: ["--output_groups=default"]}

STEPS = ["cold", "again", "one change"]


class Targets(Workspace):
    """A workspace with a package for each label."""

    def __init__(self, setup):
        super().__init__(setup)
        self.write("small_file.bzl", SMALL_FILE_BZL)
        shutil.copy(shutil.which("touch"), self.path / "touch")
        with open(self.path / "big.img", "wb") as big:
            big.truncate((64 << 20) if setup.small else (5 << 30))
        for label in PACKAGES:
            self.package(label)

    def package(self, label, size="20G", cluster="64K"):
        """Writes the package of a label; `size` and `cluster` are those of its first target."""
        package, head, target = PACKAGES[label]
        lines = [target.format(n=0, size=size, cluster=cluster)]
        count = 50 if self.setup.small else 1000
        lines += [target.format(n=n, size="20G", cluster="64K") for n in range(1, count)]
        self.write(f"{package}/BUILD.bazel", head + "".join(lines))

    def build_label(self, label):
        """Builds all targets of a label; returns the seconds from start to end."""
        return self.build(*FLAGS.get(label, []), f"//{PACKAGES[label][0]}:all")


def measure(setup):
    workspace = Targets(setup)
    labels = list(PACKAGES)
    times = {label: {step: [] for step in STEPS} for label in labels}
    try:
        # The first round warms up the server, and does not count.
        for number in range(1 + (setup.rounds or (1 if setup.small else 5))):
            for label in labels:
                measured = measure_label(workspace, label, number)
                for step in STEPS if number > 0 else []:
                    times[label][step].append(measured[step])
            labels.reverse()
    finally:
        workspace.close()
    found = {label: {step: spread(sorted(times[label][step])) for step in STEPS} for label in PACKAGES}
    return {"labels": found}


def measure_label(workspace, label, number):
    workspace.package(label)
    # Bazel remembers the digest of a file that has not changed.
    os.utime(workspace.path / "big.img")
    workspace.bazel("clean")
    os.sync()
    cold = workspace.build_label(label)
    again = workspace.build_label(label)
    workspace.package(label, size=f"{30 + number}G", cluster="128K")
    return {"cold": cold, "again": again, "one change": workspace.build_label(label)}


def tables(results):
    labels = results["labels"]
    rows = []
    for label, steps in labels.items():
        row = [label]
        for step in STEPS:
            row += spread_text(steps[step])
        cold = steps["cold"]["median"]
        row += [ratio_text(cold / labels[name]["cold"]["median"]) for name in [WRITE, RUN]]
        rows.append(row)
    head = ["1,000 targets of"]
    for step in STEPS:
        head += [step, "least"]
    head += ["cold: times write", "times run"]
    return ["", *table(head, rows)]
