#!/usr/bin/env python3
"""Stands in for qemu-img in QEMU's own tests.

Replaces each image that `create` makes with the one that our tool makes from the same arguments,
and compares what `info` prints with what our tool prints. All other commands, and all output, are
those of the real qemu-img. Writes a line of JSON for each comparison to the file $RECORD.
"""

import filecmp
import getopt
import json
import os
import subprocess
import sys

REAL = "/usr/bin/qemu-img"
# The options that the tool has. With any other, the image stays that of the real qemu-img.
OPTIONS = {"backing_file", "backing_fmt", "cluster_size", "compat", "extended_l2", "lazy_refcounts"}
OPTIONS |= {"refcount_bits", "size"}


def qemu_img(*arguments, run=subprocess.run, **options):
    """Calls the real qemu-img under its own name, which it prints in messages."""
    return run(["qemu-img", *arguments], executable=REAL, **options)


def record(kind, result, **details):
    line = json.dumps({"kind": kind, "result": result, "arguments": sys.argv[2:], **details})
    # A line is short enough for one write, so that two processes can append at once.
    with open(os.environ["RECORD"], "a", encoding="utf-8") as file:
        file.write(line + "\n")


def tool(*arguments):
    return subprocess.run(
        [os.environ["TOOL"], *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
    )


def keys(options):
    """Returns the names of the options in the values of -o."""
    pairs = ",".join(options).replace(",,", "").split(",")
    return {pair.partition("=")[0].removeprefix("no") for pair in pairs if pair}


def is_file(name, status):
    """Returns whether `name` is the path of a regular file, not the address of a protocol."""
    if ":" in name.partition("/")[0] or os.path.islink(name):
        return False
    return os.path.isfile(name) or (status != 0 and not os.path.exists(name))


def create(arguments):
    status = qemu_img("create", *arguments, run=subprocess.call)
    try:
        options, words = getopt.gnu_getopt(arguments, "F:b:f:o:qu", ["object="])
    except getopt.GetoptError:
        return status
    given = dict(options)
    names = keys(value for name, value in options if name == "-o")
    is_ours = given.get("-f") == "qcow2" and "--object" not in given and names <= OPTIONS
    if not is_ours or not words or not is_file(words[0], status):
        return status
    file = words[0]
    ours = file + ".ours"
    flat = [part for option in options if option[0] != "-q" for part in option if part]
    run = tool("create", "-q", *flat, "--", ours, *words[1:])
    if run.returncode != 0:
        if status == 0:
            record("create", "refused", problem=run.stderr.strip())
        return status
    if status != 0:
        os.remove(ours)
        # Asked again: what it said the first time had to reach the test in order with its other output.
        said = qemu_img("create", *arguments, capture_output=True).stderr
        record("create", "accepted", problem=said.decode("utf-8", "replace").strip())
    elif filecmp.cmp(file, ours, shallow=False):
        os.replace(ours, file)
        record("create", "same")
    else:
        check = qemu_img("check", "-f", "qcow2", ours, capture_output=True)
        is_clean = check.returncode == 0
        details = qemu_img("info", "--output=json", file, run=subprocess.check_output)
        cluster_size = json.loads(details)["cluster-size"]
        os.replace(ours, file)
        problem = f"clusters of {cluster_size}, {'clean' if is_clean else 'not clean'}"
        record("create", "other", problem=problem)
    return status


def info(arguments):
    theirs = qemu_img("info", *arguments, capture_output=True)
    sys.stdout.buffer.write(theirs.stdout)
    sys.stdout.flush()
    sys.stderr.buffer.write(theirs.stderr)
    try:
        long = ["output=", "backing-chain", "force-share"]
        options, words = getopt.gnu_getopt(arguments, "f:U", long)
    except getopt.GetoptError:
        return theirs.returncode
    given = dict(options)
    if given.get("-f", "qcow2") != "qcow2" or len(words) != 1 or not os.path.isfile(words[0]):
        return theirs.returncode
    known = [name + value for name, value in options if name == "--backing-chain"]
    known += [f"--output={value}" for name, value in options if name == "--output"]
    ours = tool("info", *known, "--", words[0])
    if (ours.returncode, theirs.returncode) == (0, 0):
        text = theirs.stdout.decode("utf-8", "surrogateescape")
        problem = difference(given.get("--output") == "json", ours.stdout, text)
        record("info", "other" if problem else "same", problem=problem)
    elif ours.returncode != theirs.returncode:
        said = theirs.stderr.decode("utf-8", "replace").strip()
        result = "accepted" if theirs.returncode else "refused"
        record("info", result, problem=ours.stderr.strip() or said)
    return theirs.returncode


def difference(is_json, ours, theirs):
    """Returns the first difference between `ours` and `theirs`, or None."""
    if not is_json:
        pairs = zip(theirs.splitlines() + [""], ours.splitlines() + [""], strict=False)
        return next((f"{their!r}, ours {our!r}" for their, our in pairs if their != our), None)
    ours, theirs = json.loads(ours), json.loads(theirs)
    if ours == theirs:
        return None
    if isinstance(theirs, list):
        if len(ours) != len(theirs):
            return "length of the chain"
        ours, theirs = next(pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1])
    key = next(k for k in sorted(theirs | ours) if theirs.get(k) != ours.get(k))
    return f"{key}: {theirs.get(key)!r}, ours {ours.get(key)!r}"


def main():
    command, *arguments = sys.argv[1:] or [""]
    if command == "create":
        return create(arguments)
    if command == "info":
        return info(arguments)
    os.execv(REAL, ["qemu-img", *sys.argv[1:]])


sys.exit(main())
