"""Places a chain of images where an image that is backed by it finds it.

An overlay stores a relative path, and Bazel shows the same files in several trees: the
output tree, runfiles trees, the inputs of actions. The path is valid in all of them only
for files that have the same relative place in each. These are the files generated in the
repository and the configuration of the overlay. A source file, or a file of another
repository or configuration, has a different place in each tree. For such a file the rule
generates a link beside the overlay.
"""

load(":errors.bzl", "rule_error", "shown")

visibility("//rules/private")

def relative_path(path, start):
    """The relative path of the file `path` from the directory of the file `start`.

    Args:
      path: a path with slashes.
      start: another, from the same directory.

    Returns:
      The path, with `..` where it goes up.
    """
    parts = path.split("/")
    directories = start.split("/")[:-1]
    shared = _shared([parts[:-1], directories])
    return "/".join([".."] * (len(directories) - shared) + parts[shared:])

def place_beside(ctx, attribute, image, chain):
    """Puts an image where one that is made in this package finds it.

    Args:
      ctx: the context of a rule.
      attribute: the name of the attribute that names the image.
      image: File: the image.
      chain: depset of File: all that `image` needs, itself included.

    Returns:
      The place of `image` and that of the chain: these files themselves, or links to
      them in the package that have the same places relative to each other.
    """
    files = chain.to_list()
    if all([_is_beside(ctx, file) for file in files]):
        return image, chain
    if len({file.owner.repo_name: None for file in files}) > 1:
        rule_error(ctx, attribute, "the chain of {} has files of several repositories, whose places differ from tree to tree: make each overlay with qcow2_overlay, which links files from elsewhere".format(
            shown(getattr(ctx.attr, attribute).label),
        ))
    places = [file.short_path.split("/") for file in files]
    shared = _shared([place[:-1] for place in places])
    links = {}
    for file, place in zip(files, places):
        name = "/".join([ctx.label.name + ".base"] + place[shared:])
        links[file] = ctx.actions.declare_file(name)

        # To Bazel such a link is the file itself: an action or a test that has it finds the
        # content under its name with every strategy, and nothing is copied here.
        ctx.actions.symlink(output = links[file], target_file = file)
    return links[image], depset(links.values())

def _is_beside(ctx, file):
    return not file.is_source and file.root.path == ctx.bin_dir.path and \
           file.owner.repo_name == ctx.label.repo_name

def _shared(paths):
    """How many of their first parts all lists of parts share."""
    for index, part in enumerate(paths[0]):
        for path in paths[1:]:
            if index >= len(path) or path[index] != part:
                return index
    return len(paths[0])
