//! The user's pending requests for fresh URLs of a session: connect, Selenium and live view.
//!
//! ```text
//!   c, Y, copy menu ──► UrlRequest ──► Effect::SendToPoller ──► report ──┬─► Effect::Copy
//!                                                                         └─► Focus::Reveal, for 30 s
//! ```
//!
//! Each request fetches the URLs again, because their signing keys expire. A URL is kept only while it is shown.

use std::time::Duration;

use super::effect::Effect;
use super::focus::Focus;
use super::keymap::Copyable;
use super::model::Model;
use super::notice::NoticeLevel;
use crate::poll::PollerCommand;
use keepwatch_core::clock::Moment;
use keepwatch_core::session::{ApiError, ConnectUrls, Phase, Secret, SessionId};
use keepwatch_core::text;

/// The maximum number of pending URL requests.
pub(super) const MAX_PENDING: usize = 8;
/// The maximum width of a status in a notice, in columns.
const MAX_STATUS_WIDTH: usize = 24;
/// The time for which a URL is shown.
const REVEAL_DURATION: Duration = Duration::from_secs(30);

/// A request for a fresh URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UrlRequest {
    /// The session.
    pub id: SessionId,
    /// The kind of URL: connect, Selenium or live view.
    pub copyable: Copyable,
    /// True if the URL must be shown on the screen instead of copied.
    pub must_reveal: bool,
}

impl UrlRequest {
    /// Returns true if the request is for the live view, which has an endpoint of its own. One response contains all
    /// the other URLs.
    fn is_live_view(&self) -> bool {
        self.copyable == Copyable::LiveView
    }
}

/// The pending URL requests.
#[derive(Debug, Default)]
pub(super) struct UrlRequests(Vec<UrlRequest>);

impl UrlRequests {
    /// Adds a request, unless it is already pending. Returns false if too many requests are pending.
    fn add(&mut self, request: &UrlRequest) -> bool {
        if self.0.contains(request) {
            return true;
        }
        let has_room = self.0.len() < MAX_PENDING;
        if has_room {
            self.0.push(request.clone());
        }
        has_room
    }

    /// Returns true if the response to a pending request will also answer `request`.
    fn is_covered(&self, request: &UrlRequest) -> bool {
        self.0.iter().any(|other| other.id == request.id && other.is_live_view() == request.is_live_view())
    }

    /// Removes and returns the requests that a response answers.
    fn take_matching(&mut self, id: &SessionId, is_live_view: bool) -> Vec<UrlRequest> {
        let answers = |request: &UrlRequest| request.id == *id && request.is_live_view() == is_live_view;
        let (matching, pending) = std::mem::take(&mut self.0).into_iter().partition(answers);
        self.0 = pending;
        matching
    }

    /// Returns the number of pending requests.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Model {
    /// Requests a fresh URL, or shows a notice with the reason why not.
    pub(super) fn request_url(&mut self, request: UrlRequest, now: Moment) -> Vec<Effect> {
        let name = request.copyable.name();
        let Some((profile, record)) = self.profiles.find(&request.id) else {
            self.notify(now, NoticeLevel::Error, format!("the session is not on record any more: no {name}"));
            return Vec::new();
        };
        if let Some(status) = record.status().filter(|status| status.phase() == Phase::Ended) {
            let text = format!("ended ({}): no {name}", status.sanitise(MAX_STATUS_WIDTH));
            self.notify(now, NoticeLevel::Error, text);
            return Vec::new();
        }
        // Before `add`: a request that is in the list covers itself.
        let is_covered = self.url_requests.is_covered(&request);
        if !self.url_requests.add(&request) {
            self.notify(
                now,
                NoticeLevel::Error,
                "too many URLs are on their way already; wait for one".into(),
            );
            return Vec::new();
        }
        self.notify(now, NoticeLevel::Info, format!("fetching a fresh {name}…"));
        if is_covered {
            return Vec::new();
        }
        let command = if request.is_live_view() {
            PollerCommand::FetchLiveView(request.id)
        } else {
            PollerCommand::FetchConnectUrls(request.id)
        };
        vec![Effect::SendToPoller(profile, command)]
    }

