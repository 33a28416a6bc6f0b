"""The image that an attribute of a rule names."""

load(":errors.bzl", "attribute_error", "shown")
load(":options.bzl", "declared_size")
load(":providers.bzl", "Qcow2Info")

visibility("//rules/private")

# For the attribute `x_format` beside the attribute `x`.
FORMAT_ATTR = attr.string(
    doc = "`raw` or `qcow2`. Default: from `Qcow2Info`, else detected from the content.",
    values = ["", "raw", "qcow2"],
)

def image_of(ctx, attribute):
    """Checks an attribute that names an image, and returns what is known of the image.

    Args:
      ctx: the context of a rule with `attribute`, a FORMAT_ATTR beside it, and
        `virtual_size`.
      attribute: the name of the attribute.

    Returns:
      A struct of
      `file`, the File;
      `chain`, a depset of all Files it needs, including itself;
      `format`, its format, or None to detect it from the content;
      `is_last`, whether no backing file is declared for it;
      `size`, the virtual size in bytes of a disk with its content: the one that the rule
      declares, else the one of the image, else None.
    """
    info = _info(ctx, attribute)
    label = shown(getattr(ctx.attr, attribute).label)
    format = getattr(ctx.attr, attribute + "_format") or info.format
    if info.format and format != info.format:
        attribute_error(attribute + "_format", "it is {}, but {} is {}".format(repr(format), label, repr(info.format)))
    size = declared_size(ctx)
    if size == None:
        size = info.size
    elif info.size != None and size < info.size:
        attribute_error("size", "{} is {} bytes, less than {} of {} bytes: its end would be cut off".format(
            repr(ctx.attr.virtual_size),
            size,
            label,
            info.size,
        ))
    return struct(
        chain = info.chain,
        file = info.image,
        format = format,
        is_last = info.backing == None,
        size = size,
    )

def check_chain(attribute, target):
    """Checks the provider of a target.

    Args:
      attribute: the name of the attribute that names the target.
      target: Target: a target with Qcow2Info.
    """
    info = target[Qcow2Info]
    files = info.chain.to_list()
    for file in [info.image, info.backing]:
        if file and file not in files:
            attribute_error(attribute, "the chain of {} lacks {}: its rule must put all files that back the image into Qcow2Info.chain".format(
                shown(target.label),
                repr(file.basename),
            ))

def _info(ctx, attribute):
    """Returns the Qcow2Info of the target, or a new one for its only file."""
    target = getattr(ctx.attr, attribute)
    if Qcow2Info in target:
        check_chain(attribute, target)
        return target[Qcow2Info]
    files = target[DefaultInfo].files.to_list()
    if len(files) != 1:
        attribute_error(attribute, "{} has {} files, and an image is one: name a target with just the image".format(
            shown(target.label),
            len(files),
        ))
    if files[0].is_directory:
        attribute_error(attribute, "{} is a directory: name a target with just the image file".format(shown(target.label)))
    return Qcow2Info(image = files[0], format = None)
