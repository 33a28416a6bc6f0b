"""The options of an image, as attributes of every rule that makes one."""

load(":errors.bzl", "attribute_error")
load(":size.bzl", "human_size", "parse_size", "whole_sectors")

visibility("//rules/private")

OPTION_ATTRS = {
    "cluster_size": attr.string(
        doc = "Size of a cluster, the unit of allocation, in bytes: a power of two from `512` to `2M`.",
        default = "64K",
    ),
    "compat": attr.string(
        doc = "Version of the format: `1.1` is version 3, `0.10` is version 2. With `0.10`, discarded blocks of an overlay do not read as zeros.",
        default = "1.1",
        values = ["0.10", "1.1"],
    ),
    "extended_l2": attr.bool(
        doc = "Splits each cluster into 32 subclusters, so that small writes copy less. Needs `compat` 1.1 and a `cluster_size` of at least `16K`.",
    ),
    "lazy_refcounts": attr.bool(
        doc = "Lets QEMU postpone refcount updates. Needs `compat` 1.1.",
    ),
}

# For the rules that write data.
COMPRESSION_ATTR = attr.string(
    doc = "How to compress the clusters that get smaller by it: `zstd`, which needs `compat` 1.1, or `zlib`, which any reader of qcow2 knows. Reading takes longer then. Default: not at all.",
    values = ["", "zlib", "zstd"],
)

# QEMU's block/qcow2.h: MIN_CLUSTER_BITS and MAX_CLUSTER_BITS.
_CLUSTER_SIZES = [1 << bits for bits in range(9, 22)]

# An L1 table has at most 32 MiB (QEMU's block/qcow2.h, QCOW_MAX_L1_SIZE).
_L1_ENTRIES = (32 << 20) // 8

def _attribute_size(attribute, text):
    """Parses a size in an attribute."""
    size = parse_size(text)
    if size == None:
        attribute_error(attribute, "{} is not a size: give bytes, or a number with one of the suffixes K, M, G, T, P, E".format(
            repr(text),
        ))
    return size

def declared_size(ctx):
    """Parses the attribute `virtual_size`, which messages call `size`.

    Args:
      ctx: the context of the rule.

    Returns:
      The size in bytes, rounded up to a multiple of 512; None if it is not set.
    """
    if not ctx.attr.virtual_size:
        return None
    size = _attribute_size("size", ctx.attr.virtual_size)
    if size == 0:
        attribute_error("size", "{} is an empty disk: give at least \"512\"".format(repr(ctx.attr.virtual_size)))
    return whole_sectors(size)

def image_options(ctx, size):
    """Checks the attributes in OPTION_ATTRS, and COMPRESSION_ATTR, and returns the options.

    Args:
      ctx: the context of the rule.
      size: virtual size in bytes, or None.

    Returns:
      A dict as in `Qcow2Info.options`.
    """
    compression = getattr(ctx.attr, "compression", "")
    if ctx.attr.compat == "0.10":
        for option in ["extended_l2", "lazy_refcounts"]:
            if getattr(ctx.attr, option):
                attribute_error(option, "it needs compat = \"1.1\", not \"0.10\"")
        if compression == "zstd":
            attribute_error("compression", "\"zstd\" needs compat = \"1.1\", not \"0.10\": give that, or \"zlib\"")
    cluster = _attribute_size("cluster_size", ctx.attr.cluster_size)
    if cluster not in _CLUSTER_SIZES:
        attribute_error("cluster_size", "{} is not a power of two from \"512\" to \"2M\"".format(repr(ctx.attr.cluster_size)))
    if ctx.attr.extended_l2 and cluster < 16 << 10:
        attribute_error("extended_l2", "it needs a cluster_size of at least \"16K\", not {}".format(repr(ctx.attr.cluster_size)))
    entry = 16 if ctx.attr.extended_l2 else 8
    most = _L1_ENTRIES * (cluster // entry) * cluster
    if size != None and size > most:
        attribute_error("size", "{} is more than the {} that a cluster_size of {} allows{}".format(
            repr(ctx.attr.virtual_size or human_size(size)),
            repr(human_size(most)),
            repr(human_size(cluster)),
            ": give a larger cluster_size" if cluster < _CLUSTER_SIZES[-1] else ", the largest there is",
        ))
    options = {"cluster_size": str(cluster), "compat": ctx.attr.compat}
    if ctx.attr.extended_l2:
        options["extended_l2"] = "on"
    if ctx.attr.lazy_refcounts:
        options["lazy_refcounts"] = "on"
    if compression:
        options["compression_type"] = compression
    return options

def option_list(options):
    """Formats options for the command line of the tool.

    Args:
      options: a dict of strings.

    Returns:
      The value of `-o`.
    """
    return ",".join(["=".join(option) for option in options.items()])
