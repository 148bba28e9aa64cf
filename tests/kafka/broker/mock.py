"""A cluster that answers with errors on demand: the mock of librdkafka, in this process.

It follows the protocol of requests, but not that of transactions: what a reader sees says nothing.
The client for Python has no names for it; they are found in the library that comes with it.
"""

from __future__ import annotations

import ctypes
from typing import Any

PRODUCE, INIT, ADD_PARTITIONS, ADD_OFFSETS, END, OFFSETS = 0, 22, 24, 25, 26, 28  # kinds of request
_CONSUMER = 1


class Mock:
    """One broker at `servers`; close it at the end."""

    def __init__(self) -> None:
        from confluent_kafka import cimpl

        # names of the library that the extension loads are found through it
        self._library: Any = ctypes.CDLL(cimpl.__file__)
        text = ctypes.create_string_buffer(512)
        self._client = self._call("rd_kafka_new", _CONSUMER, None, text, len(text))
        self._cluster = self._call("rd_kafka_mock_cluster_new", self._client, 1)
        found = self._call("rd_kafka_mock_cluster_bootstraps", self._cluster)
        self.servers = ctypes.string_at(found).decode()

    def topic(self, name: str, partitions: int = 1) -> str:
        self._call("rd_kafka_mock_topic_create", self._cluster, name.encode(), partitions, 1)
        return name

    def fail(self, request: int, code: int, times: int) -> None:
        """Answer the next requests of a kind with an error."""
        codes = (ctypes.c_int * times)(*[code] * times)
        name = "rd_kafka_mock_push_request_errors_array"
        self._call(name, self._cluster, ctypes.c_int16(request), ctypes.c_size_t(times), codes)

    def heal(self, request: int) -> None:
        """Answer a kind of request without errors."""
        name = "rd_kafka_mock_clear_request_errors"
        self._call(name, self._cluster, ctypes.c_int16(request))

    def close(self) -> None:
        self._call("rd_kafka_mock_cluster_destroy", self._cluster)
        self._call("rd_kafka_destroy", self._client)

    def _call(self, name: str, *arguments: Any) -> Any:
        function = getattr(self._library, name)
        function.restype = ctypes.c_void_p
        return function(
            *(
                ctypes.c_void_p(each) if isinstance(each, int) and each > 1 << 32 else each
                for each in arguments
            )
        )
