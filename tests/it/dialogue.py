"""Prints real conversations as JSON: [{ "about": text, "lines": [text] }].

From packages that others publish, in the folder named first: the conversations of chatterbot-corpus (28 languages, among them Hebrew,
Persian and Urdu, which run from right to left, and Hindi, Thai and Tamil, whose letters carry marks), and every emoji of the
package emoji, with its flags, skin tones and families. Of each conversation in a Latin alphabet there is also the decomposed form.
"""

import glob
import json
import os
import sys
import unicodedata

folder = sys.argv[1]
sys.path.insert(0, folder)

import emoji  # noqa: E402
import yaml  # noqa: E402

found = []
for path in sorted(glob.glob(os.path.join(folder, "chatterbot_corpus", "data", "*", "*.yml"))):
    about = "/".join(path.split(os.sep)[-2:])
    with open(path, encoding="utf-8") as file:
        conversations = yaml.safe_load(file)["conversations"]
    lines = [line for said in conversations for line in said if isinstance(line, str) and line.strip()]
    found.append({"about": about, "lines": lines})
    decomposed = [unicodedata.normalize("NFD", line) for line in lines]
    if decomposed != lines and path.split(os.sep)[-2] in ("french", "german", "portuguese", "spanish", "turkish"):
        found.append({"about": about + ", decomposed", "lines": decomposed})

every = sorted(emoji.EMOJI_DATA)
found.append({"about": "emoji", "lines": [" ".join(every[at : at + 20]) for at in range(0, len(every), 20)]})
json.dump(found, sys.stdout)
