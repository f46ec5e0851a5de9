"""AsyncAmplitude: reads its configuration, owns the connection, hands out the calls."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from amplitude_async._io.caller import Caller, Policy
from amplitude_async._io.chance import now_ms, stamp
from amplitude_async._io.connection import CLOSE_SECONDS, Connection, Settings
from amplitude_async._io.logs import VARIABLE, follow
from amplitude_async._io.observing import Asked
from amplitude_async.configuration import CREDENTIALS, Given, Masked, checked_quotas, checked_when_limited, whole_setting
from amplitude_async.errors import ConfigurationError, shown
from amplitude_async.events import Defaults, epoch_ms
from amplitude_async.options import DEFAULT_MAX_RETRIES, UNSET, Backoff, Timeout, Unset, as_timeout
from amplitude_async.resources import ingestion
from amplitude_async.resources.before_send import Sieve, check_before_send
from amplitude_async.resources.namespaces import Namespaces

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date
    from types import TracebackType

    from amplitude_async._io.caller import WhenLimited
    from amplitude_async._io.transport.wire import HttpClient
    from amplitude_async._protocol.budget import Quota, QuotaName
    from amplitude_async._protocol.hosts import Api, Region
    from amplitude_async._protocol.inflating import ArchiveLimits
    from amplitude_async.delivery.hooks import Setback
    from amplitude_async.delivery.ledger import Overflow
    from amplitude_async.delivery.opening import Durability
    from amplitude_async.delivery.outbox import Outbox
    from amplitude_async.delivery.receipts import Receipt
    from amplitude_async.events import EventInput
    from amplitude_async.exporting.export import Export, Incomplete
    from amplitude_async.resources.before_send import BeforeSend
    from amplitude_async.resources.dashboard import Segmentation, UserActivity, UserSearch
    from amplitude_async.resources.identities import UserMappings
    from amplitude_async.resources.ingestion import TrackResult

__all__ = ["AsyncAmplitude"]

_TRANSPORTS: Final = ("httpx", "httpx2", "aiohttp")
MAX_RETRIES_LIMIT: Final = 100
_TRACK: Final = Asked("ingestion", "ingestion", "POST", "/2/httpapi")
_BATCH: Final = Asked("ingestion", "ingestion", "POST", "/batch")


class AsyncAmplitude(Namespaces):
    """The Amplitude client for async Python.

    One client owns one shared ``httpx.AsyncClient``; make one per event loop and keep it for the life of the service. It works as
    an async context manager, or without one if ``aclose()`` is called. Building it does no I/O. It belongs to the event loop of its
    first use.

    Credentials, ``region``, ``base_url`` and the two endpoints fall back to the environment (``AMPLITUDE_API_KEY``,
    ``AMPLITUDE_SECRET_KEY``, ``AMPLITUDE_REGION``, ``AMPLITUDE_BASE_URL``, ``AMPLITUDE_TOKEN_ENDPOINT``,
    ``AMPLITUDE_DASHBOARD_ENDPOINT``, ``AMPLITUDE_ORG_API_KEY`` ...), read here and nowhere else. An empty string counts as absent.
    ``AMPLITUDE_LOG=debug`` (or ``info``, ``warning``, ``error``) shows on the standard error stream what the library logs.

    Args:
        api_key: The project's API key.
        secret_key: The project's secret key; needed by every dashboard call and by exports.
        user_id: Given to events and identifications without one; ``None`` and ``""`` mean absent.
        device_id: The same for device ids.
        session_id: The same for session ids: ms since the epoch, or a datetime.
        region: ``"us"`` (default) or ``"eu"``: where the project lives.
        base_url: One origin that serves every API: the sandbox, a proxy. It gets every credential.
        token_endpoint: The ingestion origin alone; it never gets the secret key.
        dashboard_endpoint: The dashboard and export origin alone.
        timeout: Seconds that one attempt may take (for streams: silence between bytes), or a :class:`Timeout`.
        max_retries: Attempts after the first, 2 by default.
        max_connections: Requests in flight at once; 50 by default, 8 on a client of your own.
        share_requests: Let awaited uploads that wait at the same moment go out in one request; on by default. ``False`` gives a
            request per call.
        trust_env: Take proxies and certificate files from the environment; off by default.
        allow_clear_text: Allow ``http://`` endpoints beyond loopback; off by default.
        http_client: An ``httpx.AsyncClient`` of your own, or anything with its ``build_request``, ``send`` and ``aclose``. It is
            used as it is and never closed here.
        transport: What the client that is built here stands on: ``"httpx"``, ``"httpx2"`` or ``"aiohttp"`` (extras).
        ssl_context: A TLS context of your own. There is no switch that turns verification off.
        backoff: How long to wait between attempts.
        when_limited: What a call does that would pass a limit of Amplitude's (5 queries in flight, cost per hour, ...): ``"wait"``
            (default) waits for room, within the call's own deadline if it has one; ``"raise"`` is a :class:`BudgetError`.
        before_send: A plain function that every event and identification passes, just before it is checked and encoded, here and in
            outboxes: what it gives back is sent, or nothing if that is ``None``. It may edit what it is given. Identifications have
            the ``event_type`` ``"$identify"`` or ``"$groupidentify"`` there.
        quotas: Other limits than the documented ones, by name, such as ``{"queries": Quota(windows=(Window(5000, 300),))}``.
        org_api_key: The organisation's API key (rarer APIs).
        org_secret_key: The organisation's secret key.
        deployment_key: The Experiment deployment key.
        management_key: The Experiment management key.
        scim_token: The SCIM key.

    Raises:
        ConfigurationError: The API key is missing, or an option makes no sense; names the argument and the variable.
    """

    _caller: Caller

    def __init__(  # noqa: PLR0913 - the settings of one object
        self,
        api_key: str | None = None,
        *,
        secret_key: str | None = None,
        user_id: str | None = None,
        device_id: str | None = None,
        session_id: object = None,
        region: Region | None = None,
        base_url: str | None = None,
        token_endpoint: str | None = None,
        dashboard_endpoint: str | None = None,
        timeout: float | Timeout | None = None,
        max_retries: int = DEFAULT_MAX_RETRIES,
        max_connections: int | None = None,
        share_requests: bool = True,
        trust_env: bool = False,
        allow_clear_text: bool = False,
        http_client: HttpClient | None = None,
        transport: Literal["httpx", "httpx2", "aiohttp"] = "httpx",
        ssl_context: ssl.SSLContext | None = None,
        backoff: Backoff | None = None,
        when_limited: WhenLimited = "wait",
        quotas: Mapping[QuotaName, Quota] | None = None,
        before_send: BeforeSend | None = None,
        org_api_key: str | None = None,
        org_secret_key: str | None = None,
        deployment_key: str | None = None,
        management_key: str | None = None,
        scim_token: str | None = None,
    ) -> None:
        given = (api_key, secret_key, org_api_key, org_secret_key, deployment_key, management_key, scim_token)
        checked = Given(
            {name: Masked(value) for name, value in zip(CREDENTIALS, given, strict=True)},
            {
                "region": Masked(region),
                "base_url": Masked(base_url),
                "token_endpoint": Masked(token_endpoint),
                "dashboard_endpoint": Masked(dashboard_endpoint),
            },
        )
        # Whatever is refused below, no frame of the traceback holds a key, nor an address with a password in it.
        del given, api_key, secret_key, org_api_key, org_secret_key, deployment_key, management_key, scim_token
        del region, base_url, token_endpoint, dashboard_endpoint
        credentials = checked.credentials()
        endpoints = checked.endpoints(allow_clear_text=allow_clear_text)
        if transport not in _TRANSPORTS:
            message = f"transport must be one of {', '.join(_TRANSPORTS)}, not {shown(transport)}."
            raise ConfigurationError(message)
        self._check_http_client(http_client)
        if max_connections is not None:
            max_connections = whole_setting("max_connections", max_connections, least=1, most=10_000)
        settings = Settings(
            endpoints, credentials, transport, http_client, max_connections, trust_env, ssl_context, checked_quotas(quotas)
        )
        policy = Policy(
            as_timeout(timeout),
            whole_setting("max_retries", max_retries, least=0, most=MAX_RETRIES_LIMIT),
            Backoff() if backoff is None else backoff,
            checked_when_limited(when_limited),
        )
        self._caller = Caller(Connection(settings), policy)
        self._defaults = Defaults(user_id, device_id, _session(session_id))
        self._sieve = _sieve(before_send)
        self._shares = share_requests
        self._is_view = False
        follow(os.environ.get(VARIABLE))

    @staticmethod
    def _check_http_client(http_client: object) -> None:
        if http_client is None:
            return
        missing = [name for name in ("build_request", "send", "aclose") if not callable(getattr(http_client, name, None))]
        if missing:
            message = f"http_client must be an httpx.AsyncClient or have its shape; {', '.join(missing)} is missing."
            raise ConfigurationError(message)

    def __repr__(self) -> str:
        if not hasattr(self, "_caller"):
            return "<AsyncAmplitude refused at construction>"
        shown_apis: tuple[Api, ...] = ("ingestion", "dashboard")
        endpoints = self._caller.connection.settings.endpoints
        origins = " ".join(f"{api}={endpoint.origin}" for api in shown_apis if (endpoint := endpoints[api]) is not None)
        state = " closed" if self._caller.connection.is_closed else ""
        return f"<AsyncAmplitude{state} {origins}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self, *, timeout: float = CLOSE_SECONDS) -> None:  # noqa: ASYNC109 - a limit for what is in flight
        """Close the client: refuse new calls, let those in flight end, close every connection.

        Safe to call again, and while being cancelled. On a view made by :meth:`with_options` it does nothing: the connection belongs
        to the client the view was made of.

        Args:
            timeout: Seconds that requests in flight are given; then their connections are cut.
        """
        if not self._is_view:
            await self._caller.aclose(timeout)

    def with_options(  # noqa: PLR0913 - the settings of one object
        self,
        *,
        timeout: float | Timeout | Unset = UNSET,
        max_retries: int | Unset = UNSET,
        backoff: Backoff | Unset = UNSET,
        share_requests: bool | Unset = UNSET,
        when_limited: WhenLimited | Unset = UNSET,
        before_send: BeforeSend | Unset | None = UNSET,
        user_id: str | Unset | None = UNSET,
        device_id: str | Unset | None = UNSET,
        session_id: object = UNSET,
    ) -> AsyncAmplitude:
        """Return a cheap view of this client with other options; it shares the connections and the limiters.

        What is left out, or given as :data:`~amplitude_async.UNSET`, stays as it is.

        Args:
            timeout: As for the client.
            max_retries: As for the client.
            backoff: As for the client.
            share_requests: As for the client.
            when_limited: As for the client.
            before_send: In place of the client's; ``None`` takes it away.
            user_id: As for the client; ``None`` takes the default away.
            device_id: The same.
            session_id: The same.

        Raises:
            ConfigurationError: An option makes no sense.
        """
        policy, defaults = self._caller.policy, self._defaults
        if timeout is not UNSET:
            policy = policy._replace(timeout=as_timeout(timeout))
        if max_retries is not UNSET:
            policy = policy._replace(max_retries=whole_setting("max_retries", max_retries, least=0, most=MAX_RETRIES_LIMIT))
        if backoff is not UNSET:
            policy = policy._replace(backoff=backoff)
        if when_limited is not UNSET:
            policy = policy._replace(when_limited=checked_when_limited(when_limited))
        changes = {"user_id": user_id, "device_id": device_id, "session_id": session_id}
        changed = {name: value for name, value in changes.items() if value is not UNSET}
        if "session_id" in changed:
            changed["session_id"] = _session(changed["session_id"])
        view = object.__new__(type(self))
        view._caller = Caller(self._caller.connection, policy)
        view._defaults = defaults._replace(**changed)
        view._sieve = self._sieve if before_send is UNSET else _sieve(before_send)
        view._shares = self._shares if share_requests is UNSET else share_requests
        view._is_view = True
        return view

    @property
    def dropped(self) -> int:
        """How many events and identifications of awaited calls ``before_send`` dropped; those of outboxes are in their ``stats()``."""
        return 0 if self._sieve is None else self._sieve.dropped

    async def track(self, events: EventInput | Iterable[EventInput], *, options: Mapping[str, object] | None = None) -> TrackResult:
        """Upload one event, or a list of them, and wait until Amplitude has said yes.

        An event is a plain mapping: ``event_type``, ``user_id`` or ``device_id`` (or the client's defaults), and whatever else
        the HTTP V2 API takes. The original's 14 camelCase keys are accepted. An event without ``insert_id`` gets one, without
        ``time`` the time of the call, so that a repeated upload is never counted twice. Your objects are not changed.

        Lists longer than one request may carry (1,000 events, 900 kB) are split. Events that Amplitude refuses by name are taken
        out and the others sent again at once.

        Calls that wait at the same moment share a request (``share_requests=False`` on the client or a view gives each its own); what
        you get back, your deadline and your retries are your own. Events of one device, else user, arrive in the order of the calls.

        Args:
            events: One mapping or a list of mappings. Values may be anything that has a JSON form without loss: datetimes, Decimals,
                UUIDs, Enums, dataclasses, sets and tuples too. ``time`` and ``session_id`` are ms since the epoch, or datetimes.
            options: Amplitude's upload options; documented is ``{"min_id_length": n}`` (5 by default).

        Returns:
            ``{"code": 200, "server_upload_time": ms, "payload_size_bytes": n, "events_ingested": n}``. If ``before_send`` dropped any,
            ``events_dropped`` says how many; if it dropped all of them, nothing was sent and ``code`` is 0.

        Raises:
            InvalidEventError: An event is refused here, with the path to the fault; nothing was sent.
            PartialDeliveryError: Some events of a list were accepted, others were not.
            BadRequestError: Amplitude refused the event, or every event of the list.
            AuthenticationError: The key is invalid, or of the other region.
            RateLimitedError: A user or device sends more than 30 events/s.
            TransportError: No complete answer; ``.outcome`` says whether the events may have arrived.
            UnexpectedResponseError: A 2xx answer that is not Amplitude's; the outcome is unknown.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/http-v2
        """
        caller, observer = self._caller, self._caller.connection.observer
        sharer = caller if self._shares else None
        if observer is None:
            return await ingestion.track(
                caller, events, options=options, defaults=self._defaults, stamp=stamp, sharer=sharer, sieve=self._sieve
            )
        with observer.calling(_TRACK) as watch:
            result = await ingestion.track(
                caller, events, options=options, defaults=self._defaults, stamp=stamp, sharer=sharer, sieve=self._sieve
            )
            watch.delivered(ingestion.ingested(result))
            return result

    async def identify(self, identifications: EventInput | Iterable[EventInput]) -> Any:  # noqa: ANN401 - text or JSON
        """Change properties of one user, or of several, without an event.

        Args:
            identifications: One mapping or a list: ``user_id`` or ``device_id`` (or the client's defaults), and
                ``user_properties``: plain values, or operations such as ``{"$set": {...}, "$add": {...}}``. They pass through as
                they are.

        Returns:
            Amplitude's answer: the text ``"success"``; ``None`` if ``before_send`` dropped all of them and nothing was sent.

        Raises:
            InvalidEventError: An identification is refused here; nothing was sent.
            PartialDeliveryError: Some of a long list were accepted, others were not.
            AmplitudeError: As for :meth:`track`. An identification with ``$add``, ``$append`` or ``$prepend`` is not
                repeated when its outcome is unknown.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/identify
        """
        return await ingestion.identify(self._caller, identifications, defaults=self._defaults, sieve=self._sieve)

    async def group_identify(self, identifications: EventInput | Iterable[EventInput]) -> Any:  # noqa: ANN401 - as above
        """Change properties of one group, or of several.

        Args:
            identifications: One mapping or a list: ``group_type``, ``group_value`` and ``group_properties`` (plain values or
                operations).

        Returns:
            Amplitude's answer: the text ``"success"``; ``None`` if ``before_send`` dropped all of them and nothing was sent.

        Raises:
            InvalidEventError: An identification is refused here; nothing was sent.
            AmplitudeError: As for :meth:`identify`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/group-identify
        """
        return await ingestion.group_identify(self._caller, identifications, sieve=self._sieve)

    async def batch(
        self,
        events: EventInput | Iterable[EventInput],
        *,
        options: Mapping[str, object] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - a limit for several requests
    ) -> TrackResult:
        """Upload a large list of events by the Batch API, for backfills: 2,000 events and 8 MB a request, one after another.

        Checks, insert ids, results and errors are those of :meth:`track`. Users and devices that Amplitude calls too fast (1,000
        events/s) are left alone for 15 s while the others go on, and tried again, eight times in a row; those over their quota of
        the day (500,000) are given up. Events of one device, else user, arrive in the order of the list.

        Args:
            events: One mapping or a list of them.
            options: Amplitude's upload options.
            timeout: Seconds for the whole list; left out, each request has the limits of an upload.

        Returns:
            ``{"code": 200, "server_upload_time": ms, "payload_size_bytes": n, "events_ingested": n}``, the last request's, with the
            count of the whole list.

        Raises:
            InvalidEventError: An event is refused here; nothing was sent.
            PartialDeliveryError: Some events were accepted, others were not.
            RateLimitedError: None was accepted: its users and devices are too fast, or over their quota.
            AmplitudeError: As for :meth:`track`.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/batch-event-upload
        """
        from amplitude_async.resources.batches import batch  # noqa: PLC0415 - loaded on first use

        observer = self._caller.connection.observer
        if observer is None:
            return await batch(
                self._caller, events, options=options, defaults=self._defaults, stamp=stamp, timeout=timeout, sieve=self._sieve
            )
        with observer.calling(_BATCH) as watch:
            result = await batch(
                self._caller, events, options=options, defaults=self._defaults, stamp=stamp, timeout=timeout, sieve=self._sieve
            )
            watch.delivered(ingestion.ingested(result))
            return result

    async def alias(self, mappings: EventInput | Iterable[EventInput]) -> Any:  # noqa: ANN401 - as above
        """Map users of a project to one user across projects, or unmap them.

        Long lists are split: 1,500 mappings a request, and no more than that in 30 s, which is waited for here. The same mapping
        twice is one.

        Args:
            mappings: One mapping or a list: ``{"user_id": "ada-web", "global_user_id": "ada@example.org"}``, or
                ``{"user_id": "ada-web", "unmap": True}``. ``userId`` and ``globalUserId`` are accepted.

        Returns:
            Amplitude's answer: the text ``"success"``.

        Raises:
            InvalidEventError: A mapping is refused here, with its place; nothing was sent.
            PartialDeliveryError: Some of a long list were accepted, others were not.
            BudgetError: The limit leaves no room and ``when_limited="raise"``.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/user-mapping
        """
        from amplitude_async.resources.identities import alias  # noqa: PLC0415 - loaded on first use

        return await alias(self._caller, mappings)

    async def user_mappings(self, user_ids: str | Iterable[str]) -> UserMappings:
        """Ask what users are mapped to, and what is mapped to them.

        Args:
            user_ids: One user id or several; more than 100 are asked for in several requests.

        Returns:
            By user id ``{"amplitude_id": ..., "mapped_from": [...], "mapped_to": [...]}``, the lists holding
            ``{"amplitude_id": ..., "user_id": ...}``. Both lists are empty for a user without mappings; ``amplitude_id`` may be
            missing.

        Raises:
            InvalidArgumentError: There is no id, or one is blank or ``*``-like.
            ConfigurationError: The client has no secret key.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/user-mapping
        """
        from amplitude_async.resources.identities import user_mappings  # noqa: PLC0415 - loaded on first use

        return await user_mappings(self._caller, user_ids)

    async def attribution(self, event: EventInput) -> Any:  # noqa: ANN401 - as above
        """Tell by which campaign somebody came. Amplitude matches it to a user by an advertising id, within 72 h.

        Not repeated when its outcome is unknown: nothing would tell the second copy from the first.

        Args:
            event: ``event_type`` (by convention ``"[Acme Ads] Install"``), ``platform`` (``"ios"`` with ``idfa`` or ``idfv``,
                ``"android"`` with ``adid`` or ``android_app_set_id``), and if you like ``user_properties`` and ``time`` (ms since the
                epoch, or a datetime).

        Returns:
            Amplitude's answer: the text ``"success"``.

        Raises:
            InvalidEventError: Something is missing; nothing was sent.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/attribution
        """
        from amplitude_async.resources.identities import attribution  # noqa: PLC0415 - loaded on first use

        return await attribution(self._caller, event)

    def outbox(  # noqa: PLR0913 - the settings of one object
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        folder: str | os.PathLike[str] | None = None,
        api: Literal["http_v2", "batch"] = "http_v2",
        options: Mapping[str, object] | None = None,
        overflow: Overflow = "block",
        max_bytes: int | None = None,
        max_events: int | None = None,
        durability: Durability = "power",
        compress: bool = False,
        linger: float = 0.1,
        on_delivery: Callable[[Sequence[Receipt]], object] | None = None,
        on_setback: Callable[[Setback], object] | None = None,
        before_send: BeforeSend | None = None,
    ) -> Outbox:
        """Return an outbox: background delivery, for handlers that must not wait. asyncio only.

        Nothing is opened here; use it as ``async with amplitude.outbox(...) as outbox``. Closing the client closes its outboxes first.

        Args:
            path: Keep events in this file until they are delivered. Left out: in memory.
            folder: Keep them in a file of this folder, one for each process; files of processes that are gone are taken over, at
                opening and within a minute while it is open.
            api: ``"http_v2"``: up to 1,000 events and 900 kB a request; ``"batch"``: 2,000 and 8 MB, for backfills.
            options: Amplitude's upload options, the same for all events; kept in the file.
            overflow: Without room, ``"block"``: ``put`` waits and ``put_nowait`` refuses; ``"reject"``: both refuse;
                ``"drop_newest"``, ``"drop_oldest"``: both accept, and an event is dropped and counted.
            max_bytes: Room for pending events, 600 bytes each included: 64 MiB in memory, 1 GiB on disk by default.
            max_events: How many events may be pending: 100,000 in memory; on disk only the bytes count.
            durability: What an event survives once it is on the disk: ``"power"`` loss, or the end of the ``"process"`` (quicker).
            compress: Send gzip bodies. Off by default: Amplitude documents it for no ingestion endpoint.
            linger: Seconds that an event waits for others to share its request.
            on_delivery: Called with receipts whose events were settled; plain or async. What it raises is logged.
            on_setback: Called with a :class:`Setback` whenever delivery is held up; plain or async.
            before_send: A plain function that events pass after the client's own one; what it drops is counted as dropped, for the
                reason ``before_send``. It is called by whoever puts an event, in that thread.

        Raises:
            ConfigurationError: An option makes no sense.
            InvalidArgumentError: ``options`` is no mapping of JSON values.
        """
        from amplitude_async.delivery.choosing import choose  # noqa: PLC0415 - who only awaits calls does not load the outbox
        from amplitude_async.delivery.outbox import Outbox  # noqa: PLC0415 - as above

        chosen = choose(
            path=path,
            folder=folder,
            api=api,
            options=options,
            overflow=overflow,
            max_bytes=max_bytes,
            max_events=max_events,
            durability=durability,
            compress=compress,
            linger=linger,
            on_delivery=on_delivery,
            on_setback=on_setback,
            before_send=_sieve(before_send, *(self._sieve.functions if self._sieve is not None else ())),
        )
        return Outbox(self._caller, self._defaults, chosen)

    async def user_search(self, user: str | int) -> UserSearch:
        """Find users by Amplitude id, device id, user id, or the beginning of a user id.

        Args:
            user: What to look for; not blank.

        Returns:
            ``{"type": ..., "matches": [{"amplitude_id": ..., "user_id": ...}]}``; ``type`` is ``"nomatch"`` when nobody was found.

        Raises:
            InvalidArgumentError: ``user`` is blank.
            ConfigurationError: The client has no secret key.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#user-search
        """
        return await self.dashboard.user_search(user)

    async def user_activity(
        self, amplitude_id: int | str, *, offset: int | None = None, limit: int | None = None, **parameters: object
    ) -> UserActivity:
        """Ask for a user's summary and events.

        Args:
            amplitude_id: The Amplitude id; :meth:`user_search` gives it.
            offset: How many of the newest events to skip, from 0.
            limit: How many events to give, up to 1,000; more may come so that no session is cut.
            **parameters: Further parameters of the API, such as ``direction="earliest"``.

        Returns:
            ``{"userData": {...}, "events": [...]}``; for an unknown id counts of zero and no events.

        Raises:
            InvalidArgumentError: The id is blank, or a bound makes no sense.
            ConfigurationError: The client has no secret key.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#user-activity
        """
        from amplitude_async.resources.dashboard.calls import activity_call  # noqa: PLC0415 - loaded on first use

        asked = {"amplitude_id": amplitude_id, "offset": offset, "limit": limit, **parameters}
        answer: UserActivity = await self._caller.run(activity_call(asked))
        return answer

    async def event_segmentation(
        self, *, e: Mapping[str, object] | str | list[Any], start: date | str, end: date | str, **parameters: object
    ) -> Segmentation:
        """Ask how often, or by how many, an event was done; ``dashboard.segmentation`` is the same with every parameter by name.

        Args:
            e: The event: an :class:`~amplitude_async.Event`, a mapping such as ``{"event_type": "signup", "filters": [...]}``, or the
                JSON text of one.
            start: First day, inclusive: a date, or ``YYYYMMDD``. Amplitude reads it in the project's time zone.
            end: Last day, inclusive.
            **parameters: Further parameters by Amplitude's names: ``e2``, ``m`` (``"uniques"``, ``"totals"``, ...), ``i`` (1, 7, 30,
                -3600000), ``s``, ``g``, ``g2``, ``limit``, ``formula``, ``rollingWindow`` (or ``rolling_window``). Mappings and lists
                go out as JSON.

        Returns:
            ``{"data": {"series": [[...]], "seriesLabels": [...], "xValues": [...]}}``.

        Raises:
            InvalidArgumentError: ``e`` is not an event definition, a bound is no date, or the start is after the end.
            ConfigurationError: The client has no secret key.
            AmplitudeError: Amplitude refused, or did not answer.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/dashboard-rest#event-segmentation
        """
        from amplitude_async.resources.dashboard.calls import segmentation_call  # noqa: PLC0415 - loaded on first use

        answer: Segmentation = await self._caller.run(segmentation_call({"e": e, "start": start, "end": end, **parameters}))
        return answer

    def export(
        self,
        *,
        start: date | str,
        end: date | str,
        split: bool = True,
        allow_incomplete: Incomplete = "warn",
        limits: ArchiveLimits | None = None,
    ) -> Export:
        """Return an export of raw events; nothing is sent until it is used.

        ``async for chunk in amplitude.export(...)`` gives the bytes of a zip of gzipped JSON lines as they arrive; ``.events()`` gives
        rows, ``.save(path)`` writes a verified zip, ``.sync(folder)`` keeps a folder up to date. The range goes by upload time, in
        UTC, both hours included.

        Args:
            start: First hour: ``YYYYMMDDTHH``, a datetime (converted to UTC; naive means UTC), or a date (its first hour).
            end: Last hour, included: the same; a date means its last hour.
            split: Ranges beyond 365 days are asked for in parts, and what Amplitude refuses as too much (400 above 4 GB, 504) is
                halved, down to single hours. ``False`` refuses both.
            allow_incomplete: An hour is complete about two hours after it ended. ``"warn"``: an ExportWarning if the range has
                hours that are not; ``True``: take them as they are; ``"skip"``: end with the last complete hour; ``False``: refuse.
            limits: How much of an archive is believed: its length, line length, members, growth when decoded.

        Returns:
            An :class:`Export`.

        Raises:
            InvalidArgumentError: A bound is no hour, the start is after the end, or hours are refused as incomplete.

        Amplitude's page: https://amplitude.com/docs/apis/analytics/export
        """
        from amplitude_async.exporting.export import requested_export  # noqa: PLC0415 - loaded with the first export

        return requested_export(
            self._caller, start=start, end=end, split=split, allow_incomplete=allow_incomplete, limits=limits, now=now_ms() / 1000
        )


def _sieve(before_send: object, *earlier: BeforeSend) -> Sieve | None:
    function = check_before_send(before_send)
    functions = earlier if function is None else (*earlier, function)
    return Sieve(*functions) if functions else None


def _session(value: object) -> object:
    return epoch_ms(value) if hasattr(value, "timestamp") else value  # type: ignore[arg-type]  # a datetime, by its method
