"""``before_send``: what every event passes just before it is checked and encoded, on the client and on its outboxes."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from amplitude_async import (
    AsyncAmplitude,
    BadRequestError,
    ConfigurationError,
    InvalidEventError,
    PartialDeliveryError,
    Settlement,
    event_context,
)
from amplitude_async.resources.before_send import Sieve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from amplitude_async.sandbox import Sandbox

DROPPED = Settlement("dropped", "before_send")


def event(kind: str = "order_placed", **more: Any) -> dict[str, Any]:
    return {"event_type": kind, "user_id": "user-12345", **more}


def without_noise(one: dict[str, Any]) -> dict[str, Any] | None:
    return None if one["event_type"] == "noise" else one


def without_mail(one: dict[str, Any]) -> dict[str, Any]:
    one.get("event_properties", {}).pop("mail", None)
    one.get("user_properties", {}).pop("mail", None)
    return one


@pytest.mark.anyio
class TestAwaitedCalls:
    """track and its like, with a request shared and alone, on asyncio and trio."""

    @pytest.mark.parametrize("shares", [True, False])
    async def test_what_the_function_gives_back_is_sent(self, box: Sandbox, shares: bool) -> None:
        """The event goes out as it was edited, and the caller's own mapping, nested ones included, is as it was."""
        own = event(event_properties={"mail": "ada@example.org", "price": 1}, user_properties={"mail": "ada@example.org"})
        async with AsyncAmplitude(**box.credentials, before_send=without_mail, share_requests=shares) as amplitude:
            result = await amplitude.track(own)
        assert result["events_ingested"] == 1
        assert "events_dropped" not in result
        (sent,) = box.events()
        assert (sent["event_properties"], sent["user_properties"]) == ({"price": 1}, {})
        assert own["event_properties"] == {"mail": "ada@example.org", "price": 1}
        assert own["user_properties"] == {"mail": "ada@example.org"}

    @pytest.mark.parametrize("shares", [True, False])
    async def test_what_is_dropped_is_left_out_and_said(self, box: Sandbox, shares: bool) -> None:
        """The result counts what was sent as ingested, and beside it what was not."""
        async with AsyncAmplitude(**box.credentials, before_send=without_noise, share_requests=shares) as amplitude:
            result = await amplitude.track([event("a"), event("noise"), event("b"), event("noise")])
            assert (result["code"], result["events_ingested"], result["events_dropped"]) == (200, 2, 2)
            assert amplitude.dropped == 2
        assert [one["event_type"] for one in box.events()] == ["a", "b"]

    async def test_if_all_are_dropped_nothing_is_sent_and_no_success_is_claimed(self, box: Sandbox) -> None:
        """There was no request, so the code is 0 and not 200."""
        async with AsyncAmplitude(**box.credentials, before_send=without_noise) as amplitude:
            result = await amplitude.track([event("noise"), event("noise")])
            again = await amplitude.track(event("noise"))
        assert result == {"code": 0, "server_upload_time": 0, "payload_size_bytes": 0, "events_ingested": 0, "events_dropped": 2}
        assert again["events_dropped"] == 1
        assert list(box.events()) == []

    async def test_positions_of_errors_are_those_of_the_callers_list(self, box: Sandbox) -> None:
        """Dropped events shift nothing: delivered, failed and dropped are positions in what the caller gave."""
        events = [event("noise"), event("a"), event("noise"), event("b", time="no time"), event("c")]
        async with AsyncAmplitude(**box.credentials, before_send=without_noise) as amplitude:
            with pytest.raises(PartialDeliveryError, match="2 of 3 were accepted; position 3 failed") as caught:
                await amplitude.track(events)
            with pytest.raises(InvalidEventError) as refused:
                await amplitude.track([event("noise"), event("a", price=float("nan"))])
        assert (caught.value.delivered, set(caught.value.failed), caught.value.dropped) == ((1, 4), {3}, (0, 2))
        assert isinstance(caught.value.failed[3], BadRequestError)
        assert refused.value.path == "events[1].price"

    async def test_it_sees_all_that_would_be_sent_and_takes_out_for_good(self, box: Sandbox) -> None:
        """Inherited fields and the client's ids are there, in Amplitude's spelling; what it takes out does not come back."""
        seen: list[dict[str, Any]] = []

        def look(one: dict[str, Any]) -> dict[str, Any]:
            seen.append(dict(one))
            del one["ip"], one["user_id"]
            return one

        async with AsyncAmplitude(**box.credentials, before_send=look, user_id="user-of-client", device_id="device-1") as amplitude:
            with event_context(ip="192.0.2.1", event_properties={"path": "/orders"}):
                await amplitude.track({"eventType": "order_placed", "eventProperties": {"price": Decimal("1.50")}})
        (shown,) = seen
        assert shown == {
            "ip": "192.0.2.1",
            "event_properties": {"path": "/orders", "price": Decimal("1.50")},
            "event_type": "order_placed",
            "user_id": "user-of-client",
            "device_id": "device-1",
        }
        (sent,) = box.events()
        assert "ip" not in sent
        assert sent.get("user_id") is None
        assert sent["device_id"] == "device-1"

    async def test_what_it_gives_back_is_checked_like_any_event(self, box: Sandbox) -> None:
        """An edit that makes an event invalid is refused with the place, and nothing of the list is sent."""
        async with AsyncAmplitude(**box.credentials, before_send=lambda one: {**one, "price": float("nan")}) as amplitude:
            with pytest.raises(InvalidEventError) as caught:
                await amplitude.track([event(), event()])
        assert caught.value.path == "events[0].price"
        assert list(box.events()) == []

    async def test_a_function_that_raises_lets_nothing_out(self, box: Sandbox) -> None:
        """An event that could not be redacted is not sent as it was; the error says whose fault it is, and holds it as its cause."""

        def broken(one: dict[str, Any]) -> dict[str, Any]:
            raise KeyError(one["event_type"])

        async with AsyncAmplitude(**box.credentials, before_send=broken) as amplitude:
            with pytest.raises(InvalidEventError, match=r"events\[0\]: before_send raised KeyError") as caught:
                await amplitude.track(event())
            with pytest.raises(InvalidEventError, match=r"identifications\[0\]: before_send raised KeyError"):
                await amplitude.identify({"user_id": "user-12345", "user_properties": {"plan": "pro"}})
        assert isinstance(caught.value.__cause__, KeyError)
        assert list(box.events()) == []

    @pytest.mark.parametrize("nonsense", [True, "text", 5, [("event_type", "x")]])
    async def test_giving_back_anything_else_is_refused(self, box: Sandbox, nonsense: Any) -> None:
        """A forgotten return is None and drops; anything that is neither an event nor None is a mistake, and said to be one."""
        async with AsyncAmplitude(**box.credentials, before_send=lambda _: nonsense) as amplitude:
            with pytest.raises(InvalidEventError, match=f"before_send gave back {type(nonsense).__name__}"):
                await amplitude.track(event())

    async def test_a_coroutine_is_refused_without_a_warning(self, box: Sandbox) -> None:
        """A plain function that gives back a coroutine is found out when it is called; nobody is told of one never awaited."""

        async def later(one: dict[str, Any]) -> dict[str, Any]:
            return one

        async with AsyncAmplitude(**box.credentials, before_send=lambda one: later({**one})) as amplitude:  # type: ignore[arg-type,return-value]
            with pytest.raises(InvalidEventError, match="before_send gave back coroutine"):
                await amplitude.track(event())

    async def test_identifications_pass_it_too(self, box: Sandbox) -> None:
        """They have an event_type there that tells them apart, which is not sent; what is dropped is counted."""
        kinds: list[str] = []

        def look(one: dict[str, Any]) -> Mapping[str, Any] | None:
            kinds.append(one["event_type"])
            return without_mail(one) if one.get("user_id") != "nobody" else None

        properties = {"user_properties": {"mail": "ada@example.org", "plan": "pro"}}
        async with AsyncAmplitude(**box.credentials, before_send=look) as amplitude:
            assert (
                await amplitude.identify([{"user_id": "user-12345", **properties}, {"user_id": "nobody", **properties}]) == "success"
            )
            assert await amplitude.identify({"user_id": "nobody", **properties}) is None
            group = {"group_type": "org", "group_value": "acme", "group_properties": {"seats": 5}}
            assert await amplitude.group_identify(group) == "success"
            assert amplitude.dropped == 2
            found = await amplitude.user_search("user-12345")
            user = await amplitude.user_activity(found["matches"][0]["amplitude_id"])
        assert kinds == ["$identify", "$identify", "$identify", "$groupidentify"]
        assert user["userData"]["properties"] == {"plan": "pro"}

    async def test_the_batch_api_passes_it_too(self, box: Sandbox) -> None:
        """A backfill is redacted like anything else, and says what was left out."""
        own = [event("a", event_properties={"mail": "ada@example.org"}), event("noise"), event("b", time="no time")]
        async with AsyncAmplitude(**box.credentials, before_send=lambda one: without_noise(without_mail(one))) as amplitude:
            result = await amplitude.batch(own[:2])
            nothing = await amplitude.batch(own[1])
            with pytest.raises(PartialDeliveryError) as caught:
                await amplitude.batch(own)
        assert (result["code"], result["events_ingested"], result["events_dropped"]) == (200, 1, 1)
        assert (nothing["code"], nothing["events_dropped"]) == (0, 1)
        assert (caught.value.delivered, set(caught.value.failed), caught.value.dropped) == ((0,), {2}, (1,))
        assert [one.get("event_properties", {}) for one in box.events()] == [{}, {}]

    async def test_a_view_may_have_another_or_none(self, box: Sandbox) -> None:
        """with_options replaces it or takes it away; the client keeps its own."""
        async with AsyncAmplitude(**box.credentials, before_send=without_noise) as amplitude:
            await amplitude.with_options(before_send=None).track(event("noise"))
            await amplitude.with_options(before_send=lambda one: {**one, "event_type": "renamed"}).track(event("noise"))
            await amplitude.with_options(max_retries=0).track([event("noise"), event("kept")])
            await amplitude.track([event("noise"), event("kept")])
            assert amplitude.dropped == 2
        assert [one["event_type"] for one in box.events()] == ["noise", "renamed", "kept", "kept"]


