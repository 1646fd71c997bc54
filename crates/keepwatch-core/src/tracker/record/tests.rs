use super::*;
use crate::clock::saturating_add;
use crate::session::ApiErrorKind;
use crate::testing::{self, noon, running_session, time};

/// Returns the timing of a request that was answered at once, at this time of the day.
fn timing(text: &str) -> RequestTiming {
    let seconds = time(text).signed_duration_since(noon()).as_seconds_f64();
    testing::request_timing(seconds, seconds)
}

/// Returns a record of a session that started at noon, expires at 12:10, and was last seen at `seen`.
fn record(status: Status, seen: &str) -> Record {
    let session = running_session("a", time("12:00:00"), Duration::from_secs(600));
    Record {
        session: Some(Session { status, ..session }),
        last_response: Some(std::sync::Arc::new(timing(seen))),
        ..Record::new(testing::id("a"), true)
    }
}

fn time_left(record: &Record, now: &str) -> TimeLeft {
    record.time_left(&ServerClock::default(), time(now))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn overdue_needs_request_sent_after_expiry() {
    let before_expiry = record(Status::Running, "12:09:59");
    for (now, expected) in [
        ("12:00:00", TimeLeft::Remaining(secs(600))),
        ("12:09:58.999", TimeLeft::Remaining(secs(2))),
        ("12:09:59", TimeLeft::Remaining(secs(1))),
        ("12:09:59.999", TimeLeft::Remaining(secs(1))),
        ("12:10:00", TimeLeft::Expiring),
        ("12:10:00.999", TimeLeft::Expiring),
        ("12:30:00", TimeLeft::Expiring),
    ] {
        assert_eq!(time_left(&before_expiry, now), expected, "{now}");
    }
    let at_expiry = record(Status::Running, "12:10:00");
    assert_eq!(
        time_left(&at_expiry, "12:10:05"),
        TimeLeft::Expiring,
        "a request sent at the expiry, not after it, proves nothing"
    );
    let soon_after_expiry = record(Status::Running, "12:10:05");
    assert_eq!(
        time_left(&soon_after_expiry, "12:10:09"),
        TimeLeft::Expiring,
        "a healthy API may need some seconds to end a session"
    );
    for status in [Status::Running, Status::Pending] {
        let mut after_expiry = record(status, "12:10:05.100");
        after_expiry.is_overdue = true;
        assert_eq!(time_left(&after_expiry, "12:10:05.900"), TimeLeft::Overdue(secs(5)));
        assert_eq!(
            time_left(&after_expiry, "13:10:00"),
            TimeLeft::Overdue(secs(5)),
            "the overrun counts only up to the newest request"
        );
    }
    let later = record(Status::Running, "12:11:05.900");
    assert_eq!(time_left(&later, "12:11:06"), TimeLeft::Overdue(secs(65)));
}

#[test]
fn all_countdowns_change_together() {
    let mut fractional = record(Status::Running, "12:00:00");
    fractional.session.as_mut().unwrap().expires = Some(time("12:10:00.750"));
    let whole = record(Status::Running, "12:00:00");
    for now in ["12:05:00", "12:05:00.249", "12:05:00.251", "12:05:00.751", "12:05:00.999"] {
        assert_eq!(
            (time_left(&whole, now), time_left(&fractional, now)),
            (TimeLeft::Remaining(secs(300)), TimeLeft::Remaining(secs(300))),
            "{now}"
        );
    }
    assert_eq!(time_left(&fractional, "12:05:01"), TimeLeft::Remaining(secs(299)));
}

#[test]
fn countdown_depends_on_state() {
    assert_eq!(time_left(&Record::new(testing::id("a"), true), "12:00:00"), TimeLeft::Unknown);
    assert_eq!(time_left(&record(Status::Pending, "12:00:00"), "12:30:00"), TimeLeft::Starting);
    for ended in [Status::Completed, Status::TimedOut, Status::Error] {
        assert_eq!(time_left(&record(ended, "12:00:00"), "12:01:00"), TimeLeft::Ended);
    }
    let unknown_status = record(Status::from_api("HIBERNATING"), "12:00:00");
    assert_eq!(time_left(&unknown_status, "12:09:00"), TimeLeft::Remaining(secs(60)));
    let mut without_expiry = record(Status::Running, "12:00:00");
    without_expiry.session.as_mut().unwrap().expires = None;
    assert_eq!(time_left(&without_expiry, "12:00:00"), TimeLeft::Unknown);
    let mut not_found = record(Status::Running, "12:00:00");
    not_found.presence = Presence::NotFound(Box::new(NotFoundSince {
        since: timing("12:01:00"),
        error: ApiErrorKind::NotFound.into(),
        next: None,
    }));
    assert_eq!(
        (time_left(&not_found, "12:01:00"), not_found.age(time("12:01:00"))),
        (TimeLeft::Unknown, None)
    );
}

#[test]
fn extreme_timestamps_do_not_panic() {
    let mut extreme = record(Status::Running, "12:00:00");
    let session = extreme.session.as_mut().unwrap();
    (session.started, session.expires) = (Some(Timestamp::MIN_UTC), Some(Timestamp::MAX_UTC));
    assert!(matches!(time_left(&extreme, "12:00:00"), TimeLeft::Remaining(_)));
    assert!(extreme.age(Timestamp::MAX_UTC).is_some());
    extreme.session.as_mut().unwrap().expires = Some(Timestamp::MIN_UTC);
    assert!(matches!(time_left(&extreme, "12:00:00"), TimeLeft::Overdue(_)));
    assert_eq!(extreme.age(saturating_add(Timestamp::MIN_UTC, secs(5))), Some(secs(5)));
}

#[test]
fn age_stops_at_the_end() {
    let mut record = record(Status::Running, "12:00:00");
    assert_eq!(record.age(time("12:00:59.900")), Some(secs(59)));
    assert_eq!(record.age(time("11:59:59")), None, "a session has no age before its start");
    record.session.as_mut().unwrap().status = Status::Completed;
    record.session.as_mut().unwrap().ended = Some(time("12:04:00"));
    let when = TimeInterval { earliest: None, latest: time("12:04:00") };
    record.ended = Some(Box::new(ObservedEnd {
        when,
        ended_at_fits: true,
        end_interval: None,
        first_response: timing("12:05:00"),
    }));
    assert_eq!(record.age(time("12:09:00")), Some(secs(240)));
}
