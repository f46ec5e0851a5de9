"""Believable product data: people of a small shop, from sign-up over activation to purchase, who come back less and less.

Pure: a seed and a last day give the same events, down to their ids, on every machine.
"""

from __future__ import annotations

import random
import uuid
from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from amplitude_async.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    Event = dict[str, Any]

MAX_USERS: Final = 1_000_000
MAX_DAYS: Final = 365
DAY_MS: Final = 86_400_000
_MINUTE_MS: Final = 60_000

_COUNTRIES: Final = (
    ("United States", "English", "en", 34),
    ("Germany", "German", "de", 14),
    ("Norway", "Norwegian", "nb", 9),
    ("Brazil", "Portuguese", "pt", 12),
    ("India", "English", "en", 16),
    ("Japan", "Japanese", "ja", 8),
    ("Spain", "Spanish", "es", 7),
)
_PLATFORMS: Final = (("Web", "Chrome", 52), ("iOS", "ios", 28), ("Android", "android", 20))
_SOURCES: Final = (("organic", 50), ("search ad", 25), ("newsletter", 15), ("friend", 10))
_COMPANIES: Final = ("Acme", "Borealis", "Cobalt", "Dunes", "Ember")
_PRODUCTS: Final = (("sku-mug", 12.0), ("sku-shirt", 24.5), ("sku-lamp", 59.0), ("sku-chair", 129.0))
_PLANS: Final = ("free", "free", "pro")
_ACTIVATES: Final = 0.62
_BUYS: Final = 0.18
_AT_COMPANY: Final = 0.3
_FIRST_RETURN: Final = 0.55
_DECAY: Final = 0.7
_NEW_SHARE: Final = 0.6
"""Of all people, how many sign up within the days that are shown; the others were there before."""


@dataclass(frozen=True, slots=True)
class _Person:
    user_id: str
    device_id: str
    first_day: int
    traits: dict[str, Any]
    company: str | None
    is_activated: bool
    taste: float


def _drawn(rng: random.Random, table: tuple[tuple[Any, ...], ...]) -> tuple[Any, ...]:
    """Draw a row of a table whose last column is its weight."""
    sums = list(accumulate(row[-1] for row in table))
    return table[bisect_left(sums, rng.random() * sums[-1])]


def _person(rng: random.Random, number: int, days: int) -> _Person:
    country, _, code, _ = _drawn(rng, _COUNTRIES)
    platform, system, _ = _drawn(rng, _PLATFORMS)
    is_new = rng.random() < _NEW_SHARE
    company = rng.choice(_COMPANIES) if rng.random() < _AT_COMPANY else None
    return _Person(
        user_id=f"user-{number:06}",
        device_id=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        first_day=rng.randrange(days) if is_new else -rng.randrange(1, 60),
        traits={
            "country": country,
            "language": code,
            "platform": platform,
            "os_name": system,
            "app_version": f"4.{rng.randrange(3)}.0",
            "user_properties": {
                "source": _drawn(rng, _SOURCES)[0],
                "plan": "team" if company else rng.choice(("free", "free", "pro")),
            },
        },
        company=company,
        is_activated=rng.random() < _ACTIVATES,
        taste=rng.random(),
    )


def _visit(rng: random.Random, person: _Person, day: int, age: int) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Give what somebody does on one day: minutes of the day, event types, properties."""
    minute = min(int(rng.gauss(14 * 60, 200)), 23 * 60) % (23 * 60)
    if age == 0:
        yield minute, "signup", {"event_properties": {"method": rng.choice(("email", "google", "apple"))}}
        minute += 1
    yield minute, "app_opened", {}
    if person.is_activated and age == 0:
        minute += rng.randrange(1, 20)
        yield minute, "profile_completed", {"event_properties": {"steps": rng.randrange(3, 6)}}
    for _ in range(rng.randrange(1, 5)):
        minute += rng.randrange(1, 6)
        product, price = rng.choice(_PRODUCTS)
        yield minute, "item_viewed", {"event_properties": {"product": product, "price": price}}
    if person.is_activated and rng.random() < _BUYS * (0.5 + person.taste):
        product, price = rng.choice(_PRODUCTS)
        minute += 1
        yield minute, "cart_filled", {"event_properties": {"product": product}}
        if rng.random() < 0.7:  # noqa: PLR2004 - who fills a cart mostly pays
            quantity = rng.choice((1, 1, 1, 2, 3))
            yield (
                minute + 2,
                "purchase",
                {"price": price, "quantity": quantity, "productId": product, "event_properties": {"weekday": day % 7}},
            )


def world(*, users: int, days: int, seed: int, first_day_ms: int) -> list[Event]:
    """Return events in the order of their time.

    Args:
        users: How many people there are.
        days: Over how many days, from the first.
        seed: Which world it is.
        first_day_ms: Where the first day begins: ms since the epoch.

    Raises:
        InvalidArgumentError: There is nobody, no day, or too much of either.
    """
    for name, value, most in (("users", users, MAX_USERS), ("days", days, MAX_DAYS)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            message = f"{name} must be a whole number from 1 to {most:,}"
            raise InvalidArgumentError(message, argument=name)
    rng = random.Random(seed)  # noqa: S311 - a made-up world, not a secret
    events: list[Event] = []
    for number in range(users):
        person = _person(rng, number, days)
        for day in range(max(person.first_day, 0), days):
            age = day - person.first_day
            if age and rng.random() > _FIRST_RETURN * (0.4 + person.taste) / age**_DECAY:
                continue
            session = None
            for minute, kind, more in _visit(rng, person, day, age):
                time = first_day_ms + day * DAY_MS + minute * _MINUTE_MS + rng.randrange(_MINUTE_MS)
                session = session or time
                event: Event = {
                    "event_type": kind,
                    "user_id": person.user_id,
                    "device_id": person.device_id,
                    "time": time,
                    "session_id": session,
                    "insert_id": f"{rng.getrandbits(64):016x}",
                    **person.traits,
                    **more,
                }
                if person.company:
                    event["groups"] = {"company": person.company}
                events.append(event)
    events.sort(key=lambda event: (event["time"], event["insert_id"]))
    return events


def seeded(*, users: int, days: int, seed: int, now: float) -> list[Event]:
    """Return a world whose last day is the one before ``now``, in seconds since the epoch, in UTC."""
    today = int(now * 1000) // DAY_MS
    return world(users=users, days=days, seed=seed, first_day_ms=(today - days if isinstance(days, int) else 0) * DAY_MS)