class TestOutboxes:
    """The outbox runs on asyncio."""

    def test_dropped_events_are_in_the_books(self, box: Sandbox) -> None:
        """They are accepted and dropped, for a reason that is counted; receipts say so, and the books balance."""
        told: list[Any] = []

        async def main() -> None:
            async with AsyncAmplitude(**box.credentials, before_send=without_noise) as amplitude:
                async with amplitude.outbox(on_delivery=told.extend) as outbox:
                    left_out = [outbox.put_nowait(event("noise", insert_id="id-1")), await outbox.put(event("noise"))]
                    many = await outbox.put_many([event("a"), event("noise"), event("b")])
                    assert [await one for one in (*left_out, many[1])] == [DROPPED] * 3
                    assert await outbox.flush(5)
                    assert [(await one).status for one in many] == ["delivered", "dropped", "delivered"]
                    stats = outbox.stats()
                    assert (stats.accepted, stats.delivered, stats.dropped, stats.pending) == (5, 2, 3, 0)
                    assert stats.reasons == {"dropped: before_send": 3}
                    assert left_out[0].insert_id == "id-1"
                    report = await outbox.aclose()
                    assert (report.delivered, report.dropped) == (2, 3)

        asyncio.run(main())
        assert sorted(one["event_type"] for one in box.events()) == ["a", "b"]
        assert len(told) == 5

    def test_the_clients_function_comes_first_then_the_outboxs(self, box: Sandbox) -> None:
        """An outbox of its own function does not lose the client's: what redacts for the client redacts there too."""

        async def main() -> None:
            async with AsyncAmplitude(**box.credentials, before_send=without_mail) as amplitude:
                async with amplitude.outbox(before_send=lambda one: {**one, "event_type": f"{one['event_properties']}"}) as outbox:
                    await outbox.put(event(event_properties={"mail": "ada@example.org", "n": 1}))
                    assert await outbox.flush(5)
                assert amplitude.dropped == 0

        asyncio.run(main())
        assert [one["event_type"] for one in box.events()] == ["{'n': 1}"]

    def test_on_disk_only_what_it_gave_back_is_stored(self, box: Sandbox, tmp_path: Path) -> None:
        """What is redacted is on no disk, and what is dropped is not there either."""
        path = tmp_path / "events.db"

        async def main() -> None:
            async with AsyncAmplitude(**box.credentials, before_send=lambda one: without_noise(without_mail(one))) as amplitude:
                with box.faults.during(status=503):
                    outbox = amplitude.outbox(path)
                    await outbox.open()
                    await outbox.put(event(event_properties={"mail": "ada@example.org", "n": 1}))
                    receipt = await outbox.put(event("noise", event_properties={"mail": "ada@example.org"}))
                    assert await receipt.stored() is False
                    report = await outbox.aclose(timeout=0.0)
                    assert (report.kept, report.dropped) == (1, 1)

        asyncio.run(main())
        stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert b"ada@example.org" not in stored
        assert b"noise" not in stored

    def test_other_threads_call_it_themselves(self, box: Sandbox) -> None:
        """put_threadsafe runs it in the thread that puts, and the drop is booked by the loop's own."""
        threads: list[int] = []

        def look(one: dict[str, Any]) -> dict[str, Any] | None:
            threads.append(threading.get_ident())
            return without_noise(one)

        async def main() -> None:
            async with AsyncAmplitude(**box.credentials) as amplitude, amplitude.outbox(before_send=look) as outbox:
                receipts = [await asyncio.to_thread(outbox.put_threadsafe, event(kind)) for kind in ("noise", "a")]
                assert receipts[0].outcome == DROPPED
                assert await outbox.flush(5)
                assert (outbox.stats().delivered, outbox.stats().dropped) == (1, 1)

        asyncio.run(main())
        assert threading.get_ident() not in threads

    def test_identifications_of_the_outbox_pass_it_as_events(self, box: Sandbox) -> None:
        """They travel as events, and it sees them as such."""
        kinds: list[str] = []

        def look(one: dict[str, Any]) -> dict[str, Any] | None:
            kinds.append(one["event_type"])
            return None

        async def main() -> None:
            async with AsyncAmplitude(**box.credentials, before_send=look) as amplitude, amplitude.outbox() as outbox:
                await outbox.identify({"user_id": "user-12345", "user_properties": {"plan": "pro"}})
                outbox.identify_nowait({"user_id": "user-12345", "user_properties": {"plan": "pro"}})
                group = {"group_type": "org", "group_value": "acme", "user_id": "user-12345", "group_properties": {"seats": 5}}
                outbox.group_identify_nowait(group)
                assert outbox.stats().dropped == 3

        asyncio.run(main())
        assert kinds == ["$identify", "$identify", "$groupidentify"]

    def test_a_full_outbox_drops_what_is_not_wanted_without_room_for_it(self, box: Sandbox) -> None:
        """An event that goes nowhere needs no room: it neither waits nor is refused."""

        async def main() -> None:
            async with AsyncAmplitude(**box.credentials, before_send=without_noise) as amplitude:
                async with amplitude.outbox(max_events=1, linger=60) as outbox:
                    outbox.put_nowait(event("a"))
                    assert outbox.put_nowait(event("noise")).outcome == DROPPED
                    assert (await outbox.put(event("noise"), timeout=0.0)).outcome == DROPPED
                    assert outbox.stats().refused == 0

        asyncio.run(main())

    def test_a_function_that_raises_leaves_the_books_alone(self, box: Sandbox) -> None:
        """The event is refused at the call and was never accepted."""

        def broken(one: dict[str, Any]) -> dict[str, Any]:
            raise ValueError

        async def main() -> None:
            async with AsyncAmplitude(**box.credentials) as amplitude, amplitude.outbox(before_send=broken) as outbox:
                with pytest.raises(InvalidEventError, match="before_send raised ValueError"):
                    outbox.put_nowait(event())
                with pytest.raises(InvalidEventError, match="before_send raised ValueError"):
                    await outbox.put_many([event()])
                assert outbox.stats().accepted == 0

        asyncio.run(main())


