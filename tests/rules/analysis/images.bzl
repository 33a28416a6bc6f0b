"""Images of every kind: what the rules declare, and what their actions and providers then say."""

load("//rules:defs.bzl", "qcow2_image", "qcow2_overlay", "qcow2_provision")
load(":analysis_test.bzl", "provision_test", "provisioned_disk_test", "tested")

_RAW = "//tests/rules/analysis:generated"
_KNOWN = "//tests/rules/analysis:all_known"
_CHAINED = "//tests/rules/analysis:chained"

# buildifier: disable=unnamed-macro
def images():
    """Declares blank images and overlays."""
    tested(
        qcow2_image,
        "blank",
        {"cluster_size": "4K", "compat": "0.10", "size": "1M"},
        arguments = "create -q -o cluster_size=4096,compat=0.10 ",
        options = {"cluster_size": "4096", "compat": "0.10"},
        virtual_size = "1048576",
    )
    tested(
        qcow2_overlay,
        "all_known",
        {"backing": _RAW, "backing_format": "raw", "size": "2M"},
        arguments = "-b generated.img -F raw -u ",
        base = "generated.img",
        virtual_size = "2097152",
    )
    tested(
        qcow2_overlay,
        "size_unknown",
        {"backing": _RAW, "backing_format": "raw", "extended_l2": True, "lazy_refcounts": True},
        arguments = "extended_l2=on,lazy_refcounts=on -b generated.img -F raw --probe ",
        base = "generated.img",
        options = {"extended_l2": "on", "lazy_refcounts": "on"},
        reads = ["generated.img"],
        virtual_size = "None",
    )
    tested(
        qcow2_overlay,
        "nothing_known",
        {"backing": _RAW},
        arguments = "/generated.img --standalone ",
        base = "generated.img",
        reads = ["generated.img"],
        virtual_size = "None",
    )

    # The base is an overlay, which gives size and format.
    tested(
        qcow2_overlay,
        "chained",
        {"backing": _KNOWN},
        arguments = "-b all_known.qcow2 -F qcow2 -u ",
        base = "all_known.qcow2",
        chain = ["generated.img"],
        virtual_size = "2097152",
    )

    # An image of another ruleset that is backed by a source file: the overlay gets links to both.
    tested(
        qcow2_overlay,
        "on_foreign",
        {"backing": ":foreign"},
        arguments = "-b on_foreign.base/analysis/generated.img -F qcow2 ",
        base = "generated.img",
        chain = ["source.img"],
        virtual_size = "1048576",
    )
    tested(
        qcow2_overlay,
        "on_plain",
        {"backing": ":plain"},
        arguments = "-b generated.img -F raw --probe ",
        base = "generated.img",
        reads = ["generated.img"],
        virtual_size = "None",
    )

    # select() and aliases for labels and sizes.
    tested(
        qcow2_overlay,
        "selected",
        {
            "backing": select({":always": ":alias", "//conditions:default": _RAW}),
            "cluster_size": "64k",
            "size": select({":always": "3M", "//conditions:default": "1M"}),
        },
        arguments = "-b all_known.qcow2 -F qcow2 ",
        base = "all_known.qcow2",
        chain = ["generated.img"],
        virtual_size = "3145728",
    )

# Images with the content of another, which is not in their chain.
def _images_of_images():
    tested(
        qcow2_image,
        "of_plain_file",
        {"cluster_size": "2M", "lazy_refcounts": True, "src": _RAW},
        arguments = "convert -q -o cluster_size=2097152,compat=1.1,lazy_refcounts=on --standalone ",
        options = {"cluster_size": "2097152", "lazy_refcounts": "on"},
        reads = ["generated.img"],
        virtual_size = "None",
    )
    tested(
        qcow2_image,
        "of_known_format",
        {"size": "3M", "src": _RAW, "src_format": "raw"},
        arguments = "convert -q -f raw -o cluster_size=65536,compat=1.1,size=3145728 --standalone ",
        reads = ["generated.img"],
        virtual_size = "3145728",
    )

    tested(
        qcow2_image,
        "of_old_and_compressed",
        {"compat": "0.10", "compression": "zlib", "src": _RAW},
        arguments = "convert -q -c -o cluster_size=65536,compat=0.10,compression_type=zlib --standalone ",
        options = {"compat": "0.10", "compression_type": "zlib"},
        reads = ["generated.img"],
        virtual_size = "None",
    )

    # The tool reads the files of the chain in place, without links.
    tested(
        qcow2_image,
        "of_chain",
        {"src": _CHAINED},
        arguments = "convert -q -f qcow2 -o cluster_size=65536,compat=1.1,size=2097152 bazel-out/",
        reads = ["all_known.qcow2", "chained.qcow2", "generated.img"],
        virtual_size = "2097152",
    )
    tested(
        qcow2_image,
        "of_foreign",
        {"src": "//tests/rules/analysis:foreign", "tags": ["manual"]},
        arguments = "/tests/rules/analysis/derived/of_foreign.base/analysis/generated.img ",
        reads = ["generated.img", "source.img"],
        virtual_size = "1048576",
    )

