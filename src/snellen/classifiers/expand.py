"""Model specs that stand for many: wildcards over the names of libraries, and text files of specs."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

from snellen.classifiers.listing import model_names
from snellen.classifiers.spec import parse_spec
from snellen.errors import ModelError


def expand_models(text: str) -> list[str]:
    """The canonical specs that `text` stands for: itself, all names it matches, or the lines of a `.txt` file.

    Raises ModelError where a spec is none, or a wildcard matches nothing. In a file, `#` starts a comment.

    >>> expand_models("timm/resnet50,mean=0.5")
    ['timm/resnet50,mean=0.5']
    """
    name = re.split(r"@|,(?=\w+=)", text, maxsplit=1)[0]
    if name == text and text.endswith(".txt"):
        try:
            lines = Path(text).expanduser().read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(
                f"no list of models in {text!r}: {error}; give a text file of specs, one a line"
            ) from error
        specs = [line.split("#")[0].strip() for line in lines]
        found = [spec for line in specs if line for spec in expand_models(line)]
        if not found:
            raise ModelError(f"{text!r} lists no models; write one spec a line")
        return list(dict.fromkeys(found))
    if not re.search(r"[*?\[]", name):
        return [parse_spec(text).text]
    names = [known for known in model_names() if fnmatchcase(known, name)]
    if not names:
        raise ModelError(f"no models match {name!r}; `snellen ls models '*'` lists what there is")
    return [parse_spec(known + text[len(name) :]).text for known in names]
