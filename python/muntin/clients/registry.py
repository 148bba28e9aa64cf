"""A schema registry with Confluent's interface: schemas by their ids, and ids of schemas."""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from email.message import Message
from http.client import HTTPException
from typing import IO, Any

from muntin.base.arguments import shown
from muntin.base.errors import MuntinError, SourceError, unknown, with_hint

_BYTES_MAX = 16 << 20
_PAUSES = (0.2, 1.0)
"""Seconds before each further try of a request that the registry did not answer."""

_PARTS = ("url", "user", "password", "token", "timeout")
_NOT_FOUND, _REFUSED = 404, (401, 403)


class Registry:
    """A client of a schema registry; threads may share it.

    What it knows is kept: a schema never changes under its id. Passwords and tokens are in no
    `repr` and no error, and are not sent to another host that the registry redirects to.

    Args:
        url: where its interface begins, e.g. `http://localhost:8081`; of Apicurio
            `http://localhost:8080/apis/ccompat/v7`. It may have `user:password@`.
        user: for basic authentication, with `password`.
        password: of the user.
        token: a bearer token, in place of a user.
        timeout: seconds that one request may take.
        error: the class of what is raised.

    >>> Registry("http://me:secret@localhost:8081/")
    Registry('http://localhost:8081')
    """

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        timeout: float = 10.0,
        error: type[MuntinError] = SourceError,
    ) -> None:
        """Check the arguments; nothing is sent yet."""
        self._error = error
        self.url, credentials = self._address(url)
        if user is not None or password is not None:
            credentials = f"{user or ''}:{password or ''}"
        self._authorization = None
        if token is not None:
            self._authorization = f"Bearer {token}"
        elif credentials is not None:
            self._authorization = f"Basic {base64.b64encode(credentials.encode()).decode()}"
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0:
            raise error(f"registry: timeout={shown(timeout)} is not a number of seconds")
        self._timeout = float(timeout)
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._schemas: dict[int, str] = {}
        self._ids: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        """Its address, without credentials."""
        return f"Registry({self.url!r})"

    def schema(self, id: int) -> str | None:
        """The text of a schema, None if the registry has none of this id.

        Raises:
            SourceError: the registry cannot be reached, or refuses; it names the address.
        """
        with self._lock:
            if id in self._schemas:
                return self._schemas[id]
        place = f"schemas/ids/{id}"
        answer = self._ask("GET", place)
        if answer is None:
            return None
        if answer.get("references"):
            hint = "register it with the types that it refers to inside it"
            said = f"schema {id} of {self.url} refers to other schemas"
            raise self._error(with_hint(said, hint))
        text: str = self._part(answer, "schema", str, place)
        with self._lock:
            self._schemas[id] = text
        return text

    def register(self, subject: str, schema: str) -> int:
        """The id of a schema under a subject, which is added if it is not there yet.

        Raises:
            SourceError: the registry cannot be reached or does not take the schema, since it is
                not compatible with those before it, for instance.
        """
        key = (subject, schema)
        with self._lock:
            if key in self._ids:
                return self._ids[key]
        place = f"subjects/{urllib.parse.quote(subject, safe='')}/versions"
        answer = self._ask("POST", place, {"schema": schema, "schemaType": "AVRO"})
        if answer is None:
            raise self._error(f"{self.url}/{place}: it is not there, status 404")
        number: int = self._part(answer, "id", int, place)
        with self._lock:
            self._ids[key] = number
        return number

    def _address(self, url: str) -> tuple[str, str | None]:
        hint = 'write registry="http://localhost:8081"'
        if not isinstance(url, str):
            raise self._error(with_hint(f"registry: {shown(url)} is not an address", hint))
        try:
            parts = urllib.parse.urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise self._error(with_hint("registry: the address is not valid", hint)) from None
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
            said = "registry: the address is not http:// or https://, a host and a path"
            raise self._error(with_hint(said, hint))
        credentials = None
        if parts.username is not None or parts.password is not None:
            pair = (parts.username or "", parts.password or "")
            credentials = ":".join(urllib.parse.unquote(part) for part in pair)
        host = f"[{host}]" if ":" in host else host
        where = host if port is None else f"{host}:{port}"
        return f"{parts.scheme}://{where}{parts.path.rstrip('/')}", credentials

    def _ask(self, method: str, place: str, body: object = None) -> dict[str, Any] | None:
        """The answer to a request; None if there is no such thing."""
        request = urllib.request.Request(f"{self.url}/{place}", method=method)
        request.add_header("Accept", "application/vnd.schemaregistry.v1+json, application/json")
        if self._authorization is not None:
            request.add_unredirected_header("Authorization", self._authorization)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        for pause in (*_PAUSES, None):
            try:
                with self._opener.open(request, timeout=self._timeout) as response:
                    return self._parsed(response.read(_BYTES_MAX + 1), place)
            except urllib.error.HTTPError as error:
                with error:
                    said = error.read(_BYTES_MAX)
                if error.code == _NOT_FOUND and method == "GET" and _is_its_own(said):
                    return None
                if error.code < 500 or pause is None:
                    raise self._refused(place, error.code, said) from None
            except (OSError, HTTPException) as error:
                if pause is None:
                    raise self._away(place, error) from None
            time.sleep(pause)
        raise AssertionError

    def _parsed(self, answer: bytes, place: str) -> dict[str, Any]:
        try:
            found = json.loads(answer) if len(answer) <= _BYTES_MAX else None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            hint = "check that the address is that of a registry's Confluent interface"
            said = f"{self.url}/{place}: the answer is not a JSON object of a schema registry"
            raise self._error(with_hint(said, hint))
        return found

    def _part(self, answer: dict[str, Any], name: str, kind: type, place: str) -> Any:
        value = answer.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self._error(f'{self.url}/{place}: the answer has no "{name}"')
        return value

    def _refused(self, place: str, status: int, answer: bytes) -> MuntinError:
        said = f"{self.url}/{place}: status {status}"
        try:
            found = json.loads(answer)
            if isinstance(found, dict) and isinstance(found.get("message"), str):
                said = f"{said}: {found['message']}"
        except ValueError:
            pass
        if status in _REFUSED:
            hint = 'registry={"url": ..., "user": ..., "password": ...}'
            return self._error(with_hint(said, hint))
        return self._error(said)

    def _away(self, place: str, error: BaseException) -> MuntinError:
        why = getattr(error, "reason", None) or error
        kind = type(why).__name__
        said = f"{self.url}/{place}: the schema registry does not answer: {kind}: {why}"
        return self._error(with_hint(said, "check that it runs, and the address"))


