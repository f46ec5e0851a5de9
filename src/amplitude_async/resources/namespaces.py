"""The entries of the other APIs under the client, each loaded on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amplitude_async.resources.annotations import Annotations
    from amplitude_async.resources.audit_logs import AuditLogs
    from amplitude_async.resources.cohorts import Cohorts
    from amplitude_async.resources.dashboard import Dashboard
    from amplitude_async.resources.experiment import Experiment
    from amplitude_async.resources.localization import Localization
    from amplitude_async.resources.lookup_tables import LookupTables
    from amplitude_async.resources.privacy import Privacy
    from amplitude_async.resources.profiles import Profiles
    from amplitude_async.resources.releases import Releases
    from amplitude_async.resources.runner import Runner
    from amplitude_async.resources.scim import Scim
    from amplitude_async.resources.session_replay import SessionReplay
    from amplitude_async.resources.streaming import Streaming
    from amplitude_async.resources.taxonomy import Taxonomy

__all__ = ["Namespaces"]


class Namespaces:
    """What hangs off a client; an entry shares the client's connections, options and quotas."""

    _caller: Runner

    @property
    def dashboard(self) -> Dashboard:
        """Charts and user data: segmentation, funnels, retention, and the other queries."""
        from amplitude_async.resources.dashboard import Dashboard  # noqa: PLC0415 - loaded on first use

        return Dashboard(self._caller)

    @property
    def cohorts(self) -> Cohorts:
        """Behavioural cohorts: listed, downloaded, uploaded, changed."""
        from amplitude_async.resources.cohorts import Cohorts  # noqa: PLC0415 - loaded on first use

        return Cohorts(self._caller)

    @property
    def profiles(self) -> Profiles:
        """User profiles: properties, cohorts, recommendations, predictions."""
        from amplitude_async.resources.profiles import Profiles  # noqa: PLC0415 - loaded on first use

        return Profiles(self._caller)

    @property
    def taxonomy(self) -> Taxonomy:
        """The tracking plan: categories, event types and properties."""
        from amplitude_async.resources.taxonomy import Taxonomy  # noqa: PLC0415 - loaded on first use

        return Taxonomy(self._caller)

    @property
    def annotations(self) -> Annotations:
        """Notes on charts, and their categories."""
        from amplitude_async.resources.annotations import Annotations  # noqa: PLC0415 - loaded on first use

        return Annotations(self._caller)

    @property
    def releases(self) -> Releases:
        """Releases, marked on charts."""
        from amplitude_async.resources.releases import Releases  # noqa: PLC0415 - loaded on first use

        return Releases(self._caller)

    @property
    def lookup_tables(self) -> LookupTables:
        """CSV tables that properties are looked up in."""
        from amplitude_async.resources.lookup_tables import LookupTables  # noqa: PLC0415 - loaded on first use

        return LookupTables(self._caller)

    @property
    def privacy(self) -> Privacy:
        """Deletion of users, and what is known of one (DSAR)."""
        from amplitude_async.resources.privacy import Privacy  # noqa: PLC0415 - loaded on first use

        return Privacy(self._caller)

    @property
    def scim(self) -> Scim:
        """People and groups of the organisation (SCIM 2.0)."""
        from amplitude_async.resources.scim import Scim  # noqa: PLC0415 - loaded on first use

        return Scim(self._caller)

    @property
    def streaming(self) -> Streaming:
        """How event streaming destinations are served."""
        from amplitude_async.resources.streaming import Streaming  # noqa: PLC0415 - loaded on first use

        return Streaming(self._caller)

    @property
    def audit_logs(self) -> AuditLogs:
        """Who did what in the organisation."""
        from amplitude_async.resources.audit_logs import AuditLogs  # noqa: PLC0415 - loaded on first use

        return AuditLogs(self._caller)

    @property
    def session_replay(self) -> SessionReplay:
        """Session replays and their files."""
        from amplitude_async.resources.session_replay import SessionReplay  # noqa: PLC0415 - loaded on first use

        return SessionReplay(self._caller)

    @property
    def localization(self) -> Localization:
        """Translations of guides and surveys."""
        from amplitude_async.resources.localization import Localization  # noqa: PLC0415 - loaded on first use

        return Localization(self._caller)

    @property
    def experiment(self) -> Experiment:
        """Evaluation and management of flags and experiments."""
        from amplitude_async.resources.experiment import Experiment  # noqa: PLC0415 - loaded on first use

        return Experiment(self._caller)
