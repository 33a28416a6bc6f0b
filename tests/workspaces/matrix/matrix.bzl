"""Macros and rules of the matrix: overlays, images of one file, and targets that open them."""

load("@rules_qcow2//rules:defs.bzl", "Qcow2Info", "qcow2_image", "qcow2_overlay", "qcow2_test")
load("@rules_shell//shell:sh_binary.bzl", "sh_binary")
load("@rules_shell//shell:sh_test.bzl", "sh_test")

def _opened_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".txt")
    info = ctx.attr.image[Qcow2Info]
    ctx.actions.run_shell(
        # The action opens the image with only its chain as inputs.
        inputs = depset([ctx.file.content], transitive = [info.chain]),
        outputs = [output],
        arguments = [ctx.actions.args().add(info.image).add(ctx.file.content).add(output)],
        command = 'qemu-img compare -f qcow2 -F raw "$1" "$2" > "$3"',
    )
    return [DefaultInfo(files = depset([output]))]

_opened = rule(
    implementation = _opened_impl,
    doc = "The output of `qemu-img compare` for an image, in a build action.",
    attrs = {
        "content": attr.label(allow_single_file = True),
        "image": attr.label(providers = [Qcow2Info]),
    },
)

def row(name, base, content = None, **kwargs):
    """Declares an overlay and the targets that open it.

    `<name>_test` opens it in the runfiles of a test, `<name>_disk_test` opens a disk of a
    `qcow2_test`, `<name>_action_test` checks the output of build actions that open it, and
    `<name>_open` opens the disk at a path.

    Args:
      name: the name of the overlay.
      base: the target that backs it.
      content: the raw image that it must read as; default: `base`.
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
    qcow2_test(
        name = name + "_disk_test",
        size = "small",
        args = expected,
        data = data,
        disks = {"DISK": name},
        tags = ["disk"],
        test = name + "_open",
    )

    # A rule that uses the provider, and one that does not.
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
        srcs = ["//:compared.sh"],
        args = ["$(location {}_{})".format(name, action) for action in ["opened", "genrule"]],
        data = [name + "_opened", name + "_genrule"],
        tags = ["action"],
    )

def converted(name, src, content):
    """Declares an image with the content of another, and `<name>_opened`, which compares them.

    Args:
      name: the name of the image.
      src: the other image.
      content: the raw image that both must read as.
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
    doc = "An overlay of a file in the root package, by a rule of another ruleset, which makes no links.",
    attrs = {"backing": attr.label(allow_single_file = True, mandatory = True)},
)