def registry_of(value: object, error: type[MuntinError] = SourceError) -> Registry:
    """A registry, given as one, as its address, or as a dict of the arguments of `Registry`.

    >>> registry_of({"url": "http://localhost:8081", "user": "me", "password": "secret"})
    Registry('http://localhost:8081')
    """
    if isinstance(value, Registry):
        return value
    if isinstance(value, str):
        return Registry(value, error=error)
    if not isinstance(value, Mapping):
        # not the value itself, which may have a password
        hint = 'write registry="http://localhost:8081", or a dict with "url"'
        kind = type(value).__name__
        raise error(with_hint(f"registry: an address or a dict is needed, not a {kind}", hint))
    for name in value:
        if name not in _PARTS:
            raise error(unknown("part of registry", str(name), _PARTS, "registry"))
    if "url" not in value:
        raise error(with_hint('registry: the dict has no "url"', 'add "url": "http://..."'))
    return Registry(error=error, **value)


def _is_its_own(answer: bytes) -> bool:
    """Whether the registry says itself that it has no such schema, rather than a web server."""
    try:
        found = json.loads(answer)
    except ValueError:
        return False
    return isinstance(found, dict) and "error_code" in found


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Takes a redirect for an error: credentials would go along to wherever it leads."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> None:
        """Follow none."""
        return
