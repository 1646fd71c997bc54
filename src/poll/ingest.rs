//! What the poller reports → what the fleet is told. The one place where the two meet, for the screen and for the
//! commands without one.

use super::{Reply, Report, Request};
use keepwatch_core::session::{ApiError, ConnectUrls, SessionId};
use keepwatch_core::tracker::{Input, RequestTiming, Scope};

/// A report, taken apart.
#[derive(Debug)]
pub struct Observed {
    /// What the fleet is told; nothing where the report says nothing of the sessions.
    pub input: Option<Input>,
    /// The outcome of a fresh ask, whose secrets the fleet never sees.
    pub fresh: Option<(SessionId, Result<ConnectUrls, ApiError>)>,
    /// Whether that was an ask for the live view, and not for the connect URLs.
    pub is_live_view: bool,
}

impl From<Report> for Observed {
    fn from(report: Report) -> Self {
        let at = RequestTiming { sent: report.sent, received: report.received, date: report.date };
        let next = report.next;
        let one = |id, session| Input::SessionsReceived {
            at,
            scope: Scope::Session(id),
            sessions: vec![session],
            malformed: 0,
        };
        let mut secrets = None;
        let is_live_view = matches!(report.request, Request::LiveView(_));
        let input = match (report.request, report.outcome) {
            (Request::Fresh(id), Ok(Reply::Fresh(fresh))) => {
                secrets = Some((id.clone(), Ok(fresh.urls)));
                Some(one(id, fresh.session))
            }
            (Request::Fresh(id), Err(fault)) => {
                secrets = Some((id, Err(fault)));
                None
            }
            (Request::LiveView(id), Ok(Reply::LiveView(urls))) => {
                secrets = Some((id, Ok(urls)));
                None
            }
            (Request::LiveView(id), Err(fault)) => {
                secrets = Some((id, Err(fault)));
                None
            }
            (Request::Session(id), Ok(Reply::Session(session)))
            | (Request::Release(id), Ok(Reply::Released(session))) => Some(one(id, session)),
            (Request::Release(id), Err(fault)) => Some(Input::ReleaseFailed { at, id, error: fault, next }),
            (Request::List(list), Ok(Reply::List(listing))) => Some(Input::SessionsReceived {
                at,
                scope: Scope::List(list),
                sessions: listing.sessions,
                malformed: listing.malformed,
            }),
            (Request::Projects, Ok(Reply::Projects(projects))) => {
                Some(Input::ProjectsReceived { at, projects })
            }
            (Request::Projects, Err(fault)) if !fault.is_throttled() => None, // an extra, which nothing waits for
            (Request::Session(id), Err(fault)) if fault.is_not_found() => {
                Some(Input::SessionNotFound { at, id, error: fault, next })
            }
            (Request::Session(id), Err(fault)) => {
                Some(Input::RequestFailed { at, scope: Scope::Session(id), error: fault, next })
            }
            (Request::List(list), Err(fault)) => {
                Some(Input::RequestFailed { at, scope: Scope::List(list), error: fault, next })
            }
            (Request::Projects, Err(fault)) => {
                Some(Input::RequestFailed { at, scope: Scope::Projects, error: fault, next })
            }
            (Request::Recent, _) => None, // what ended before anybody watched is no observation
            // The poller pairs each request with its own reply.
            (_, Ok(_)) => None,
        };
        Self { input, fresh: secrets, is_live_view }
    }
}
