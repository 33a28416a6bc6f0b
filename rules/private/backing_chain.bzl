"""Puts a backing chain where the image that it backs finds it.

An overlay stores a relative path to its backing file, and Bazel shows the same files in
several trees: the output tree, runfiles trees, the inputs of actions. The path is valid in
every tree only if the relative position of the two files is the same in each. This holds
for files that are generated in the same repository and configuration. The position of a
source file, or of a file of another repository or configuration, differs from tree to tree.
For such a file the rule generates a link beside the overlay.
"""

load(":errors.bzl", "attribute_error", "shown")

visibility("//rules/private")

def add_backing(args, image, base, backing, *, is_read):
    """Adds the backing file of a new image to the command line that creates the image.

    Args:
      args: Args: the command line, `create` or `provision`.
      image: File: the new image.
      base: what `image_of` returns for the attribute `backing`.
      backing: File: the backing file, as `place_beside` returns it.
      is_read: whether the action reads the backing file.
    """
    args.add("-b", relative_path(backing, image))
    if base.format:
        args.add("-F", base.format)
    if is_read:
        args.add("--probe", backing)
        if base.is_last:
            # The base declares no backing file. If it has one, that is not an input.
            args.add("--standalone")
    else:
        # The base is not an input. Each test opens it, and reports a wrong size or format.
        args.add("-u")

def place_beside(ctx, attribute, image, chain, *, target = None, name = None):
    """Puts an image and its chain where an image generated in this package finds them.

    Args:
      ctx: the context of a rule.
      attribute: the name of the attribute that names the image.
      image: File: the image.
      chain: depset of File: all files that `image` needs, including itself.
      target: Target: the target that provides the image. Default: the value of the attribute.
      name: the name of the image that is backed by it, without suffix. Default: that of the rule.

    Returns:
      The image and the chain: the same files, or links to them in the package that have
      the same relative positions.
    """
    files = chain.to_list()
    if all([_is_beside(ctx, file) for file in files]):
        return image, chain
    if len({file.owner.repo_name: None for file in files}) > 1:
        attribute_error(attribute, "the chain of {} has files of several repositories, whose places differ from tree to tree: make each overlay with qcow2_overlay, which links files from elsewhere".format(
            shown((target or getattr(ctx.attr, attribute)).label),
        ))
    places = [file.short_path.split("/") for file in files]
    shared = _shared([place[:-1] for place in places])
    links = {}
    for file, place in zip(files, places):
        path = "/".join([(name or ctx.label.name) + ".base"] + place[shared:])
        links[file] = ctx.actions.declare_file(path)

        # Bazel treats such a link as the file itself: actions and tests find the content
        # under the name of the link with every strategy, and nothing is copied here.
        ctx.actions.symlink(output = links[file], target_file = file)
    return links[image], depset(links.values())

def _is_beside(ctx, file):
    return not file.is_source and file.root.path == ctx.bin_dir.path and \
           file.owner.repo_name == ctx.label.repo_name

def relative_path(file, start):
    """Returns the path by which one file refers to another.

    Args:
      file: File: the other file.
      start: File: the file with the reference.

    Returns:
      The path of `file` from the directory of `start`.
    """
    parts = file.short_path.split("/")
    directories = start.short_path.split("/")[:-1]
    shared = _shared([parts[:-1], directories])
    return "/".join([".."] * (len(directories) - shared) + parts[shared:])

def _shared(paths):
    """Returns the number of leading parts that all lists of parts have in common."""
    for index, part in enumerate(paths[0]):
        for path in paths[1:]:
            if index >= len(path) or path[index] != part:
                return index
    return len(paths[0])
