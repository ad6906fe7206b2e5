from __future__ import annotations

from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from clary.service.protocol.event_stream import encode_event


@given(st.lists(st.binary(max_size=300), max_size=4))
def test_clients_read_every_event(payloads: list[bytes]) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(b"".join(encode_event("PayloadPart", "text/plain", one) for one in payloads))
    events = list(buffer)
    assert [event.payload for event in events] == payloads
    for event in events:
        assert event.headers == {
            ":event-type": "PayloadPart",
            ":content-type": "text/plain",
            ":message-type": "event",
        }
