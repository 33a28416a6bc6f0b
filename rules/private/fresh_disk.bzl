"""An empty disk like the one that the tool of a derived image gets."""

load(":backing_chain.bzl", "add_placed")
load(":options.bzl", "option_list")
load(":toolchain.bzl", "TOOLCHAIN_TYPE")

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
    args = ctx.actions.args()
    args.add("create")
    args.add("-q")
    args.add("-o", option_list(options))
    add_placed(args, image, base, backing, is_read = True)
    args.add(image)
    if base.size != None:
        args.add(str(base.size))
    ctx.actions.run(
        executable = ctx.toolchains[TOOLCHAIN_TYPE].exec_tool,
        arguments = [args],
        inputs = [backing],
        outputs = [image],
        mnemonic = "Qcow2Create",
        progress_message = "Creating qcow2 image %{output}",
        toolchain = TOOLCHAIN_TYPE,
    )
    return struct(chain = depset([image], transitive = [backing_chain]), image = image)
