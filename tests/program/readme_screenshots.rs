//! Draws the README's pictures from the program's own screen. The simulator plays the default scenario, the program's
//! client polls it over HTTP, and the program's view draws the result. Only the clock is scripted.
//!
//! `KEEPWATCH_PICTURES=write cargo test --test program picture` writes the pictures. Without the variable, the test
//! compares the stored pictures with the screen.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use browserbase_simulator::{Scenario, Simulator, SimulatorOptions};
use keepwatch::api::Endpoint;
use keepwatch::api::{Client, ReleasePermission};
use keepwatch::poll::PollLimits;
use keepwatch::poll::{PollOutcome, Report, Request, Scheduler, send_request};
use keepwatch::tui::{Message, Model, ProfileInfo, Settings};
use keepwatch::tui::{Theme, view};
use keepwatch_core::clock::{Clock, Moment};
use keepwatch_core::session::Secret;
use keepwatch_core::session::Targets;
use keepwatch_core::testing::{id, moment_since, time};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

const COLUMNS: u16 = 120;
const ROWS: u16 = 30;
/// Seconds from the start of the scenario to the picture.
const PICTURE_SECOND: u64 = 29;

/// Colours of a picture.
struct Palette {
    name: &'static str,
    /// Background.
    ground: &'static str,
    /// Foreground.
    ink: &'static str,
    /// Foreground of dim text.
    faint: &'static str,
    /// The eight ANSI colours: black, red, green, yellow, blue, magenta, cyan and white.
    colours: [&'static str; 8],
}

const PALETTES: [Palette; 2] = [
    Palette {
        name: "dark",
        ground: "#1d1f21",
        ink: "#c5c8c6",
        faint: "#7d8285",
        colours: ["#1d1f21", "#cc6666", "#b5bd68", "#f0c674", "#81a2be", "#b294bb", "#8abeb7", "#c5c8c6"],
    },
    Palette {
        name: "light",
        ground: "#ffffff",
        ink: "#2e3436",
        faint: "#8a8f90",
        colours: ["#2e3436", "#b3261e", "#3b7a1e", "#8a6500", "#1f5fa8", "#7b3f91", "#0b7285", "#d3d7cf"],
    },
];

/// Polls the default scenario every second for [`PICTURE_SECOND`] seconds. Returns the model after that, and the moment
/// of the picture.
async fn model() -> (Model, Moment) {
    let start = moment_since(time("21:06:20"), 0);
    let clock = Clock::scripted(start);
    let scenario = Scenario {
        latency: browserbase_simulator::HumanDuration::default(),
        ..Scenario::builtin("default").unwrap()
    };
    let simulator = Simulator::start(clock.clone(), scenario, SimulatorOptions::default()).unwrap();
    let base = simulator.base_url().parse().unwrap();
    let client = Client::new(Endpoint { base }, Secret::new("bb_test_picture_f3a9".into()));
    let interval = Duration::from_secs(1);
    let poll_limits = PollLimits { interval, max_rps: 4 };
    let settings = Settings {
        poll_limits,
        theme: Theme::colored(),
        can_open_browser: true,
        release_permission: ReleasePermission::unless_read_only(true),
        version: "0.1.0".into(),
        demo: true,
        ..Settings::default()
    };
    let mut model = Model::new(settings, ProfileInfo::default(), Vec::new(), (COLUMNS, ROWS));
    let mut scheduler = Scheduler::new(&Targets::All, poll_limits, clock.now().mono);
    model.start(clock.now());
    for _ in 0..=PICTURE_SECOND {
        loop {
            let due = scheduler.take_due(clock.now().mono);
            if due.is_empty() {
                break;
            }
            for request in due {
                let report = timed_request(&client, &clock, request).await;
                scheduler.on_outcome(
                    &report.request,
                    PollOutcome::from(&report.result),
                    report.received.mono,
                    0.0, // no jitter
                );
                model.update(Message::Report(model.profiles().first_id(), Box::new(report)), clock.now());
            }
        }
        clock.advance(interval);
    }
    // Select the session with the problem that users report most. keepwatch shows why it ended, which no other tool
    // does.
    model.select(id("6512bd43-d9ca-4e02-9a67-91f2c1a0b3de"));
    model.set_viewport(view::viewport(&model, clock.now()));
    (model, clock.now())
}

/// Sends one request. Returns its report, which has a latency of 84 ms whatever the real latency is.
async fn timed_request(client: &Client, clock: &Clock, request: Request) -> Report {
    let sent = clock.now();
    let response = send_request(client, None, &request).await;
    Report::new(request, sent, sent.plus(Duration::from_millis(84)), response)
}

/// Draws a screen as SVG. Lengths are in pixels.
fn svg(buffer: &Buffer, palette: &Palette) -> String {
    let (cell_width, line_height, margin) = (8.4, 18.0, 10.0);
    let width = f64::from(COLUMNS) * cell_width + 2.0 * margin;
    let height = f64::from(ROWS) * line_height + 2.0 * margin;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"'DejaVu Sans Mono', \
         Menlo, Consolas, monospace\" font-size=\"14\">\n<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{}\"/>\n",
        palette.ground
    );
    for row in 0..ROWS {
        let mut column = 0;
        while column < COLUMNS {
            let first_cell = &buffer[(column, row)];
            let start = column;
            let mut text = String::new();
            // Two spaces end the text element. A font may draw wide letters narrower, which must not shift the text
            // after the gap.
            while column < COLUMNS && same_look(first_cell, &buffer[(column, row)]) && !text.ends_with("  ") {
                let symbol = buffer[(column, row)].symbol();
                text.push_str(symbol);
                // A wide letter takes two cells.
                column += u16::try_from(keepwatch_core::text::width(symbol).max(1)).unwrap();
            }
            if text.trim().is_empty() {
                continue;
            }
            let leading_spaces = u16::try_from(text.len() - text.trim_start().len()).unwrap();
            let text = text.trim();
            let x = f64::from(start + leading_spaces) * cell_width + margin;
            let y = f64::from(row) * line_height + line_height - 4.0 + margin; // of the baseline
            let length = f64::from(u16::try_from(keepwatch_core::text::width(text)).unwrap()) * cell_width;
            let bold =
                if first_cell.modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
            let text = text.replace('&', "&amp;").replace('<', "&lt;");
            writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{length:.1}\" fill=\"{}\"{bold} xml:space=\"preserve\">{text}</text>",
                colour(first_cell, palette)
            )
            .unwrap();
        }
    }
    svg + "</svg>\n"
}

