"""What lies in a folder of encrypted Parquet, found without a key. As `datasets.bigdl.survey` for `.cbc`."""

from typing import NamedTuple

from ppml_ops.datasets.bigdl.parts import damaged, named
from ppml_ops.datasets.bigdl.surroundings import listed, surroundings
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.pme.layout import IDENTITY, MAGIC, TAIL, Algorithm, algorithm_of, footer_length
from ppml_ops.errors import IntegrityError

SUFFIX = ".parquet"


class PmePart(NamedTuple):
    """One encrypted Parquet file."""

    name: str
    length: int
    algorithm: Algorithm

    @property
    def plain_name(self) -> str:
        """The same: Spark names encrypted and plain Parquet alike."""
        return self.name


class PmeSurvey(NamedTuple):
    """A folder that can be tried with a key; `meta` is the wrapped data key."""

    folder: Folder
    parts: tuple[PmePart, ...]
    meta: str
    checksums: frozenset[str]
    doubts: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def authenticated(self) -> bool:
        """Whether changes of the content can be noticed in all parts."""
        return all(part.algorithm == "AES_GCM_V1" for part in self.parts)

    @property
    def form(self) -> str:
        """Always `parquet`."""
        return "parquet"


def survey_pme(folder: Folder) -> PmeSurvey:
    """Look at all files of `folder`.

    Raises:
        DataError: there is no part.
        IntegrityError: a part is not encrypted Parquet or a copy, or there is no key in `.meta`.
    """
    around = surroundings(folder, SUFFIX)
    if not around.meta:
        raise damaged("there is no .meta with a data key, and Parquet files do not carry it")
    seen: dict[bytes, str] = {}
    parts = []
    for name in around.names:
        part, identity = _look(folder, name)
        if identity in seen:
            raise damaged(f"{name} is a copy of {seen[identity]}: its rows would count twice")
        seen[identity] = name
        parts.append(part)
    notes = list(around.notes)
    weak = [part.name for part in parts if part.algorithm == "AES_GCM_CTR_V1"]
    if weak:
        notes.append(f"AES_GCM_CTR_V1: values in these files can be changed unnoticed: {listed(weak)}")
    return PmeSurvey(folder, tuple(parts), around.meta, around.checksums, around.doubts, tuple(notes))


def is_encrypted_parquet(folder: Folder, name: str) -> bool:
    """Whether the file begins as one with an encrypted footer."""
    return folder.is_file(name) and folder.read(name, len(MAGIC)) == MAGIC


def _look(folder: Folder, name: str) -> tuple[PmePart, bytes]:
    length = folder.size(name)
    try:
        with folder.open_read(name) as file:
            head = file.read(len(MAGIC))
            file.seek(max(length - TAIL, 0))
            footer = footer_length(length, head, file.read(TAIL))
            file.seek(length - TAIL - footer)
            algorithm = algorithm_of(file.read(2))
            file.seek(length - min(IDENTITY, length))
            return PmePart(name, length, algorithm), file.read(IDENTITY)
    except IntegrityError as error:
        raise named(name, error) from None
