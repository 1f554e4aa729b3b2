"""The licence of each source of a published data set: as it was given, or as the authors of a known set state it."""

import contextlib
import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snellen.datasets.members import member_of
from snellen.datasets.names import canonical
from snellen.datasets.spec import expand_data, parse_name
from snellen.errors import DataError, UsageError

# An identifier or an expression of SPDX (spdx.org/licenses); `unknown` says that it is not known.
SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*( (AND|OR|WITH) [A-Za-z0-9][A-Za-z0-9.+-]*)*")
# Identifiers of the Hub's cards that data sets have; what is none of them is `other`.
OF_THE_HUB = frozenset(
    (
        *("mit", "apache-2.0", "bsd-2-clause", "bsd-3-clause", "isc", "zlib", "unlicense", "mpl-2.0", "gfdl"),
        *("gpl-3.0", "lgpl-3.0", "agpl-3.0", "cc0-1.0", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0"),
        *("cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0"),
        *("cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
        *("odbl", "odc-by", "pddl", "cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "unknown"),
    )
)


@dataclass(frozen=True)
class Licence:
    """A licence as the card shows it, and where it was read."""

    text: str
    source: str

    @property
    def of_the_hub(self) -> str:
        """What the Hub calls it.

        >>> Licence("CC BY 4.0", "").of_the_hub, Licence("LicenseRef-mine", "").of_the_hub
        ('cc-by-4.0', 'other')
        """
        name = self.text.lower().replace(" ", "-")
        return name if name in OF_THE_HUB else "other"


def licences_of(
    origins: Mapping[str, int], given: Sequence[str], sources: Sequence[str] = (), others: Collection[str] = ()
) -> dict[str, Licence]:
    """The licence of each origin; `origins`: how many images come from each.

    sources: specs of the data sets that were mined: what a member's authors state holds for an origin that was opened
    as this member, or that a data set of the Hub names, and for no folder that is called like it. others: further
    origins, which no image that is published comes from.

    given: `ORIGIN=SPDX`, or the name of a file with a line of this form for each, which may name more than there are.
    Raises UsageError for a text that is neither, for what is no licence, for an origin that has two or that no image
    comes from, and for an origin without one.
    """
    named: dict[str, str] = {}
    for text in given:
        for where, line in [("", text)] if "=" in text and not _is_file(text) else _lines(text):
            origin, licence = _pair(where, line)
            if not where and origin not in origins and origin not in others:
                raise UsageError(f"--licence {line!r}: no image comes from there, but from {_listed(origins)}")
            if named.setdefault(origin, licence) != licence:
                raise UsageError(f"--licence {where}{origin!r} has two: {named[origin]} and {licence}; leave one")
    found = {one: Licence(named[one], "as given") if one in named else _stated(one, sources) for one in origins}
    lacking = [origin for origin, licence in found.items() if licence is None]
    if lacking:
        images = sum(origins[origin] for origin in lacking)
        raise UsageError(
            f"no licence for {_listed(lacking)} ({images} images): give --licence {lacking[0]}=SPDX for each, as "
            f"spdx.org/licenses lists them, or {lacking[0]}=unknown"
        )
    return {origin: licence for origin, licence in found.items() if licence}


def _pair(where: str, line: str) -> tuple[str, str]:
    origin, _, licence = (part.strip() for part in line.rpartition("="))
    if not (origin and SPDX.fullmatch(licence)):
        raise UsageError(
            f"--licence {where}{line!r}: expected ORIGIN=SPDX, as photos=CC-BY-4.0, or photos=unknown; "
            "spdx.org/licenses lists them"
        )
    return origin, _known(where, line, licence)


def _known(where: str, line: str, licence: str) -> str:
    """A licence as SPDX spells it, or one that the Hub alone knows; UsageError where it is neither."""
    found = _spelled(licence) or (licence if licence.lower() in OF_THE_HUB else None)
    if found is None:
        near = difflib.get_close_matches(licence.lower(), sorted(OF_THE_HUB), n=1)
        meant = f"did you mean {_spelled(near[0]) or near[0]}? " if near else ""
        raise UsageError(
            f"--licence {where}{line!r}: SPDX knows no {licence!r}; {meant}spdx.org/licenses lists them, and what is "
            "none of these is LicenseRef-NAME"
        )
    return found


def _spelled(licence: str) -> str | None:
    """A licence as SPDX spells it; None where that knows none."""
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        return str(canonicalize_license_expression(licence))
    except InvalidLicenseExpression:
        return None


def member_name(text: str) -> str | None:
    """The member of the ImageNet family that a name means; None where it means none."""
    try:
        return canonical(text)
    except DataError:
        return None


def _stated(origin: str, sources: Sequence[str]) -> Licence | None:
    """What the authors of a member of the ImageNet family state; None where an origin is none of those opened."""
    name = member_name(origin)
    opened = {member_name(parse_name(one)) for spec in sources for one in _expanded(spec)}
    if name is None or not (name in opened or any(spec.startswith("hub/") for spec in sources)):
        return None
    try:
        member = member_of(name)
    except (DataError, KeyError):
        return None
    return Licence(member.licence, f"as {member.source} states it")


def _expanded(spec: str) -> list[str]:
    try:
        return expand_data(spec)
    except DataError:
        return []


def _is_file(text: str) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return Path(text).is_file()
    return False


def _lines(text: str) -> list[tuple[str, str]]:
    try:
        lines = Path(text).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(f"--licence {text!r} is neither ORIGIN=SPDX nor a file of such lines ({error})") from error
    shown = [(f"{text}, line {k}: ", line.strip()) for k, line in enumerate(lines, 1)]
    return [(where, line) for where, line in shown if line and not line.startswith("#")]


def _listed(names: Iterable[str], most: int = 5) -> str:
    every = [repr(name) for name in names]
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
