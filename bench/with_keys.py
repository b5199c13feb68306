"""Runs a program with the access key of a server in its environment. Usage: with_keys.py KEYS_TOML PROGRAM [ARGUMENT…]"""

import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "official"))
from keys import access_key  # noqa: E402

keys, *command = sys.argv[1:]
os.environ["VODFERRY_ACCESS_KEY_ID"], os.environ["VODFERRY_ACCESS_KEY_SECRET"] = access_key(keys)
os.execvp(command[0], command)
