"""What the matrix is made of: a base that is opened in each place, an image that becomes one file."""

load("@rules_qcow2//rules:defs.bzl", "Qcow2Info", "qcow2_image", "qcow2_overlay")
load("@rules_shell//shell:sh_binary.bzl", "sh_binary")
load("@rules_shell//shell:sh_test.bzl", "sh_test")

def _opened_impl(ctx):
    said = ctx.actions.declare_file(ctx.label.name + ".txt")
    info = ctx.attr.image[Qcow2Info]
    ctx.actions.run_shell(
        # Another action opens the image: the chain is all it needs.
        inputs = depset([ctx.file.content], transitive = [info.chain]),
        outputs = [said],
        arguments = [ctx.actions.args().add(info.image).add(ctx.file.content).add(said)],
        command = 'qemu-img compare -f qcow2 -F raw "$1" "$2" > "$3"',
    )
    return [DefaultInfo(files = depset([said]))]

_opened = rule(
    implementation = _opened_impl,
    doc = "What QEMU says of an image in a build action.",
    attrs = {
        "content": attr.label(allow_single_file = True),
        "image": attr.label(providers = [Qcow2Info]),
    },
)

def row(name, base, content = None, **kwargs):
    """An overlay of a base and what opens it.

    `<name>_test` opens it from a test's runfiles, `<name>_action_test` has build actions
    that did, `<name>_open` opens the disk at a path.

    Args:
      name: names the overlay.
      base: the target that backs it.
      content: the raw image that must be read through it; default: `base`.
      **kwargs: attributes of the overlay.
    """
    content = content or base
    qcow2_overlay(
        name = name,
        backing = base,
        **kwargs
    )
    expected = ["$(rlocationpath {})".format(name), "$(rlocationpath {})".format(content)]
    data = [name, content]
    deps = ["@bazel_tools//tools/bash/runfiles"]
    sh_test(
        name = name + "_test",
        size = "small",
        srcs = ["//:open.sh"],
        args = expected,
        data = data,
        tags = ["place"],
        deps = deps,
    )
    sh_binary(
        name = name + "_open",
        srcs = ["//:open.sh"],
        args = expected,
        data = data,
        deps = deps,
    )

    # A rule that knows the provider, and one that does not.
    _opened(
        name = name + "_opened",
        content = content,
        image = name,
    )
    native.filegroup(
        name = name + "_files",
        srcs = [name],
        output_group = "chain",
    )
    native.genrule(
        name = name + "_genrule",
        srcs = [name, name + "_files", content],
        outs = [name + "_genrule.txt"],
        cmd = "qemu-img compare -f qcow2 -F raw $(location {}) $(location {}) > $@".format(name, content),
    )
    sh_test(
        name = name + "_action_test",
        size = "small",
        srcs = ["//:said.sh"],
        args = ["$(location {}_{})".format(name, action) for action in ["opened", "genrule"]],
        data = [name + "_opened", name + "_genrule"],
        tags = ["action"],
    )

def converted(name, src, content):
    """An image of the content of another, and `<name>_opened`, which compares them.

    Args:
      name: names the image.
      src: the other.
      content: the raw image that must be read through both.
    """
    qcow2_image(
        name = name,
        src = src,
    )
    _opened(
        name = name + "_opened",
        content = content,
        image = name,
    )

def _foreign_overlay_impl(ctx):
    image = ctx.actions.declare_file(ctx.label.name + ".qcow2")
    backing = ctx.file.backing
    ctx.actions.run_shell(
        outputs = [image],
        arguments = [ctx.actions.args().add("../" + backing.short_path).add(image)],
        command = 'qemu-img create -q -f qcow2 -u -b "$1" -F raw "$2" 1M',
    )
    return [
        DefaultInfo(files = depset([image])),
        Qcow2Info(image = image, format = "qcow2", backing = backing, chain = depset([image, backing])),
    ]

foreign_overlay = rule(
    implementation = _foreign_overlay_impl,
    doc = "An overlay by a rule that makes no links, on a file of the root package.",
    attrs = {"backing": attr.label(allow_single_file = True, mandatory = True)},
)
