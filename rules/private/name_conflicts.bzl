"""Files that a rule makes, apart from those that it is given.

Bazel reports a file that two actions make in dozens of lines about these actions.
"""

load(":errors.bzl", "attribute_error", "shown")

visibility("//rules/private")

def keep_apart(ctx, made, attribute, given):
    """Fails if a rule makes a file that an attribute names.

    Args:
      ctx: the context of the rule.
      made: list of File: files that the rule makes.
      attribute: the name of the attribute.
      given: list of File: the files that it names.
    """
    made = {file.path: None for file in made}
    for file in given:
        if file.path not in made:
            continue
        if file.owner == ctx.label:
            attribute_error(attribute, "this target makes {} anyway: leave it out, or give it another name".format(
                repr(file.short_path),
            ))
        attribute_error(attribute, "{} makes {}, and so would this target: give one of the two another name".format(
            shown(file.owner),
            repr(file.short_path),
        ))
