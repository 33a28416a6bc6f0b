"""Mistakes with the names of files."""

load("//rules:defs.bzl", "qcow2_image", "qcow2_overlay", "qcow2_provision", "qcow2_test")
load("//tests/rules/analysis/mistakes:refused.bzl", "refused")

# Files that an image, or its rule, would make a second time.
def _names_of_images():
    twice = " makes \"HERE/{}.qcow2\", and so would this target: give one of the two another name"
    refused(qcow2_overlay, "disk", "backing: //HERE:disk.qcow2_gen" + twice.format("disk"), backing = ":disk.qcow2_gen")
    refused(qcow2_image, "image", "src: //HERE:image.qcow2_gen" + twice.format("image"), src = ":image.qcow2")

    anyway = "outs: this target makes \"HERE/{}\" anyway: leave it out, or give it another name"
    for name, message, attributes in [
        ("installed", "backing: //HERE:installed.qcow2_gen" + twice.format("installed"), {"backing": ":installed.qcow2"}),
        ("over_base", "backing: //HERE:base" + twice.format("base"), {"outs": ["base.qcow2"]}),
        ("from_input", "srcs: //HERE:input" + twice.format("input"), {"outs": ["input.qcow2"], "srcs": [":input"]}),
        ("itself", anyway.format("itself.qcow2"), {"outs": ["itself.qcow2"]}),
        ("copied", "copies: //HERE:copy makes \"HERE/copy.qcow2\"", {"copies": {"VARS": ":copy"}, "outs": ["copy.qcow2"]}),
        # What becomes of a disk.
        ("data", anyway.format("data.DATA.qcow2"), {"disks": {"DATA": ":node"}, "outs": ["data.DATA.qcow2"]}),
        # A base that is a source file gets a link.
        ("link", anyway.format("link.base/data.img"), {"backing": "data.img", "outs": ["link.base/data.img"]}),
    ]:
        tool = "//tests/rules/analysis:script"
        refused(qcow2_provision, name, message, **({"backing": ":base", "tool": tool} | attributes))

# Files that would have one place in the runfiles of a test.
def _names_of_tests():
    for name, message, disks, data in [
        ("node.qcow2", "disks: //HERE:node makes \"HERE/node.qcow2\", and so would this target", {"NODE": ":node"}, []),
        ("two_configurations", "disks: \"bazel-out/", {"DEBUG": ":debug_node", "NODE": ":node"}, []),
        ("data_of_another_configuration", "data: \"bazel-out/", {"NODE": ":node"}, [":debug_node"]),
    ]:
        refused(qcow2_test, name, message, data = data, disks = disks, test = "//tests/rules/analysis:script")

    for name, message, copies in [
        ("vars.qcow2", "//HERE:vars makes \"HERE/vars.qcow2\", and so would this target", {"VARS": ":vars"}),
        ("copies_of_two_configurations", "\"bazel-out/", {"DEBUG": ":debug_node", "NODE": ":node"}),
    ]:
        refused(qcow2_test, name, "copies: " + message, copies = copies, test = "//tests/rules/analysis:script")

# buildifier: disable=unnamed-macro
def names():
    """Declares the tests."""
    _names_of_images()
    _names_of_tests()
