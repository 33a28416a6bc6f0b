"""Mistakes in BUILD files that the rules find."""

load("//rules:defs.bzl", "qcow2_image", "qcow2_overlay", "qcow2_provision", "qcow2_test")
load(":refused.bzl", "refused")

_KNOWN = "//tests/rules/analysis:all_known"
_BLANK = "//tests/rules/analysis:blank"
_RAW = "//tests/rules/analysis:generated"
_TOOL = "//tests/rules/analysis:script"

# What is wrong with an image, in whichever attribute it is.
_IMAGES = {
    ":directory": "//HERE:directory is a directory: name a target with just the image file",
    ":scattered": "the chain of //HERE:scattered has files of several repositories, whose places differ from tree to tree: make each overlay with qcow2_overlay",
    ":two_files": "//HERE:two_files has 2 files, and an image is one: name a target with just the image",
    ":undeclared": "the chain of //HERE:undeclared lacks \"generated.img\": its rule must put all files that back the image into Qcow2Info.chain",
}

# In `src`, `backing` and `size`.
def _mistakes_in_images():
    smaller = "size: \"1M\" is 1048576 bytes, less than " + _KNOWN + " of 2097152 bytes: its end would be cut off"
    other_format = "_format: it is \"raw\", but " + _KNOWN + " is \"qcow2\""
    for rule, attribute, more in [
        (qcow2_image, "src", {}),
        (qcow2_overlay, "backing", {}),
        (qcow2_provision, "backing", {"tool": _TOOL}),
    ]:
        kind = str(rule).split(" ")[1].rstrip(">")
        for image, problem in _IMAGES.items():
            refused(rule, kind + "_of_" + image[1:], attribute + ": " + problem, **({attribute: image} | more))
        refused(rule, kind + "_smaller", smaller, size = "1M", **({attribute: _KNOWN} | more))
        refused(
            rule,
            kind + "_of_other_format",
            attribute + other_format,
            **({attribute: _KNOWN, attribute + "_format": "raw"} | more)
        )

    refused(qcow2_image, "no_size", "size: it is missing, and so is src: give a size such as \"10G\" for a blank disk, or an image as src")
    refused(
        qcow2_image,
        "compressed_nothing",
        "compression: it is \"zlib\", but there is no src, and a blank disk has no data: give src too",
        size = "1M",
        compression = "zlib",
    )
    refused(qcow2_image, "format_of_nothing", "src_format: it is \"raw\", but there is no src: give src too", size = "1M", src_format = "raw")

# Sizes and options that no image can have.
def _mistakes_in_options():
    not_a_size = " is not a size: give bytes, or a number with one of the suffixes K, M, G, T, P, E"
    not_a_power = " is not a power of two from \"512\" to \"2M\""
    old = ": it needs compat = \"1.1\", not \"0.10\""
    for name, message, attributes in [
        ("words", "size: \"10 gigs\"" + not_a_size, {"size": "10 gigs"}),
        ("sign", "size: \"+10G\"" + not_a_size, {"size": "+10G"}),
        ("zero", "size: \"0\" is an empty disk: give at least \"512\"", {"size": "0"}),
        ("cluster_words", "cluster_size: \"64KiB\"" + not_a_size, {"cluster_size": "64KiB"}),
        ("cluster_odd", "cluster_size: \"3K\"" + not_a_power, {"cluster_size": "3K"}),
        ("cluster_small", "cluster_size: \"256\"" + not_a_power, {"cluster_size": "256"}),
        ("cluster_large", "cluster_size: \"4M\"" + not_a_power, {"cluster_size": "4M"}),
        ("old_with_subclusters", "extended_l2" + old, {"compat": "0.10", "extended_l2": True}),
        (
            "old_and_zstd",
            "compression: \"zstd\" needs compat = \"1.1\", not \"0.10\": give that, or \"zlib\"",
            {"compat": "0.10", "compression": "zstd", "src": _RAW},
        ),
        ("old_and_lazy", "lazy_refcounts" + old, {"compat": "0.10", "lazy_refcounts": True}),
        (
            "small_subclusters",
            "extended_l2: it needs a cluster_size of at least \"16K\", not \"8K\"",
            {"cluster_size": "8K", "extended_l2": True},
        ),
        (
            "too_large",
            "size: \"137438953473\" is more than the \"128G\" that a cluster_size of \"512\" allows: give a larger cluster_size",
            {"cluster_size": "512", "size": str((128 << 30) + 1)},
        ),
        (
            "too_large_for_all",
            "size: \"9E\" is more than the \"2E\" that a cluster_size of \"2M\" allows, the largest there is",
            {"cluster_size": "2M", "size": "9E"},
        ),
        (
            "too_large_for_subclusters",
            "size: \"3P\" is more than the \"1P\" that a cluster_size of \"64K\" allows",
            {"extended_l2": True, "size": "3P"},
        ),
    ]:
        refused(qcow2_image, name, message, **({"size": "1M"} | attributes))

    # The largest disk with clusters of 512 bytes.
    qcow2_image(name = "largest", size = "128G", cluster_size = "512")

