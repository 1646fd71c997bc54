//! Measures the resources of a process over time, with `/proc`. Without `/proc` nothing is measured, and all checks
//! pass.

use std::fmt;
use std::fs;

use browserbase_simulator::Offset;

/// Resources of a process at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measurement {
    /// Resident memory.
    rss_kb: u64,
    /// Largest resident memory since the start of the process.
    peak_kb: u64,
    threads: u64,
    sockets: u64,
    /// Open file descriptors other than sockets.
    files: u64,
    /// CPU time since the start of the process, in hundredths of a second.
    ticks: u64,
}

/// Upper limits of a process's resources.
pub(super) struct ResourceLimits {
    pub(super) threads: u64,
    pub(super) sockets: u64,
    pub(super) files: u64,
    pub(super) rss_kb: u64,
}

impl Measurement {
    /// Reads the resources of a process, or returns `None` without `/proc`.
    pub(super) fn read(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let number = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().nth(0)?.parse().ok()
        };
        let links = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
        let links: Vec<_> = links.filter_map(|link| fs::read_link(link.path()).ok()).collect();
        let sockets = links.iter().filter(|link| link.to_string_lossy().starts_with("socket:")).count();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        // After the program's name, fields 11 and 12, counted from 0, are the user and the system time.
        let ticks = |index: usize| -> Option<u64> { fields.get(index)?.parse().ok() };
        Some(Self {
            rss_kb: number("VmRSS:")?,
            peak_kb: number("VmHWM:")?,
            threads: number("Threads:")?,
            sockets: u64::try_from(sockets).ok()?,
            files: u64::try_from(links.len() - sockets).ok()?,
            ticks: ticks(11)? + ticks(12)?,
        })
    }
}

/// Measurements in order of time.
#[derive(Debug, Default)]
pub(super) struct ResourceHistory(Vec<(Offset, Measurement)>);

impl ResourceHistory {
    pub(super) fn add(&mut self, at: Offset, measurement: Option<Measurement>) {
        self.0.extend(measurement.map(|measurement| (at, measurement)));
    }

    fn max(&self, field: impl Fn(&Measurement) -> u64) -> u64 {
        self.0.iter().map(|(_, measurement)| field(measurement)).max().unwrap_or(0)
    }

    /// Returns the growth of memory in kB a minute, as the slope of the least-squares line through the measurements.
    /// Ignores the measurements before the time `warm_up`.
    fn growth(&self, warm_up: std::time::Duration) -> f64 {
        let points: Vec<(f64, f64)> = self
            .0
            .iter()
            .filter(|(at, _)| *at >= Offset::from_duration(warm_up))
            .map(|(at, measurement)| {
                (at.as_secs_f64() / 60.0, f64::from(u32::try_from(measurement.rss_kb).unwrap()))
            })
            .collect();
        let count = f64::from(u32::try_from(points.len()).unwrap());
        let mean = |value: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / count;
        let (mean_minute, mean_kb) = (mean(&|(minute, _)| *minute), mean(&|(_, kb)| *kb));
        let covariance =
            points.iter().map(|(minute, kb)| (minute - mean_minute) * (kb - mean_kb)).sum::<f64>();
        covariance / points.iter().map(|(minute, _)| (minute - mean_minute).powi(2)).sum::<f64>()
    }

    /// Asserts that no measurement exceeds `limits`. With `growth`, a time and a rate in kB a minute, also asserts that
    /// memory grows no faster than that rate after that time.
    pub(super) fn assert_within(&self, limits: &ResourceLimits, growth: Option<(std::time::Duration, f64)>) {
        let Some((_, last)) = self.0.last() else { return };
        for (unit, used, limit) in [
            ("threads", self.max(|it| it.threads), limits.threads),
            ("sockets", self.max(|it| it.sockets), limits.sockets),
            ("files", self.max(|it| it.files), limits.files),
            ("kB", last.peak_kb, limits.rss_kb),
        ] {
            assert!(used <= limit, "at most {limit} {unit}, not {used}");
        }
        if let Some((warm_up, max_growth)) = growth {
            let growth = self.growth(warm_up);
            assert!(
                growth <= max_growth,
                "memory grows by at most {max_growth:.0} kB a minute, not {growth:.0}"
            );
        }
    }
}

impl fmt::Display for ResourceHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some((_, first)), Some((last_at, last))) = (self.0.first(), self.0.last()) else {
            return writeln!(f, "  no measurements: this system has no /proc");
        };
        let step = (self.0.len() / 20).max(1);
        for (at, measurement) in self.0.iter().step_by(step) {
            let Measurement { rss_kb, threads, sockets, files, .. } = measurement;
            let seconds = at.to_duration().as_secs();
            writeln!(
                f,
                "  {seconds:>5} s  {rss_kb:>6} kB  {threads} threads  {sockets} sockets  {files} files"
            )?;
        }
        let half = last_at.to_duration() / 2;
        writeln!(
            f,
            "  memory: {} kB at the start, {} kB at the end, {} kB at the peak; {:.0} kB a minute in the second half",
            first.rss_kb,
            last.rss_kb,
            last.peak_kb,
            self.growth(half)
        )?;
        writeln!(
            f,
            "  at most {} threads, {} sockets, {} files; {:.1} % of a processor",
            self.max(|it| it.threads),
            self.max(|it| it.sockets),
            self.max(|it| it.files),
            // Hundredths of a second per second are per cent.
            f64::from(u32::try_from(last.ticks).unwrap()) / last_at.to_duration().as_secs_f64()
        )
    }
}

#[test]
fn smallest_leak_exceeds_growth_limit() {
    // A measurement every 6 s for an hour. The noise is in kB.
    let history = |kb_a_minute: u64| {
        let noise = [0, 700, 200, 0, 450, 90, 800];
        let measurements = (0..600_u64).map(|step| {
            // Grows by 10 MB in the first ten minutes, as the program does.
            let rss_kb = 30_000 + 100 * step.min(100) + kb_a_minute * step / 10 + noise[(step % 7) as usize];
            let at = Offset::from_duration(std::time::Duration::from_secs(6 * step));
            (at, Measurement { rss_kb, ..Measurement::default() })
        });
        ResourceHistory(measurements.collect())
    };
    let warm_up = std::time::Duration::from_secs(12 * 60);
    // The smallest allocation for each session and poll, in kB a minute.
    let leak = 32 * super::LIVE_SESSIONS as u64 * (60 / super::INTERVAL.as_secs()) / 1024;
    assert!(history(0).growth(warm_up).abs() < super::MAX_GROWTH / 10.0);
    assert!(history(leak).growth(warm_up) > 2.0 * super::MAX_GROWTH, "{leak} kB a minute");
}
