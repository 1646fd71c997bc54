//! Tests that the number of the poller's tasks is limited by requests and connections, and does not grow with sessions
//! or faults.

use std::time::Duration;

use browserbase_simulator::{FaultResponse, chaos};
use keepwatch::api::Client;
use keepwatch::api::Endpoint;
use keepwatch::poll::IngestedReport;
use keepwatch::poll::PollLimits;
use keepwatch::poll::{Poller, Report};
use keepwatch_core::clock::Clock;
use keepwatch_core::session::Secret;
use keepwatch_core::session::Targets;
use keepwatch_core::tracker::{AlertThresholds, SessionTracker};
use tokio::sync::mpsc;

use crate::harness::{KEY, TestSimulator};

/// Speed of the clock.
const SPEED: u32 = 40;
/// Length of the test, in the time of the scaled clock.
const TEST_LENGTH: Duration = Duration::from_secs(4 * 60);
/// Maximum number of tasks: one for the poller, four for the requests in flight, four for their connections, and four
/// for connections that are being replaced.
const MAX_TASKS: usize = 1 + 4 + 4 + 4;
/// Number of reports that the test must exceed, so that it meets enough kinds of faults.
const MIN_REPORTS: usize = 100;

#[test]
fn task_count_is_bounded_during_faults() {
    let clock = Clock::scaled(SPEED);
    let mut scenario = chaos::scenario(chaos::DEFAULT_SEED, 200);
    // Faults that delay responses are left out: they would take real time.
    scenario.faults.retain(|fault| !matches!(fault.response, FaultResponse::Hang) && fault.delay.is_zero());
    let api = TestSimulator::start_with_clock(clock.clone(), scenario);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (max_tasks, report_count, tracker) = runtime.block_on(async {
        let client = Client::new(Endpoint { base: api.url.parse().unwrap() }, Secret::new(KEY.into()));
        let (report_sender, mut report_receiver) = mpsc::channel::<Report>(16);
        let poll_limits = PollLimits { interval: Duration::from_secs(3), max_rps: 20 };
        let _poller = Poller::spawn(client, None, &Targets::All, poll_limits, clock.clone(), report_sender);
        let metrics = tokio::runtime::Handle::current().metrics();
        let (mut max_tasks, mut count, mut tracker) = (0, 0_usize, SessionTracker::new(AlertThresholds::none()));
        let mut end = clock.now().mono + TEST_LENGTH;
        let latest = end + 20 * TEST_LENGTH;
        loop {
            tokio::select! {
                Some(report) = report_receiver.recv() => {
                    count += 1;
                    max_tasks = max_tasks.max(metrics.num_alive_tasks());
                    IngestedReport::from(report).input.into_iter().for_each(|input| drop(tracker.apply(input)));
                }
                () = keepwatch::timer::sleep_until(&clock, end) => {
                    // On a busy machine fewer polls fit into the same time of the scaled clock.
                    if count > MIN_REPORTS || end >= latest {
                        return (max_tasks, count, tracker);
                    }
                    end += TEST_LENGTH;
                }
            }
        }
    });
    println!("{max_tasks} tasks at most, {report_count} reports of {} sessions", tracker.len());
    assert!(max_tasks <= MAX_TASKS, "at most {MAX_TASKS} tasks are alive, not {max_tasks}");
    assert!(
        report_count > MIN_REPORTS && tracker.len() > 200,
        "more than {MIN_REPORTS} reports of more than 200 sessions arrive, not {report_count} of {}",
        tracker.len()
    );
}
