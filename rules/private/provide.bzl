"""The providers of all image rules."""

load(":providers.bzl", "Qcow2Info")

visibility("//rules/private")

def image_providers(ctx, *, image, size, options, backing = None, beneath = depset()):
    """The providers of a rule that makes an image.

    Args:
      ctx: the context of the rule.
      image: File: the image.
      size: its virtual size in bytes, or None.
      options: its options, as of `Qcow2Info.options`.
      backing: File: its backing file, or None.
      beneath: depset of File: all that `backing` needs, itself included.

    Returns:
      The providers of the rule.
    """
    chain = depset([image], transitive = [beneath])
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
