#!/usr/bin/env bash
# Puts the files of a release into dist and prints the release notes. bazel-contrib's
# release_ruleset.yaml runs it, under this path, in a checkout of the tag "$1". The tools are
# artifacts of earlier jobs, each in a directory of its own.
set -euo pipefail
readonly tag=$1
readonly version=${tag#v}

tools=(qcow2-overlay-*/qcow2-overlay-*)
if ((${#tools[@]} != 4)); then
  echo "release_prep.sh: a release has 4 tools, but there are: ${tools[*]}" >&2
  exit 1
fi
.github/release/archive HEAD "$version" "https://github.com/$GITHUB_REPOSITORY/releases/download/$tag" dist "${tools[@]}"
cp rules/reference.md dist/

cat <<END
In \`MODULE.bazel\`:

\`\`\`starlark
bazel_dep(name = "rules_qcow2", version = "$version")
\`\`\`

END
# What is new: the first section of the changelog.
awk '/^## / { sections++; next } sections == 1' .github/CHANGELOG.md
