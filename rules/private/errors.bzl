"""Messages about mistakes in BUILD files."""

visibility("//rules/private")

def shown(label):
    """Formats a label as a BUILD file of the main repository would have it.

    Args:
      label: a Label.

    Returns:
      Its text, without `@@` if it is in the main repository.
    """
    return str(label).removeprefix("@@") if not label.repo_name else str(label)

def rule_error(ctx, attribute, problem):
    """Fails with one line that names the rule, the target and the attribute.

    Args:
      ctx: the context of the rule.
      attribute: the name of the attribute at fault.
      problem: what its value was and what would be right.
    """
    _error(ctx.attr._rule, ctx.label, attribute, problem)

def macro_error(rule, name, attribute, problem):
    """Fails as `rule_error` does, while a BUILD file is loaded.

    Args:
      rule: the name of the macro.
      name: the name of the target.
      attribute: the name of the attribute at fault.
      problem: what its value was and what would be right.
    """
    _error(rule, native.package_relative_label(name), attribute, problem)

def _error(rule, label, attribute, problem):
    fail("{} {}: attribute {}: {}".format(rule, shown(label), attribute, problem))
