"""The action that writes an image without data: a blank disk, or an overlay."""

load(":backing_chain.bzl", "add_backing")
load(":image_providers.bzl", "image_providers")
load(":name_conflicts.bzl", "keep_apart")
load(":options.bzl", "image_options", "option_list")
load(":toolchain.bzl", "TOOLCHAIN_TYPE")

visibility("//rules/private")

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

    args = ctx.actions.args()
    args.add("create")
    args.add("-q")
    args.add("-o", option_list(options))
    inputs = []
    backing, backing_chain = None, depset()
    if base:
        keep_apart(ctx, [image], "backing", base.chain.to_list())
        is_read = size == None or not base.format
        backing, backing_chain = add_backing(ctx, args, image, base, is_read = is_read)
        if is_read:
            inputs.append(backing)
    args.add(image)
    if size != None:
        args.add(str(size))

    ctx.actions.run(
        executable = ctx.toolchains[TOOLCHAIN_TYPE].exec_tool,
        arguments = [args],
        inputs = inputs,
        outputs = [image],
        mnemonic = "Qcow2Create",
        progress_message = "Creating qcow2 image %{output}",
        execution_requirements = {"supports-path-mapping": ""},
        toolchain = TOOLCHAIN_TYPE,
    )
    return image_providers(
        ctx,
        backing = backing,
        backing_chain = backing_chain,
        image = image,
        options = options,
        size = size,
    )
