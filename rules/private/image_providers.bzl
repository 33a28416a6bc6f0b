"""The providers of all image rules."""

load(":providers.bzl", "Qcow2Info")

visibility("//rules/private")

def image_providers(ctx, *, image, size, options, backing = None, backing_chain = depset()):
    """Returns the providers of a rule that makes an image.

    Args:
      ctx: the context of the rule.
      image: File: the image.
      size: its virtual size in bytes, or None.
      options: its options, as in `Qcow2Info.options`.
      backing: File: its backing file, or None.
      backing_chain: depset of File: all files that `backing` needs, including itself.

    Returns:
      The providers of the rule.
    """
    chain = depset([image], transitive = [backing_chain])
    return [
        DefaultInfo(
            files = depset([image]),
            runfiles = ctx.runfiles(transitive_files = chain),
        ),
        OutputGroupInfo(chain = chain),
        Qcow2Info(
            backing = backing,
            chain = chain,
            format = "qcow2",
            image = image,
            options = options,
            size = size,
        ),
    ]
