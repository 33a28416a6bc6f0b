"""Messages about a target that is declared wrongly."""

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
    fail("{} {}: attribute {}: {}".format(ctx.attr._rule, shown(ctx.label), attribute, problem))
