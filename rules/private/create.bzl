"""The action that writes an image, and what all image rules have in common."""

load(":providers.bzl", "Qcow2Info")
load(":size.bzl", "parse_size")
load(":toolchain.bzl", "TOOLCHAIN_TYPE")

visibility("//rules/private")

# Each power of two from 512 bytes to 2 MiB.
_CLUSTER_SIZES = ["512", "1K", "2K", "4K", "8K", "16K", "32K", "64K", "128K", "256K", "512K", "1M", "2M"]

IMAGE_ATTRS = {
    "cluster_size": attr.string(
        doc = "Bytes in a cluster, the unit of allocation, from `512` to `2M`.",
        default = "64K",
        values = _CLUSTER_SIZES,
    ),
    "compat": attr.string(
        doc = "Version of the format: `1.1` is version 3; `0.10` is version 2, in which a guest's discard leaves stale data.",
        default = "1.1",
        values = ["0.10", "1.1"],
    ),
    "extended_l2": attr.bool(
        doc = "Splits clusters into 32 subclusters; needs compat `1.1` and a cluster_size of at least `16K`.",
    ),
    "lazy_refcounts": attr.bool(
        doc = "Lets QEMU postpone refcount updates; needs compat `1.1`.",
    ),
}

def shown(label):
    """A label as a user of the main repository writes it.

    Args:
      label: a Label.

    Returns:
      Its text, without `@@` where it is of the main repository.
    """
    return str(label).removeprefix("@@") if not label.repo_name else str(label)

def rule_error(ctx, attribute, problem):
    """Fails with one line that names rule, target and attribute.

    Args:
      ctx: the context of the rule.
      attribute: the name of the attribute at fault.
      problem: what its value was and what would be right.
    """
    fail("{} {}: attribute {}: {}".format(ctx.attr._rule, shown(ctx.label), attribute, problem))

def declared_size(ctx):
    """The attribute `virtual_size` in bytes, `size` to the user; None if it is not set.

    Args:
      ctx: the context of the rule.

    Returns:
      The size rounded up to 512, or None.
    """
    if not ctx.attr.virtual_size:
        return None
    size = parse_size(ctx.attr.virtual_size)
    if size == None:
        rule_error(ctx, "size", "{} is not a size: give bytes, or a number with one of the suffixes K, M, G, T, P, E".format(
            repr(ctx.attr.virtual_size),
        ))
    return size

def _relative(path, start):
    """The relative path of the file `path` from the directory of the file `start`."""
    parts = path.split("/")
    directories = start.split("/")[:-1]
    shared = 0
    for part, directory in zip(parts[:-1], directories):
        if part != directory:
            break
        shared += 1
    return "/".join([".."] * (len(directories) - shared) + parts[shared:])

def create_image(ctx, *, size, backing = None):
    """Declares the image of a rule, the action that writes it, and the providers.

    Args:
      ctx: the context of the rule; the image is named after it.
      size: virtual size in bytes, or None to take that of the backing file.
      backing: None, or a struct of
        `file`, the backing File, with the same relative place in the runfiles and
        in the output tree;
        `format`, its format, or None to take what its content says;
        `chain`, a depset of all Files it needs, itself included.

    Returns:
      The providers of the rule.
    """
    image = ctx.actions.declare_file(ctx.label.name + ".qcow2")
    options = ["cluster_size=" + ctx.attr.cluster_size, "compat=" + ctx.attr.compat]
    if ctx.attr.extended_l2:
        options.append("extended_l2=on")
    if ctx.attr.lazy_refcounts:
        options.append("lazy_refcounts=on")

    args = ctx.actions.args()
    args.add("create")
    args.add("-q")
    args.add_joined("-o", options, join_with = ",")
    inputs = []
    if backing:
        args.add("-b", _relative(backing.file.short_path, image.short_path))
        if backing.format:
            args.add("-F", backing.format)
        if size == None or not backing.format:
            args.add("--probe", backing.file)
            inputs.append(backing.file)
    args.add(image)
    if size != None:
        args.add(str(size))

    tool = ctx.toolchains[TOOLCHAIN_TYPE].tool
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

    # `bazel run` starts the tool, which finds the image beside this link.
    executable = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(output = executable, target_file = tool.executable, is_executable = True)
    chain = depset([image], transitive = [backing.chain] if backing else [])
    return [
        DefaultInfo(
            executable = executable,
            files = depset([image]),
            runfiles = ctx.runfiles(transitive_files = chain),
        ),
        RunEnvironmentInfo(environment = {"QCOW2_OVERLAY_IMAGE": image.basename}),
        Qcow2Info(
            backing = backing.file if backing else None,
            chain = chain,
            format = "qcow2",
            image = image,
            size = size,
        ),
    ]
