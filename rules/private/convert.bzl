"""The action that writes an image with the content of another."""

load(":backing_chain.bzl", "place_beside")
load(":image_providers.bzl", "image_providers")
load(":name_conflicts.bzl", "keep_apart")
load(":options.bzl", "image_options", "option_list")
load(":toolchain.bzl", "TOOLCHAIN_TYPE")

visibility("//rules/private")

def convert_image(ctx, source):
    """Declares the image of a rule and the action that writes it.

    Args:
      ctx: the context of the rule; the image is named after it.
      source: what `image_of` returns for the attribute `src`.

    Returns:
      The providers of the rule.
    """
    image = ctx.actions.declare_file(ctx.label.name + ".qcow2")
    keep_apart(ctx, [image], "src", source.chain.to_list())
    options = image_options(ctx, source.size)

    args = ctx.actions.args()
    args.add("convert")
    args.add("-q")
    if source.format:
        args.add("-f", source.format)
    if ctx.attr.compression:
        args.add("-c")
    size = {} if source.size == None else {"size": str(source.size)}
    args.add("-o", option_list(options | size))
    file, chain = source.file, source.chain
    if source.is_last:
        # No backing file is declared. If the source has one, it is not an input.
        args.add("--standalone")
    else:
        # The tool follows the relative names of the backing files.
        file, chain = place_beside(ctx, "src", file, chain)
    args.add(file)
    args.add(image)

    ctx.actions.run(
        executable = ctx.toolchains[TOOLCHAIN_TYPE].exec_tool,
        arguments = [args],
        inputs = chain,
        outputs = [image],
        mnemonic = "Qcow2Convert",
        progress_message = "Converting to qcow2 image %{output}",
        # All files of a chain have the same root, so path mapping keeps their relative paths.
        execution_requirements = {"supports-path-mapping": ""},
        toolchain = TOOLCHAIN_TYPE,
    )
    return image_providers(ctx, image = image, options = options, size = source.size)