fn same_look(a: &Cell, b: &Cell) -> bool {
    (a.fg, a.modifier) == (b.fg, b.modifier)
}

fn colour(cell: &Cell, palette: &Palette) -> &'static str {
    let [_, red, green, yellow, blue, magenta, cyan, _] = palette.colours;
    match cell.fg {
        Color::Red | Color::LightRed => red,
        Color::Green | Color::LightGreen => green,
        Color::Yellow | Color::LightYellow => yellow,
        Color::Blue | Color::LightBlue => blue,
        Color::Magenta | Color::LightMagenta => magenta,
        Color::Cyan | Color::LightCyan => cyan,
        _ if cell.modifier.contains(Modifier::DIM) => palette.faint,
        _ => palette.ink,
    }
}

#[test]
fn readme_pictures_are_current() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (model, now) = runtime.block_on(model());
    let mut terminal = Terminal::new(TestBackend::new(COLUMNS, ROWS)).unwrap();
    terminal.draw(|frame| view::draw(frame, &model, now)).unwrap();
    for palette in &PALETTES {
        let path = format!("{}/assets/screen-{}.svg", env!("CARGO_MANIFEST_DIR"), palette.name);
        let drawn = svg(terminal.backend().buffer(), palette);
        if std::env::var_os("KEEPWATCH_PICTURES").is_some_and(|it| it == "write") {
            fs::write(&path, &drawn).unwrap();
        }
        let stored = fs::read_to_string(&path).unwrap_or_default();
        assert!(stored == drawn, "{path} is out of date; the README says how to redraw it");
    }
}
