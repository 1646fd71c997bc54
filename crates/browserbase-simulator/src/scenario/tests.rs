//! Valid and invalid scenario files.

use super::*;

#[test]
fn builtin_scenarios_parse_and_have_description() {
    for (name, text) in BUILTIN_SCENARIOS {
        let scenario =
            Scenario::parse_named(text, name, Path::new(name)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(&scenario.name, name);
        assert!(!scenario.about.is_empty(), "{name}");
    }
}

/// The first TOML block of the module's header is a whole scenario. The other blocks form the reference, and only
/// together are a whole scenario.
#[test]
fn scenarios_in_module_header_parse() {
    let header: String = include_str!("../scenario.rs")
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut blocks = header.split("```toml\n").skip(1).map(|block| block.split("```").next().unwrap());
    let parsed_counts = |text: &str| {
        let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{error}"));
        (scenario.sessions.len(), scenario.faults.len(), scenario.expectations.len())
    };
    assert_eq!(parsed_counts(blocks.next().unwrap()), (1, 1, 0));
    assert_eq!(parsed_counts(&blocks.collect::<String>()), (1, 2, 1));
}

#[test]
fn error_names_line_and_problem() {
    // The errors without a line are found after the TOML is parsed.
    for (text, expected) in [
        ("about = 'x'\nlatency = '4 parsecs'", "in line 2: “4 parsecs” is not a length of time"),
        ("[[session]]\ncreated = '-12 moons'", "in line 2: “-12 moons” is not a time"),
        ("[[session]]\nname = 'a'\ncolour = 'red'", "in line 3: unknown field `colour`"),
        (
            "[[session]]\n\n[[session]]\nends = { at = '1s', status = 'RUNNING' }",
            "in line 4: unknown variant",
        ),
        ("[[session]]\nname = 'list'", "in line 2: “list” means requests, and cannot be a session's name"),
        ("\n[[fault]]\nto = '3s'", "in line 2: a fault needs"),
        (
            "\n[[fault]]\nstatus = 429\nreply = 'hang'",
            "in line 2: a fault has either a `status` or a `reply`",
        ),
        ("\n[[fault]]\nstatus = 42", "in line 2: 42 is not an HTTP status"),
        (
            "[[fault]]\non = 'list'\nstatus = 500\nheaders = { 'a b' = '1' }",
            "in line 1: “a b: 1” is not a header",
        ),
        ("[[fault]]\non = 'nobody'\nstatus = 500", "is wrong: a fault is on “nobody”"),
        ("[[session]]\nid = 'a'\n[[session]]\nid = 'a'", "two sessions have the id “a”"),
        ("[[session]]\nrepeat = { every = '1s', count = 200000 }", "more than 100000"),
        ("[[expect]]\nwithin = '9s'\nhaste = 1", "in line 3: unknown field `haste`"),
        ("[[session]]\nid = 'a'\n[[expect]]\nsession = 'a'", "of a needs a `within`"),
        ("[[session]]\nname = 'a'\n[[expect]]\nsession = 'a'\nwithin = '9s'", "of no session that has an id"),
        ("[[expect]]\nwithin = '9s'\nscreen = ['x']", "only with a `session`"),
        ("[[expect]]\nwithin = '9s'\nevents = ['ended']\nnever = ['ended']", "“ended” of all sessions is"),
        ("name = ", "in line 1: "),
    ] {
        let error = Scenario::parse(text).expect_err(text).to_string();
        assert!(error.contains(expected), "{error}\n{text}");
        assert!(!error.contains('\n'), "an error is a single line: {error}");
    }
}

#[test]
fn scenario_is_found_by_name_or_path() {
    assert_eq!(Scenario::find("default").unwrap().name, "default");
    let unknown = Scenario::find("foo").unwrap_err().to_string();
    assert!(unknown.starts_with("no scenario is named “foo”; there are: default"), "{unknown}");
    let unreadable = Scenario::find("nowhere/foo.toml").unwrap_err().to_string();
    assert!(unreadable.starts_with("the scenario nowhere/foo.toml cannot be read: "), "{unreadable}");

    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(file.path(), "[[session]]\n").unwrap();
    let scenario = Scenario::find(file.path().to_str().unwrap()).unwrap();
    assert_eq!(scenario.name, file.path().file_stem().unwrap().to_str().unwrap());
}
