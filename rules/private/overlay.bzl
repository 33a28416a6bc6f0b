"""The rule `qcow2_overlay`."""

load(":create.bzl", "IMAGE_ATTRS", "create_image", "declared_size", "rule_error", "shown")
load(":providers.bzl", "Qcow2Info")
load(":toolchain.bzl", "TOOLCHAIN_TYPE")

visibility("//rules/private")

def _base_info(ctx):
    """Qcow2Info of the target `backing`, made up where it has none."""
    target = ctx.attr.backing
    if Qcow2Info in target:
        return target[Qcow2Info]
    files = target[DefaultInfo].files.to_list()
    if len(files) != 1:
        rule_error(ctx, "backing", "{} has {} files, and a disk can stand on one only: name a target with just the image".format(
            shown(target.label),
            len(files),
        ))
    if files[0].is_directory:
        rule_error(ctx, "backing", "{} is a directory: name a target with just the image file".format(shown(target.label)))
    return Qcow2Info(backing = None, chain = depset(files), format = None, image = files[0], size = None)

def _place(ctx, base):
    """The base where it has the same relative place in runfiles and output tree.

    That is where it is if it is generated in the repository and the configuration
    of the overlay. A source file, or one of another repository, has another place in
    each tree: a link in the package of the overlay has not.
    """
    file = base.image
    is_beside = not file.is_source and file.root.path == ctx.bin_dir.path and \
                file.owner.repo_name == ctx.label.repo_name
    if is_beside:
        return file
    if base.backing:
        rule_error(ctx, "backing", "{} is an overlay of another repository or configuration, whose own base could not be found from here: define it beside this target".format(
            shown(ctx.attr.backing.label),
        ))
    link = ctx.actions.declare_file("{}.base/{}".format(ctx.label.name, file.basename))
    ctx.actions.symlink(output = link, target_file = file)
    return link

def _qcow2_overlay_impl(ctx):
    base = _base_info(ctx)
    format = ctx.attr.backing_format or base.format
    if base.format and format != base.format:
        rule_error(ctx, "backing_format", "it is {}, but {} is {}".format(
            repr(format),
            shown(ctx.attr.backing.label),
            repr(base.format),
        ))
    size = declared_size(ctx)
    if size == None:
        size = base.size
    elif base.size != None and size < base.size:
        rule_error(ctx, "size", "{} is {} bytes, less than {} of {} bytes: the end of that would be lost".format(
            repr(ctx.attr.virtual_size),
            size,
            shown(ctx.attr.backing.label),
            base.size,
        ))
    file = _place(ctx, base)
    return create_image(ctx, size = size, backing = struct(
        chain = depset([file], transitive = [base.chain]),
        file = file,
        format = format,
    ))

qcow2_overlay = rule(
    implementation = _qcow2_overlay_impl,
    doc = "A writable disk on top of an image: see the macro of this name.",
    attrs = IMAGE_ATTRS | {
        "backing": attr.label(
            doc = "The image beneath: one file, raw or qcow2, or a target with `Qcow2Info`, such as another overlay.",
            allow_files = True,
            mandatory = True,
        ),
        "backing_format": attr.string(
            doc = "`raw` or `qcow2`. Default: from `Qcow2Info`, else what the content says.",
            values = ["", "raw", "qcow2"],
        ),
        "virtual_size": attr.string(
            doc = "Size of the disk: bytes, or a number with a suffix; at least that of the image, which is the default.",
        ),
        "_rule": attr.string(default = "qcow2_overlay"),
    },
    executable = True,
    provides = [Qcow2Info],
    toolchains = [TOOLCHAIN_TYPE],
)
