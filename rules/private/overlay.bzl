"""The rule `qcow2_overlay`."""

load(":create.bzl", "create_image")
load(":errors.bzl", "rule_error", "shown")
load(":options.bzl", "OPTION_ATTRS", "declared_size")
load(":place.bzl", "place_beside")
load(":providers.bzl", "Qcow2Info")
load(":toolchain.bzl", "TOOLCHAIN_TYPE")

visibility("//rules/private")

def _base_info(ctx):
    """Qcow2Info of the target `backing`, made up where it has none."""
    target = ctx.attr.backing
    if Qcow2Info in target:
        info = target[Qcow2Info]
        files = info.chain.to_list()
        for file in [info.image, info.backing]:
            if file and file not in files:
                rule_error(ctx, "backing", "the chain of {} lacks {}: its rule must put all that the image is backed by into Qcow2Info.chain".format(
                    shown(target.label),
                    repr(file.basename),
                ))
        return info
    files = target[DefaultInfo].files.to_list()
    if len(files) != 1:
        rule_error(ctx, "backing", "{} has {} files, and a disk is backed by one: name a target with just the image".format(
            shown(target.label),
            len(files),
        ))
    if files[0].is_directory:
        rule_error(ctx, "backing", "{} is a directory: name a target with just the image file".format(shown(target.label)))
    return Qcow2Info(image = files[0], format = None)

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
    file, chain = place_beside(ctx, base.image, base.chain)
    return create_image(ctx, size = size, backing = struct(
        chain = chain,
        file = file,
        format = format,
        is_last = base.backing == None,
    ))

qcow2_overlay = rule(
    implementation = _qcow2_overlay_impl,
    doc = "A writable disk on top of an image: see the macro of this name.",
    attrs = OPTION_ATTRS | {
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
    provides = [Qcow2Info],
    toolchains = [TOOLCHAIN_TYPE],
)
