"""Messages about mistakes in BUILD files."""

visibility("//rules/private")

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