def _provisioned(name, declared, tool, outs = [], tool_args = [], env = {}, **expected):
    tested(qcow2_provision, name, declared | {"tags": ["manual"]}, **expected)
    provision_test(
        name = name + "_tool_test",
        env = env,
        outs = outs + [name + ".qcow2"],
        target_under_test = name,
        tool = tool,
        tool_args = tool_args,
    )

# Images that a tool writes.
def _provisioned_images():
    # The base gives size and format before the tool runs.
    _provisioned(
        "provisioned",
        {
            "args": ["$(execpath provisioned.log)", "--disk=$(location {})".format(_CHAINED)],
            "backing": _KNOWN,
            "env": {"LOG": "$(execpath :provisioned.log)"},
            "outs": ["provisioned.log"],
            "srcs": [_CHAINED],
            "tool": "//tests/rules/analysis:script",
        },
        arguments = "provision -q -b ../all_known.qcow2 -F qcow2 --probe ",
        base = "all_known.qcow2",
        chain = ["generated.img"],
        env = {"LOG": "tests/rules/analysis/derived/provisioned.log"},
        outs = ["provisioned.log"],
        reads = ["all_known.qcow2", "bazelw", "chained.qcow2", "generated.img", "script"],
        tool = "tests/rules/analysis/script",
        tool_args = ["tests/rules/analysis/derived/provisioned.log", "--disk=tests/rules/analysis/chained.qcow2"],
        virtual_size = "2097152",
    )

    # The tool is a source file of the root package. Size and format of the base are not known. An
    # image in `srcs` comes with its chain.
    _provisioned(
        "provisioned_by_root",
        {"backing": _RAW, "srcs": [_CHAINED], "tool": "//:bazelw"},
        arguments = "/generated.img --standalone -o cluster_size=65536,compat=1.1 ",
        base = "generated.img",
        reads = ["all_known.qcow2", "bazelw", "chained.qcow2", "generated.img"],
        tool = "./bazelw",
        virtual_size = "None",
    )

    # What is declared is passed on.
    _provisioned(
        "provisioned_as_declared",
        {
            "args": ["$(rootpath {})".format(_RAW)],
            "backing": _RAW,
            "backing_format": "raw",
            "compression": "zstd",
            "extended_l2": True,
            "lazy_refcounts": True,
            "size": "4M",
            "srcs": [_RAW],
            "tool": "//tests/rules/analysis:script",
        },
        arguments = "provision -q -b ../generated.img -F raw --probe ",
        base = "generated.img",
        options = {"compression_type": "zstd", "extended_l2": "on", "lazy_refcounts": "on"},
        reads = ["bazelw", "generated.img", "script"],
        tool = "tests/rules/analysis/script",
        tool_args = ["tests/rules/analysis/generated.img"],
        virtual_size = "4194304",
    )

# A machine: disks and copies besides the main disk. A disk of another ruleset gets links.
def _provisioned_machines():
    here = "tests/rules/analysis/derived/"
    tested(
        qcow2_provision,
        "machine",
        {
            "backing": _KNOWN,
            "copies": {"STATE": "//tests/rules/analysis:state", "VARS": _RAW},
            "disks": {"DATA": _CHAINED, "MORE": select({"//conditions:default": "//tests/rules/analysis:foreign"})},
            "extended_l2": True,
            "tags": ["manual"],
            "timeout": 60,
            "tool": "//tests/rules/analysis:script",
        },
        arguments = "provision -q -b ../all_known.qcow2 -F qcow2 --probe ",
        base = "all_known.qcow2",
        chain = ["generated.img"],
        options = {"extended_l2": "on"},
        reads = ["all_known.qcow2", "bazelw", "chained.qcow2", "generated.img", "generated.img", "script", "source.img", "state"],
        virtual_size = "2097152",
    )
    provision_test(
        name = "machine_tool_test",
        options = [
            "--timeout 60",
            "--disk DATA=../chained.qcow2",
            "--disk-output DATA=" + here + "machine.DATA.qcow2",
            "--disk MORE=machine.MORE.base/analysis/generated.img",
            "--disk-output MORE=" + here + "machine.MORE.qcow2",
            "--copy STATE=tests/rules/analysis/state",
            "--copy-output STATE=" + here + "machine.STATE",
            "--copy VARS=tests/rules/analysis/generated.img",
            "--copy-output VARS=" + here + "machine.VARS",
        ],
        outs = ["machine.DATA.qcow2", "machine.MORE.qcow2", "machine.STATE", "machine.VARS", "machine.qcow2"],
        target_under_test = "machine",
        tool = "tests/rules/analysis/script",
    )
    for disk, size, base, chain in [
        ("DATA", "2097152", "chained.qcow2", ["all_known.qcow2", "generated.img"]),
        ("MORE", "1048576", "generated.img", ["source.img"]),
    ]:
        provisioned_disk_test(
            name = "machine_" + disk + "_test",
            base = base,
            chain = sorted(chain + [base, "machine." + disk + ".qcow2"]),
            target_under_test = "machine." + disk,
            virtual_size = size,
        )

# buildifier: disable=unnamed-macro
def derived_images():
    """Declares images that hold data."""
    _images_of_images()
    _provisioned_images()
    _provisioned_machines()
