"""Checkpoints in an object store (S3, Google Cloud Storage, Azure), by obstore.

Objects are created and never overwritten, except the pointer. That is replaced only if it still is
what its owner wrote last, so of two runs one gets on, and the other one ends.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from muntin.base.errors import CommitLost, MissingExtra, SnapshotError, with_hint
from muntin.checkpoint.authority import Pointer, TakenOver
from muntin.checkpoint.manifest import manifest_name

_POINTER = "pointer.json"
_SCHEMES = ("s3://", "s3a://", "gs://", "az://", "abfs://", "abfss://", "memory://")


def is_url(text: str) -> bool:
    """Whether a text is the address of an object store.

    >>> is_url("s3://bucket/state"), is_url("state")
    (True, False)
    """
    return text.startswith(_SCHEMES)


class _Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The pointer: number and seal of the manifest that counts, and who wrote it."""

    number: int
    seal: str
    owner: str


class Objects:
    """A store under a prefix of a bucket. Access is configured by the usual environment variables.

    >>> Objects("s3://bucket/state/fraud")
    Objects('s3://bucket/state/fraud')
    """

    def __init__(self, url: str, **settings: Any) -> None:
        """Keep the address; `open` connects.

        Args:
            url: such as `"s3://bucket/prefix"`.
            settings: those of obstore for this kind of store, instead of environment variables.
        """
        self.url = url
        self._settings = settings
        self._obstore: Any = None
        self._store: Any = None

    def __repr__(self) -> str:
        """Its address, without settings: these may have secrets."""
        return f"Objects({self.url!r})"

    @property
    def authority(self) -> ObjectsAuthority:
        """What says which of its checkpoints counts."""
        return ObjectsAuthority(self)

    def open(self) -> None:
        """Connect. The pointer decides between several runs, so there is no lock."""
        try:
            import obstore
            from obstore.store import from_url
        except ImportError:
            message = f'a checkpoint in "{self.url}" needs obstore'
            raise MissingExtra(with_hint(message, 'pip install "muntin[s3]"')) from None
        self._obstore = obstore
        try:
            self._store = from_url(self.url, **self._settings)
            self.names()
        except (OSError, obstore.exceptions.BaseError) as error:
            hint = "check the name of the bucket, the credentials and the endpoint"
            text = f'checkpoint "{self.url}" cannot be used: {_first_line(error)}'
            raise SnapshotError(with_hint(text, hint)) from None

    def share(self) -> None:
        """Connect, as `open` does."""
        self.open()

    def part(self, name: str) -> Objects:
        """A store under a longer prefix."""
        return Objects(f"{self.url.rstrip('/')}/{name}", **self._settings)

    def close(self) -> None:
        """Nothing to release."""

    def names(self) -> list[str]:
        """The names of the objects, sorted, without the pointer."""
        return sorted(self.sizes())

    def sizes(self) -> dict[str, int]:
        """The objects and their lengths."""
        with self._errors():
            found = {}
            for page in self._obstore.list(self._store):
                found.update({each["path"]: int(each["size"]) for each in page})
        found.pop(_POINTER, None)
        return found

    def read(self, name: str) -> bytes:
        """All bytes of an object."""
        with self._errors():
            return bytes(self._obstore.get(self._store, name).bytes())

    def write(self, name: str, data: bytes) -> None:
        """Create an object."""
        self.commit(name, data)

    def commit(self, name: str, data: bytes) -> None:
        """Create an object; a store has all of it, or nothing."""
        try:
            with self._errors():
                self._obstore.put(self._store, name, data, mode="create")
        except FileExistsError:
            # a request that was repeated because its answer got lost
            if self.read(name) != data:
                raise

    def remove(self, name: str) -> None:
        """Remove an object."""
        try:
            with self._errors():
                self._obstore.delete(self._store, name)
        except FileNotFoundError:
            return

    def pointer(self) -> tuple[bytes | None, str | None]:
        """The pointer and its version; None if there is none."""
        try:
            with self._errors():
                found = self._obstore.get(self._store, _POINTER)
                return bytes(found.bytes()), str(found.meta["e_tag"])
        except FileNotFoundError:
            return None, None

    def replace_pointer(self, data: bytes, version: str | None) -> str:
        """Replace the pointer, or create it, if it still has this version; its new version.

        Raises:
            FileExistsError: it has another version.
            OSError: nobody knows whether it was replaced.
        """
        mode: Any = "create" if version is None else {"e_tag": version}
        try:
            with self._errors():
                return str(self._obstore.put(self._store, _POINTER, data, mode=mode)["e_tag"])
        except FileExistsError:
            # a request that was repeated because its answer got lost
            found, now = self.pointer()
            if found != data or now is None:
                raise
            return now

    @contextmanager
    def _errors(self) -> Iterator[None]:
        kinds = self._obstore.exceptions
        try:
            yield
        except (kinds.AlreadyExistsError, kinds.PreconditionError) as error:
            raise FileExistsError(_first_line(error)) from None
        except (kinds.NotFoundError, FileNotFoundError) as error:
            raise FileNotFoundError(_first_line(error)) from None
        except kinds.BaseError as error:
            raise OSError(f"{self.url}: {_first_line(error)}") from None


class ObjectsAuthority:
    """The pointer of an object store. Who replaced it last is the owner."""

    def __init__(self, store: Objects) -> None:
        """Keep the store."""
        self._store = store
        self._owner = secrets.token_hex(6)
        self._version: str | None = None

    @property
    def name(self) -> str:
        """The pointer of the store."""
        return "the pointer of an object store"

    def acquire(self) -> Sequence[Pointer]:
        """Write this run's name into the pointer: an earlier owner can no longer replace it."""
        try:
            data, version = self._store.pointer()
            found = _Text(0, "", "") if data is None else self._decoded(data)
            owned = msgspec.structs.replace(found, owner=self._owner)
            self._version = self._store.replace_pointer(msgspec.json.encode(owned), version)
        except FileExistsError as error:
            message = f"another run became the owner at the same time: {error}"
            raise CommitLost(message, "fenced") from error
        except OSError as error:
            raise CommitLost(str(error)) from error
        return [] if data is None else [Pointer(found.number, found.seal)]

    def begin(self) -> None:
        """Nothing to do: `acquire` has written the pointer."""

    def commit(self, pointer: Pointer, manifest: bytes) -> None:
        """Create the manifest, then replace the pointer if it is still this run's."""
        self._store.commit(manifest_name(pointer.number), manifest)
        text = msgspec.json.encode(_Text(pointer.number, pointer.seal, self._owner))
        try:
            self._version = self._store.replace_pointer(text, self._version)
        except FileExistsError as error:
            message = f'another run has taken over "{self._store.url}"'
            raise TakenOver(with_hint(message, "one run at a time may use it")) from error
        except OSError as error:
            raise CommitLost(str(error)) from error

    def _decoded(self, data: bytes) -> _Text:
        try:
            return msgspec.json.decode(data, type=_Text)
        except msgspec.DecodeError as error:
            raise SnapshotError(f'the pointer in "{self._store.url}" is damaged: {error}') from None


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
