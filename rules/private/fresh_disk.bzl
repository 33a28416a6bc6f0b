"""An empty disk like the one that the tool of a derived image gets."""

load(":create.bzl", "create_action")

visibility("//rules/private")

def fresh_disk(ctx, options, base, backing, backing_chain):
    """Declares an overlay without data, which only `<name>.provision` needs.

    Args:
      ctx: the context of the rule; the disk is named after it.
      options: dict of string to string: its options.
      base: what `image_of` returns for the attribute `backing`.
      backing: File: the backing file in its place.
      backing_chain: depset of File: all files that `backing` needs, including itself.

    Returns:
      A struct of `image`, the File, and `chain`, a depset of all files that it needs.
    """
    image = ctx.actions.declare_file(ctx.label.name + ".provision.qcow2")
    create_action(ctx, image, options, size = base.size, base = base, backing = backing, is_read = True)
    return struct(chain = depset([image], transitive = [backing_chain]), image = image)
