"""User profiles. Page: https://amplitude.com/docs/apis/analytics/user-profile."""

from __future__ import annotations

from .table import Row

ROWS = [
    Row(
        name="User profile",
        method="GET",
        path="/v1/userprofile",
        hosts=("profile-api.amplitude.com", None),
        auth="Api-Key secret",
        encoding="query",
        call=lambda amplitude: amplitude.profiles.get(
            user_id="u-4711",
            device_id="dev-1",
            rec_id=["r-55", "r-56"],
            get_amp_props=True,
            prediction_id="pr-9",
            propensity_type="pct",
        ),
        query=[
            ("user_id", "u-4711"),
            ("device_id", "dev-1"),
            ("get_recs", "true"),
            ("rec_id", "r-55,r-56"),
            ("get_amp_props", "true"),
            ("get_propensity", "true"),
            ("prediction_id", "pr-9"),
            ("propensity_type", "pct"),
        ],
        answer=(200, "application/json", b'{"userData":{"user_id":"u-4711"}}'),
    ),
]
