"""The APIs beyond ingestion, user data and export: one module each, which gives its routes."""

from amplitude_async.sandbox.apis import (
    annotations,
    cohorts,
    evaluation,
    experiment,
    identities,
    lookup_tables,
    operations,
    privacy,
    profiles,
    queries,
    releases,
    scim,
    taxonomy,
)

ALL = (
    annotations,
    cohorts,
    evaluation,
    experiment,
    identities,
    lookup_tables,
    operations,
    privacy,
    profiles,
    queries,
    releases,
    scim,
    taxonomy,
)