async def later(one: dict[str, Any]) -> dict[str, Any]:
    return one


@pytest.mark.parametrize("wrong", ["text", 5, later])
def test_what_is_no_plain_function_is_refused_at_once(wrong: Any) -> None:
    """On the client, on a view and on an outbox, before any event meets it."""
    amplitude = AsyncAmplitude("key")
    for make in (
        lambda: AsyncAmplitude("key", before_send=wrong),
        lambda: amplitude.with_options(before_send=wrong),
        lambda: amplitude.outbox(before_send=wrong),
    ):
        with pytest.raises(ConfigurationError, match="before_send must be a plain function"):
            make()


def test_cycles_and_shared_parts_are_copied_as_they_are() -> None:
    """What points into itself does so after copying, without the caller's objects in it: the check that follows says where."""
    from amplitude_async.events import Defaults

    own: dict[str, Any] = event(event_properties={"list": [{"deep": ({"n": 1},)}]})
    own["event_properties"]["itself"] = own["event_properties"]
    passed = Sieve(lambda one: one).let_through(own, "event", Defaults())
    assert passed is not None
    properties = passed["event_properties"]
    assert properties is not own["event_properties"]
    assert properties["itself"] is properties
    assert properties["list"][0]["deep"][0] == {"n": 1}
    assert properties["list"][0]["deep"][0] is not own["event_properties"]["list"][0]["deep"][0]
