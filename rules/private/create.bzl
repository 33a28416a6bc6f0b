"""The action that writes an image, and what all image rules provide."""

load(":options.bzl", "image_options")
load(":place.bzl", "relative_path")
load(":providers.bzl", "Qcow2Info")
load(":toolchain.bzl", "TOOLCHAIN_TYPE")

visibility("//rules/private")

def create_image(ctx, *, size, backing = None):
    """Declares the image of a rule, the action that writes it, and the providers.

    Args:
      ctx: the context of the rule; the image is named after it.
      size: virtual size in bytes, or None to take that of the backing file.
      backing: None, or a struct of
        `file`, the backing File, with the same relative place in the runfiles and
        in the output tree;
        `format`, its format, or None to take what its content says;
        `is_last`, whether nothing is declared that it stands on;
        `chain`, a depset of all Files it needs, itself included.

    Returns:
      The providers of the rule.
    """
    image = ctx.actions.declare_file(ctx.label.name + ".qcow2")
    options = image_options(ctx, size)

    args = ctx.actions.args()
    args.add("create")
    args.add("-q")
    args.add_joined("-o", ["=".join(option) for option in options.items()], join_with = ",")
    inputs = []
    if backing:
        args.add("-b", relative_path(backing.file.short_path, image.short_path))
        if backing.format:
            args.add("-F", backing.format)
        if size == None or not backing.format:
            args.add("--probe", backing.file)
            if backing.is_last:
                args.add("--standalone")
            inputs.append(backing.file)
        else:
            # It is not an input. Each test opens it, and finds what is declared wrongly.
            args.add("-u")
    args.add(image)
    if size != None:
        args.add(str(size))

    tool = ctx.toolchains[TOOLCHAIN_TYPE].exec_tool
    ctx.actions.run(
        executable = tool,
        arguments = [args],
        inputs = inputs,
        outputs = [image],
        mnemonic = "Qcow2Create",
        progress_message = "Creating qcow2 image %{output}",
        execution_requirements = {"supports-path-mapping": ""},
        toolchain = TOOLCHAIN_TYPE,
    )

    chain = depset([image], transitive = [backing.chain] if backing else [])
    return [
        DefaultInfo(
            files = depset([image]),
            runfiles = ctx.runfiles(transitive_files = chain),
        ),
        OutputGroupInfo(chain = chain),
        Qcow2Info(
            backing = backing.file if backing else None,
            chain = chain,
            format = "qcow2",
            image = image,
            options = options,
            size = size,
        ),
    ]
