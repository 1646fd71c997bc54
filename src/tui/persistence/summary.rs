//! Converts a session's record to the summary that the journal stores. The journal has one summary per session and run;
//! `keepwatch history` merges them into one row per session. Pure.

use super::JournalScope;
use crate::store::journal::{SessionSummary, StoredVerdict};
use keepwatch_core::clock::Zone;
use keepwatch_core::session::SessionId;
use keepwatch_core::text::Untrusted;
use keepwatch_core::tracker::SessionTracker;

/// Returns the summary of a session, or `None` if no response has contained the session.
pub(super) fn session_summary(
    tracker: &SessionTracker,
    id: &SessionId,
    scope: &JournalScope,
    hides_metadata: bool,
) -> Option<SessionSummary> {
    let record = tracker.get(id)?;
    let session = record.session.as_ref()?;
    let (first_response, last_response) = (record.first_response()?, record.last_response()?);
    let clock = tracker.clock();
    let verdict = tracker.verdict(id).map(|verdict| StoredVerdict {
        name: verdict.name().into(),
        confidence: verdict.confidence.name().into(),
        sentence: Untrusted::new(verdict.summary_line(
            &session.status,
            Zone::Utc,
            clock.at(last_response.received),
        )),
    });
    Some(SessionSummary {
        session: id.clone(),
        run: scope.run.clone(),
        profile: scope.profile.clone(),
        host: scope.host.clone(),
        project: session.project.clone(),
        owner: record.owner.clone(),
        status: Some(session.status.clone()),
        region: session.region.clone(),
        keep_alive: session.keep_alive,
        context: session.context.clone(),
        created: session.created,
        started: session.started,
        ended: record.ended_at(),
        is_end_exact: record.is_end_exact(),
        expires: session.expires,
        first_seen: clock.at(first_response.received),
        last_seen: clock.at(last_response.received),
        watched: record.watched_for,
        responses: record.responses,
        proxy_bytes: session.proxy_bytes,
        verdict,
        metadata: session.metadata.clone().filter(|_| !hides_metadata),
    })
}
