//! What the poller reports → what the fleet is told. The one place where the two meet, for the screen and for the
//! commands without one.

use super::{Report, Request, ResponseBody};
use keepwatch_core::session::{ApiError, ConnectUrls, SessionId};
use keepwatch_core::tracker::{Input, RequestTiming, Scope};

/// A report, taken apart.
#[derive(Debug)]
pub struct IngestedReport {
    /// What the fleet is told; nothing where the report says nothing of the sessions.
    pub input: Option<Input>,
    /// The outcome of a fresh ask, whose secrets the fleet never sees.
    pub connect_urls: Option<(SessionId, Result<ConnectUrls, ApiError>)>,
    /// Whether that was an ask for the live view, and not for the connect URLs.
    pub is_live_view: bool,
}

impl From<Report> for IngestedReport {
    fn from(report: Report) -> Self {
        let timing = RequestTiming { sent: report.sent, received: report.received, date: report.date };
        let next = report.next_attempt;
        let single_session = |id, session| Input::SessionsReceived {
            at: timing,
            scope: Scope::Session(id),
            sessions: vec![session],
            malformed: 0,
        };
        let mut connect_urls = None;
        let is_live_view = matches!(report.request, Request::LiveView(_));
        let input = match (report.request, report.result) {
            (Request::ConnectUrls(id), Ok(ResponseBody::ConnectUrls(fresh))) => {
                connect_urls = Some((id.clone(), Ok(fresh.urls)));
                Some(single_session(id, fresh.session))
            }
            (Request::ConnectUrls(id), Err(error)) => {
                connect_urls = Some((id, Err(error)));
                None
            }
            (Request::LiveView(id), Ok(ResponseBody::LiveView(urls))) => {
                connect_urls = Some((id, Ok(urls)));
                None
            }
            (Request::LiveView(id), Err(error)) => {
                connect_urls = Some((id, Err(error)));
                None
            }
            (Request::Session(id), Ok(ResponseBody::Session(session)))
            | (Request::Release(id), Ok(ResponseBody::Released(session))) => {
                Some(single_session(id, session))
            }
            (Request::Release(id), Err(error)) => Some(Input::ReleaseFailed { at: timing, id, error, next }),
            (Request::List(list), Ok(ResponseBody::List(listing))) => Some(Input::SessionsReceived {
                at: timing,
                scope: Scope::List(list),
                sessions: listing.sessions,
                malformed: listing.malformed,
            }),
            (Request::Projects, Ok(ResponseBody::Projects(projects))) => {
                Some(Input::ProjectsReceived { at: timing, projects })
            }
            (Request::Projects, Err(error)) if !error.is_throttled() => None, // an extra, which nothing waits for
            (Request::Session(id), Err(error)) if error.is_not_found() => {
                Some(Input::SessionNotFound { at: timing, id, error, next })
            }
            (Request::Session(id), Err(error)) => {
                Some(Input::RequestFailed { at: timing, scope: Scope::Session(id), error, next })
            }
            (Request::List(list), Err(error)) => {
                Some(Input::RequestFailed { at: timing, scope: Scope::List(list), error, next })
            }
            (Request::Projects, Err(error)) => {
                Some(Input::RequestFailed { at: timing, scope: Scope::Projects, error, next })
            }
            (Request::RecentSessions, _) => None, // what ended before anybody watched is no observation
            // The poller pairs each request with its own reply.
            (_, Ok(_)) => None,
        };
        Self { input, connect_urls, is_live_view }
    }
}
