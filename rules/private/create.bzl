"""The action that writes an image without data: a blank disk, or an overlay."""

load(":backing_chain.bzl", "add_backing", "place_beside")
load(":image_providers.bzl", "image_providers")
load(":name_conflicts.bzl", "keep_apart")
load(":options.bzl", "image_options", "option_list")
load(":toolchain.bzl", "TOOLCHAIN_TYPE")

visibility("//rules/private")

def create_action(ctx, image, options, *, size, base = None, backing = None, is_read = False):
    """Declares the action that writes an image without data.

    Args:
      ctx: the context of the rule.
      image: File: the image.
      options: dict of string to string: its options.
      size: virtual size in bytes, or None to take that of the base.
      base: what `image_of` returns for the attribute `backing`; None for a blank disk.
      backing: File: the backing file in its place.
      is_read: whether the action reads the backing file.
    """
    args = ctx.actions.args()
    args.add("create")
    args.add("-q")
    args.add("-o", option_list(options))
    if base:
        add_backing(args, image, base, backing, is_read = is_read)
    args.add(image)
    if size != None:
        args.add(str(size))
    ctx.actions.run(
        executable = ctx.toolchains[TOOLCHAIN_TYPE].exec_tool,
        arguments = [args],
        inputs = [backing] if is_read else [],
        outputs = [image],
        mnemonic = "Qcow2Create",
        progress_message = "Creating qcow2 image %{output}",
        execution_requirements = {"supports-path-mapping": ""},
        toolchain = TOOLCHAIN_TYPE,
    )

def create_image(ctx, *, size, base = None):
    """Declares the image of a rule and the action that writes it.

    Args:
      ctx: the context of the rule; the image is named after it.
      size: virtual size in bytes, or None to take that of the base.
      base: what `image_of` returns for the attribute `backing`; None for a blank disk.

    Returns:
      The providers of the rule.
    """
    image = ctx.actions.declare_file(ctx.label.name + ".qcow2")
    options = image_options(ctx, size)

    backing, backing_chain, is_read = None, depset(), False
    if base:
        keep_apart(ctx, [image], "backing", base.chain.to_list())
        backing, backing_chain = place_beside(ctx, "backing", base.file, base.chain)
        is_read = size == None or not base.format
    create_action(ctx, image, options, size = size, base = base, backing = backing, is_read = is_read)
    return image_providers(
        ctx,
        backing = backing,
        backing_chain = backing_chain,
        image = image,
        options = options,
        size = size,
    )
