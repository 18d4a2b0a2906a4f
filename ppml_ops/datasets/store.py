"""Versions of one sealed data set (or one partition of it): which there are, reading and publishing them."""

from ppml_ops.crypto.layout import HEADER
from ppml_ops.datasets.any_folder import AnyFolder
from ppml_ops.datasets.manifest import MAX_BYTES, Manifest, parse_manifest
from ppml_ops.datasets.tombstone import Tombstone, parse_tombstone
from ppml_ops.errors import DataError, IntegrityError

MANIFESTS = "_manifest"
RESERVED = "_reserved"
_MAX_OWNER = 256
REMOVED = "_removed"


class VersionTakenError(DataError):
    """Another writer published this version first."""


class DatasetStore:
    """The folder of a data set: `_manifest/<version>.json` and the parts the manifests name.

    A version with a tombstone in `_removed/` does not exist any more, even while its manifest still lies there.
    """

    def __init__(self, folder: AnyFolder) -> None:
        self.folder = folder

    def versions(self) -> list[int]:
        """Published versions that were not removed, ascending."""
        return sorted(self._numbers(MANIFESTS) - self._numbers(REMOVED))

    def removed(self) -> list[int]:
        """Versions that have a tombstone, ascending."""
        return sorted(self._numbers(REMOVED))

    def next_version(self) -> int:
        """The number after all that were ever used here: those of removed versions are not used again."""
        return max(self._numbers(MANIFESTS) | self._numbers(REMOVED), default=0) + 1

    def _numbers(self, where: str) -> set[int]:
        names = (name.removesuffix(".json") for name in self.folder.names(where) if name.endswith(".json"))
        return {int(name) for name in names if name.isascii() and name.isdigit() and name[0] != "0"}

    def read(self, version: int | None = None) -> Manifest:
        """Manifest `version`, by default the newest; not yet authenticated.

        Raises:
            DataError: there is no such version, or it was removed.
            IntegrityError: the file is not a manifest, or that of another version.
        """
        versions = self.versions()
        if version is not None and version in self._numbers(REMOVED):
            raise DataError(
                self.tombstone(version).explain(), next_step="use another version, or seal it again"
            )
        if not versions or (version is not None and version not in versions):
            raise DataError(
                f"no sealed data set version {version or ''} in {self.folder}".replace("  ", " "),
                next_step="check the path, or seal the data first (`ppml-ops data seal`)",
            )
        return self._manifest(version or versions[-1])

    def _manifest(self, wanted: int) -> Manifest:
        manifest = parse_manifest(self.folder.read(f"{MANIFESTS}/{wanted}.json", MAX_BYTES + 1))
        if manifest.version != wanted:
            raise IntegrityError(
                f"{MANIFESTS}/{wanted}.json is the manifest of version {manifest.version}",
                next_step="restore it from a good copy",
            )
        return manifest

    def tombstone(self, version: int) -> Tombstone:
        """What stays of a removed version.

        Raises:
            DataError: it was not removed.
            IntegrityError: the file is no tombstone, or that of another version.
        """
        try:
            return parse_tombstone(self.folder.read(f"{REMOVED}/{version}.json", MAX_BYTES * 2), version)
        except FileNotFoundError:
            raise DataError(
                f"version {version} in {self.folder} was not removed", next_step="check the version"
            ) from None

    def bury(self, tombstone: Tombstone) -> Tombstone:
        """Make a version not exist any more; returns the tombstone that is there, when it is an older one."""
        try:
            self.folder.create_only(f"{REMOVED}/{tombstone.version}.json", tombstone.encode())
            return tombstone
        except FileExistsError:
            return self.tombstone(tombstone.version)

    def finish(self, tombstone: Tombstone) -> None:
        """Remove manifest and parts of a buried version; then its tombstone says that it is done.

        Parts that another version names stay. Again without effect.
        """
        manifest = tombstone.manifest_of()
        named = {part.path for version in self.versions() for part in self.read(version).parts}
        self.folder.remove(f"{MANIFESTS}/{tombstone.version}.json")
        for part in manifest.parts:
            if part.path not in named:
                self.folder.remove(part.path)
        done = tombstone.model_copy(update={"state": "done"})
        path = f"{REMOVED}/{tombstone.version}.json"
        with self.folder.open_write(f"{path}.new") as file:
            file.write(done.encode())
        self.folder.rename(f"{path}.new", path)

    def latest(self) -> Manifest | None:
        """The newest version, or None when there is none."""
        return self.read() if self.versions() else None

    def publish(self, manifest: Manifest) -> None:
        """Make `manifest.version` exist.

        Raises:
            VersionTakenError: another writer published that version first; nothing was changed.
        """
        try:
            if manifest.version in self._numbers(REMOVED):
                raise FileExistsError
            self.folder.create_only(f"{MANIFESTS}/{manifest.version}.json", manifest.encode())
        except FileExistsError:
            raise VersionTakenError(
                f"version {manifest.version} of {manifest.dataset} was published by another writer",
                next_step="run again: the next free version will be taken",
            ) from None

    def published_parts(self) -> set[str]:
        """Paths of the parts that any version names. Raises IntegrityError for a damaged manifest."""
        return {part.path for version in self.versions() for part in self.read(version).parts}

    def holds(self, manifest: Manifest) -> bool:
        """This very version is published here."""
        return manifest.version in self.versions() and self.read(manifest.version) == manifest

    def reserve(self, owner: str) -> int:
        """A version number that no other owner gets, above all published ones; the same one until it is used.

        Numbers of owners that never publish are lost; versions need not be consecutive.
        """
        version = self.next_version()
        while True:
            path = f"{RESERVED}/{version}"
            try:
                self.folder.create_only(path, owner.encode())
                return version
            except FileExistsError:
                if self.folder.read(path, _MAX_OWNER) == owner.encode():
                    return version
                version += 1

    def check_parts(self, manifest: Manifest) -> None:
        """Compare what lies here with the manifest, without a key: missing, cut and replaced parts.

        Raises:
            IntegrityError: lists the first ten problems and their number.
        """
        problems = []
        for part in manifest.parts:
            try:
                length = self.folder.size(part.path)
                header = self.folder.read(part.path, HEADER).hex()
            except FileNotFoundError:
                problems.append(f"{part.path} is missing")
                continue
            if length != part.length:
                problems.append(f"{part.path} has {length} bytes instead of {part.length}")
            elif header != part.header:
                problems.append(f"{part.path} was replaced by another file")
        raise_problems(manifest, problems)

    def strangers(self, manifest: Manifest) -> list[str]:
        """Visible files that the manifest does not name: leftovers, other versions' parts, or foreign."""
        named = {part.path for part in manifest.parts}
        return [
            path
            for path in self.folder.files()
            if path not in named and not any(piece[0] in "._" for piece in path.split("/"))
        ]


def raise_problems(manifest: Manifest, problems: list[str]) -> None:
    """Raise IntegrityError when there are `problems`, naming the first ten."""
    if problems:
        more = f" and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise IntegrityError(
            f"data set {manifest.dataset} version {manifest.version}: {'; '.join(problems[:10])}{more}",
            next_step="restore the parts from a good copy; to seal the input again, remove that manifest first",
        )
