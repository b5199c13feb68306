"""The access key of a server's keys.toml, without a TOML library (Python 3.10 has none)."""

import re


def access_key(path):
    """(id, secret) of the first [[access_key]]."""
    with open(path) as f:
        section = f.read().split("[[access_key]]", 1)[1].split("[[", 1)[0]
    return tuple(re.search(rf'^{name} = "(.*)"$', section, re.M).group(1) for name in ("id", "secret"))
