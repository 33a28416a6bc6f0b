"""Where a file is in the runfiles."""

visibility("//rules/private")

def runfiles_path(ctx, file):
    """Returns the path by which the tool finds a file in its runfiles.

    Args:
      ctx: the context of the rule.
      file: the File.

    Returns:
      The path, which begins with the name of a repository.
    """
    if file.short_path.startswith("../"):
        return file.short_path[len("../"):]
    return ctx.workspace_name + "/" + file.short_path
