"""Prints the Markdown page of a .bzl file from the text output of starlark_doc_extract.

The second file has the rules behind macros of the same names: a macro passes **kwargs to it. The
others have repository rules.

That output is a stardoc_output.ModuleInfo. Fields that only newer versions of Bazel write
are not used, so that the page is the same with all versions.
"""

import ast
import sys
from collections import defaultdict


def parse(lines):
    """A message of the protobuf text format: for each field the list of its values."""
    message = defaultdict(list)
    for line in map(str.strip, lines):
        if line == "}":
            break
        if line.endswith(" {"):
            message[line.removesuffix(" {")].append(parse(lines))
        else:
            field, value = line.split(": ", 1)
            # A string has the escapes of a bytes literal.
            message[field].append(ast.literal_eval("b" + value).decode() if value[0] == '"' else value)
    return message


def text(message, field):
    return "".join(message[field]).strip()


def signature(name, parameters):
    words = []
    for parameter in parameters:
        word, value = text(parameter, "name"), text(parameter, "default_value")
        words.append(f"{word} = {value}" if value else word)
    line = f"{name}({', '.join(words)})"
    if len(line) > 80:
        line = f"{name}(\n" + "".join(f"    {word},\n" for word in words) + ")"
    return f"```starlark\n{line}\n```"


def row(member, parameter):
    """The row of a table for an attribute, or for a field that this parameter sets."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text(member, "doc_string").split("\n\n")]
    doc = "<br><br>".join(paragraphs).replace("|", "\\|")
    value = text(parameter, "default_value")
    default = "required" if parameter["mandatory"] else value and f"`{value}`"
    return f"| `{text(member, 'name')}` | {doc} | {default} |"


def section(name, info, parameters, title, rows):
    table = "\n".join([f"| {title} | | default |", "|---|---|---|", *rows])
    return [f"## {name}", signature(name, parameters), text(info, "doc_string"), table]


def with_stars(parameter):
    """The parameter, with the stars of *args and **kwargs, which Bazel omits, in its name."""
    if not parameter["mandatory"] and not parameter["default_value"]:
        parameter["name"].insert(0, "*" if text(parameter, "name") == "args" else "**")
    return parameter


def rule(info):
    name, attributes = text(info, "rule_name"), info["attribute"]
    return section(name, info, attributes, "attribute", [row(each, each) for each in attributes])


def function(info, rules):
    name, parameters = text(info, "function_name"), [with_stars(each) for each in info["parameter"]]
    named = {text(each, "name") for each in parameters} | {"virtual_size"}
    passed = [each for each in rules.get(name, []) if text(each, "name") not in named]
    required = [each for each in passed if each["mandatory"]]
    optional = [each for each in passed if not each["mandatory"]]
    parameters[1:1] = required
    parameters[-1:-1] = optional
    return section(name, info, parameters, "attribute", [row(each, each) for each in parameters])


def provider(info):
    # Without an initializer, the fields are the parameters.
    parameters = info["init"][0]["parameter"] if info["init"] else info["field_info"]
    fields = {text(each, "name"): each for each in info["field_info"]}
    setters = {text(each, "name"): each for each in parameters}
    # In the order of the signature.
    names = [name for name in {**setters, **fields} if name in fields]
    rows = [row(fields[name], setters.get(name, defaultdict(list))) for name in names]
    return section(text(info, "provider_name"), info, parameters, "field", rows)


KINDS = ["rule_info", "func_info", "provider_info"]


def repository_rule(info):
    # With use_repo_rule, nobody sets the other attribute that Bazel adds.
    info["attribute"] = [each for each in info["attribute"] if text(each, "name") != "repo_mapping"]
    return rule(info)


def page(module, rules, *repositories):
    others = set(module) - set(KINDS) - {"file", "module_docstring"}
    if others:
        sys.exit(f"render.py: cannot render {', '.join(sorted(others))}, only {', '.join(KINDS)}")
    attributes = {text(info, "rule_name"): info["attribute"] for info in rules["rule_info"]}
    sections = [rule(info) for info in module["rule_info"]]
    sections += [function(info, attributes) for info in module["func_info"]]
    sections += [provider(info) for info in module["provider_info"]]
    for each in repositories:
        sections += [repository_rule(info) for info in each["repository_rule_info"]]
    others = ", ".join(f"`{text(each, 'file')}`" for each in repositories)
    contents = []
    for heading, _, doc, _ in sections:
        name, summary = heading.removeprefix("## "), " ".join(doc.split("\n\n")[0].split())
        contents.append(f"- [{name}](#{name.lower()}): {summary}")
    return "\n\n".join(
        [
            "<!-- Generated from the .bzl files. After a change: ./bazelw run //tests/rules/docs:update -->",
            "# Reference",
            text(module, "module_docstring"),
            f"All of this is loaded from `{text(module, 'file')}`, or in `MODULE.bazel` from {others}. "
            "The [guide](README.md) explains its use.",
            "\n".join(contents),
            *sum(sections, []),
        ]
    )


if __name__ == "__main__":
    modules = []
    for path in sys.argv[1:]:
        with open(path, encoding="ascii") as file:
            modules.append(parse(file))
    markdown = page(*modules)
    for line in markdown.splitlines():
        if not line.isascii():
            sys.exit(f"render.py: Bazel 7 garbles non-ASCII characters: write this in ASCII: {line}")
    print(markdown)