# Wrong names of variables and disks.
def _mistakes_in_environments():
    for name in ["DISK", "DISK_BLOCKDEV"]:
        message = "env: \"" + name + "\" is set by the rule, to the disk: choose another name"
        refused(qcow2_provision, name, message, backing = _KNOWN, env = {name: "mine"}, tool = _TOOL)

    no_name = "\" is not the name of a disk: give a letter and up to 30 letters, digits or _"
    in_env = " is in the environment of the test already: give the disk another name"
    for name, message, disks, env in [
        ("no_disks", "disks: it is empty, and so is copies: give at least one disk, as in {\"NODE1\": \":node\"}", {}, {}),
        ("dash", "disks: \"NODE-1" + no_name, {"NODE-1": _BLANK}, {}),
        ("first_digit", "disks: \"1" + no_name, {"1": _BLANK}, {}),
        ("no_name", "disks: \"" + no_name, {"": _BLANK}, {}),
        ("long_name", "disks: \"" + "N" * 32 + no_name, {"N" * 32: _BLANK}, {}),
        ("bazels_name", "disks: \"TEST_TMPDIR\" is a variable that Bazel or the tool sets: give another name", {"TEST_TMPDIR": _BLANK}, {}),
        (
            "name_of_another",
            "disks: NODE_BLOCKDEV is set for the disk NODE: give the other one another name",
            {"NODE": _BLANK, "NODE_BLOCKDEV": _KNOWN},
            {},
        ),
        ("name_in_env", "disks: NODE_BLOCKDEV" + in_env, {"NODE": _BLANK}, {"NODE_BLOCKDEV": "mine"}),
        ("name_in_env_of_binary", "disks: MODE" + in_env, {"MODE": _BLANK}, {}),
        ("env_of_binary", "env: MODE is \"slow\", but " + _TOOL + " sets it to \"fast\": leave one of them out", {"NODE": _BLANK}, {"MODE": "slow"}),
        ("tool_in_env", "env: QCOW2_OVERLAY is the path of the tool, for every test: choose another name", {"NODE": _BLANK}, {"QCOW2_OVERLAY": "mine"}),
        (
            "raw_disk",
            "disks: NODE is //tests/rules/analysis:plain, which is not a qcow2 image with a known backing chain: make a qcow2_overlay with backing = \"//tests/rules/analysis:plain\" and name that",
            {"NODE": "//tests/rules/analysis:plain"},
            {},
        ),
    ]:
        refused(qcow2_test, name, message, disks = disks, env = env, test = _TOOL)

    for name, message, copies in [
        ("copy_dash", "\"VARS-1\" is not the name of a copy: give a letter and up to 30 letters, digits or _", {"VARS-1": _RAW}),
        ("copy_of_bazels_name", "\"QCOW2_OVERLAY\" is a variable that Bazel or the tool sets: give another name", {"QCOW2_OVERLAY": _RAW}),
        ("copy_and_disk", "NODE is the name of a disk too: give one of them another name", {"NODE": _RAW}),
        ("copy_of_blockdev", "NODE_BLOCKDEV is set for the disk NODE: give the other one another name", {"NODE_BLOCKDEV": _RAW}),
        ("copy_in_env_of_binary", "MODE is in the environment of the test already: give the copy another name", {"MODE": _RAW}),
        ("copy_of_two_files", "VARS is //HERE:two_files, which has 2 files: name a target with one file or one directory", {"VARS": ":two_files"}),
        ("copy_of_overlay", "VARS is " + _KNOWN + ", an image with a backing file, which a copy would not find: name it in disks", {"VARS": _KNOWN}),
    ]:
        refused(qcow2_test, name, "copies: " + message, copies = copies, disks = {"NODE": _BLANK}, test = _TOOL)

    refused(
        qcow2_test,
        "image_of_no_disk",
        "keep_disks_as: no disk is kept: give keep_disks = \"on_failure\" or \"always\", too",
        disks = {"NODE": _BLANK},
        keep_disks_as = "image",
        test = _TOOL,
    )

    refused(
        qcow2_test,
        "not_executable",
        "test: " + _RAW + " is not executable: name what `bazel run` could run, such as a sh_binary or py_binary",
        disks = {"NODE": _BLANK},
        test = _RAW,
    )

