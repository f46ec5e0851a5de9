"""Runs the vendor's Experiment SDK for Python, as its documentation says, in a process of its own; prints what it was given as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from amplitude_experiment import Experiment, LocalEvaluationConfig, RemoteEvaluationConfig, User
from amplitude_experiment.remote.fetch_options import FetchOptions

url, key, ids = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])


def shown(variants: dict[str, Any]) -> dict[str, Any]:
    return {name: {"key": each.key, "payload": each.payload} for name, each in variants.items()}


def user(number: str) -> User:
    return User(user_id=number, user_properties={"tier": "gold"} if number.endswith("7") else {})


remote = Experiment.initialize_remote(key, RemoteEvaluationConfig(server_url=url))
local = Experiment.initialize_local(key, LocalEvaluationConfig(server_url=url))
local.start()
found = {
    "remote": {each: shown(remote.fetch_v2(user(each))) for each in ids},
    "local": {each: shown(local.evaluate_v2(user(each))) for each in ids},
    "chosen": shown(
        remote.fetch_v2(user(ids[0]), FetchOptions(tracksAssignment=False, tracksExposure=True, flagKeys=["remote-test"]))
    ),
}
local.stop()
remote.close()
sys.stdout.write(json.dumps(found) + "\n")
