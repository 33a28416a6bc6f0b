"""The prebuilt tools: none in the repository, one for each platform in a release.

A release fills the table: `"linux_x86_64": {"sha256": "...", "url": "..."}`.
"""

TOOLS = {}