# What the tool of a derived image may write to, and for how long.
def _mistakes_in_machines():
    no_name = "\" is not the name of a {}: give a letter and up to 30 letters, digits or _"
    for name, message, attributes in [
        ("machine_dash", "disks: \"DATA-1" + no_name.format("disk"), {"disks": {"DATA-1": _BLANK}}),
        ("machine_copy_dash", "copies: \"VARS-1" + no_name.format("copy"), {"copies": {"VARS-1": _RAW}}),
        ("machine_path", "disks: \"PATH\" is a variable that Bazel or the tool sets: give another name", {"disks": {"PATH": _BLANK}}),
        ("machine_main_disk", "disks: \"DISK\" is set to the disk over backing: choose another name", {"disks": {"DISK": _BLANK}}),
        ("machine_main_blockdev", "copies: \"DISK_BLOCKDEV\" is set to the disk over backing: choose another name", {"copies": {"DISK_BLOCKDEV": _RAW}}),
        (
            "machine_name_of_another",
            "copies: DATA_BLOCKDEV is set for the disk DATA: give the other one another name",
            {"copies": {"DATA_BLOCKDEV": _RAW}, "disks": {"DATA": _BLANK}},
        ),
        ("machine_disk_in_env", "env: \"DATA_BLOCKDEV\" is set by the rule, to the disk: choose another name", {"disks": {"DATA": _BLANK}, "env": {"DATA_BLOCKDEV": "mine"}}),
        ("machine_copy_in_env", "env: \"VARS\" is set by the rule, to the copy: choose another name", {"copies": {"VARS": _RAW}, "env": {"VARS": "mine"}}),
        (
            "machine_raw_disk",
            "disks: DATA is //tests/rules/analysis:plain, which is not a qcow2 image with a known backing chain: make a qcow2_overlay with backing",
            {"disks": {"DATA": "//tests/rules/analysis:plain"}},
        ),
        ("machine_scattered", "disks: the chain of //HERE:scattered has files of several repositories", {"disks": {"DATA": ":scattered"}}),
        ("machine_undeclared", "disks: the chain of //HERE:undeclared lacks \"generated.img\": its rule must put all files that back the image into Qcow2Info.chain", {"disks": {"DATA": ":undeclared"}}),
        ("machine_two_files", "copies: VARS is //HERE:two_files, which has 2 files: name a target with one file or one directory", {"copies": {"VARS": ":two_files"}}),
        ("machine_copy_of_overlay", "copies: VARS is " + _KNOWN + ", an image with a backing file, which a copy would not find", {"copies": {"VARS": _KNOWN}}),
        ("no_time", "timeout: 0 is not a number of seconds: give at least 1, or leave it out", {"timeout": 0}),
        ("negative_time", "timeout: -5 is not a number of seconds", {"timeout": -5}),
    ]:
        refused(qcow2_provision, name, message, backing = _KNOWN, tool = _TOOL, **attributes)

# buildifier: disable=unnamed-macro
def mistakes():
    """Declares the tests."""
    _mistakes_in_images()
    _mistakes_in_options()
    _mistakes_in_environments()
    _mistakes_in_machines()
