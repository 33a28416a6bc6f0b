"""Messages about mistakes in BUILD files.

Bazel prints above them which target of which rule they are about, or the line of the BUILD file.
"""

visibility("//rules/private")

def shown(label):
    """Formats a label as a BUILD file of the main repository would have it.

    Args:
      label: a Label.

    Returns:
      Its text, without `@@` if it is in the main repository.
    """
    return str(label).removeprefix("@@") if not label.repo_name else str(label)

def attribute_error(attribute, problem):
    """Fails with one line that names the attribute.

    Args:
      attribute: the name of the attribute at fault.
      problem: what its value was and what would be right.
    """
    fail("attribute {}: {}".format(attribute, problem))
