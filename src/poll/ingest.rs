//! Converts the poller's reports into the tracker's inputs, for the screen and the headless commands. Keeps no state.
//! Never passes connect URLs to the tracker.

use super::{Report, Request, ResponseBody};
use keepwatch_core::session::{ApiError, ConnectUrls, SessionId};
use keepwatch_core::tracker::{Input, RequestTiming, Scope};

/// A report, split into the tracker's input and the secrets.
#[derive(Debug)]
pub struct IngestedReport {
    /// The tracker's input; `None` if the report does not concern the tracker.
    pub input: Option<Input>,
    /// For a request for connect URLs or for a live view: the id of the session, with the URLs or the error. `None` for
    /// every other request.
    pub connect_urls: Option<(SessionId, Result<ConnectUrls, ApiError>)>,
    /// True if the request was for the live view, false for every other request.
    pub is_live_view: bool,
}

impl From<Report> for IngestedReport {
    fn from(report: Report) -> Self {
        let timing = RequestTiming {
            sent: report.sent,
            received: report.received,
            date: report.date,
            age: report.age,
        };
        let next = report.next_request;
        let single_session = |id, session| Input::SessionsReceived {
            at: timing,
            scope: Scope::Session(id),
            sessions: vec![session],
            malformed: 0,
        };
        let mut connect_urls = None;
        let is_live_view = matches!(report.request, Request::LiveView(_));
        let input = match (report.request, report.result) {
            (Request::ConnectUrls(id), Ok(ResponseBody::ConnectUrls(body))) => {
                connect_urls = Some((id.clone(), Ok(body.urls)));
                Some(single_session(id, body.session))
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
            | (Request::Release(id), Ok(ResponseBody::Released(Some(session)))) => {
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
            // The projects are optional. But throttling delays every poll, so the tracker must know of it.
            (Request::Projects, Err(error)) if !error.is_throttled() => None,
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
            // Only the screen shows the recent sessions. It takes them from the report itself.
            (Request::RecentSessions, _) => None,
            // The next poll tells what became of the session.
            (Request::Release(_), Ok(ResponseBody::Released(None))) => None,
            // Unreachable: the poller pairs each request with its own type of body.
            (_, Ok(_)) => None,
        };
        Self { input, connect_urls, is_live_view }
    }
}
