//! `keepwatch explain SESSION_ID`: the evidence of one session, by one request for it and one for its project.
//!
//! It goes through the same record as everything that is watched, so the text is what the screen would give of a session
//! that was seen once.

use super::get::{exit_of, sentence};
use super::{complain, print};
use crate::api::Client;
use crate::app::Observed;
use crate::clock::Clock;
use crate::config::{Exit, ExplainConfig, Refusal};
use crate::poll::{Report, Request, perform};
use crate::text;
use crate::watch::{Fleet, Input, Thresholds, evidence};

/// Prints the evidence. A session that is not there has some, too: that, when, and the API's request id.
///
/// # Errors
/// Standard output can not be written.
pub async fn explain(config: ExplainConfig) -> Result<Exit, Refusal> {
    let (client, clock) = (Client::new(config.source.endpoint, config.source.key), Clock::system());
    let mut fleet = Fleet::new(Thresholds::default());
    fleet.apply(Input::Asked { at: clock.now(), ids: vec![config.id.clone()] });
    let report = ask(&client, &clock, Request::Session(config.id.clone())).await;
    let mut exit = Exit::Fine;
    if let Err(fault) = &report.outcome {
        complain(&sentence(&config.id, fault));
        exit = exit_of(fault);
        if !fault.is_absence() {
            return Ok(exit);
        }
    }
    take(&mut fleet, report);
    if exit == Exit::Fine {
        // For the default timeout alone: where the key may not list projects, the evidence does without.
        let report = ask(&client, &clock, Request::Projects).await;
        if report.outcome.is_ok() {
            take(&mut fleet, report);
        }
    }
    let text = evidence::text(&fleet, &config.id, config.options).unwrap_or_default();
    print(&if config.ascii { text::to_ascii(&text) } else { text })?;
    Ok(exit)
}

async fn ask(client: &Client, clock: &Clock, request: Request) -> Report {
    let sent = clock.now();
    let answer = perform(client, None, &request).await;
    Report::new(request, sent, clock.now(), answer)
}

fn take(fleet: &mut Fleet, report: Report) {
    if let Some(input) = Observed::from(report).input {
        fleet.apply(input);
    }
}