    /// Handles the result of a request for a session's URLs: finishes all pending URL requests that it answers.
    pub(super) fn on_urls_result(
        &mut self,
        id: &SessionId,
        is_live_view: bool,
        result: &Result<ConnectUrls, ApiError>,
        now: Moment,
    ) -> Vec<Effect> {
        let requests = self.url_requests.take_matching(id, is_live_view);
        requests.iter().filter_map(|request| self.finish_url_request(request, result, now)).collect()
    }

    /// Copies or shows the URL of one request, or shows a notice with the reason why not.
    fn finish_url_request(
        &mut self,
        request: &UrlRequest,
        result: &Result<ConnectUrls, ApiError>,
        now: Moment,
    ) -> Option<Effect> {
        match result {
            Ok(urls) => {
                let url = match request.copyable {
                    Copyable::Selenium => urls.selenium.clone(),
                    Copyable::LiveView => urls.live_view.clone(),
                    // In fact only `Connect`: the other three are copied without a request.
                    Copyable::Id | Copyable::Connect | Copyable::Dashboard | Copyable::Evidence => {
                        urls.connect.clone()
                    }
                };
                self.deliver_url(request, url, now)
            }
            Err(error) => {
                let text =
                    format!("the {} could not be fetched: {}", request.copyable.name(), error.description());
                self.notify(now, NoticeLevel::Error, text);
                None
            }
        }
    }

    /// Returns the reason why no popup can open now, or `None` if a popup can open. The reason is a clause. A popup
    /// that replaced an input line or a dialog would take the focus. The letters that the user types next would then
    /// act as commands.
    fn blocked_reveal_reason(&self) -> Option<&'static str> {
        match self.focus {
            Focus::Pane(_) => None,
            Focus::Filter { .. } | Focus::AddSession { .. } | Focus::ConfirmRelease { .. } => {
                Some("you typed")
            }
            Focus::CopyMenu { .. } | Focus::Reveal { .. } | Focus::Help { .. } | Focus::Failures { .. } => {
                Some("another window was open")
            }
        }
    }

    /// Copies or shows `url`. Shows a notice instead if the response has no such URL, if the URL is unsafe, or if the
    /// URL must be shown but no popup can open.
    fn deliver_url(&mut self, request: &UrlRequest, url: Option<Secret>, now: Moment) -> Option<Effect> {
        let name = request.copyable.name();
        let status = self.profiles.record(&request.id).and_then(|record| record.status().cloned());
        let Some(url) = url else {
            let reason = match status.filter(|status| status.phase() == Phase::Ended) {
                Some(status) => format!("ended ({}): no {name}", status.sanitise(MAX_STATUS_WIDTH)),
                None => format!("the API's answer has no {name}"),
            };
            self.notify(now, NoticeLevel::Error, reason);
            return None;
        };
        if !text::is_printable(url.expose()) || url.expose().contains(char::is_whitespace) {
            let text = format!("the {name} has characters that no URL has; it is not passed on");
            self.notify(now, NoticeLevel::Error, text);
            return None;
        }
        if !request.must_reveal {
            return Some(Effect::Copy(request.copyable, url));
        }
        // promise: open-dialog
        if let Some(reason) = self.blocked_reveal_reason() {
            self.notify(now, NoticeLevel::Info, format!("the {name} came while {reason}; Y shows it"));
            return None;
        }
        let expires_at = now.boot.saturating_add(REVEAL_DURATION.saturating_mul(self.settings.clock_speed));
        self.notice = None;
        self.focus = Focus::Reveal { id: request.id.clone(), url, expires_at, back: self.focus.pane() };
        None
    }
}
