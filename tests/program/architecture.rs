//! Holds the table "Who may import whom" of ARCHITECTURE.md against the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

const CRATES: [&str; 4] = ["tokio", "reqwest", "ratatui", "crossterm"];

struct Rule {
    may_use: BTreeSet<String>,
    never: BTreeSet<String>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The rows of the table: module → what it may use, what never.
fn rules() -> BTreeMap<String, Rule> {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let table = page.split("## Who may import whom").nth(1).unwrap().split("\n## ").next().unwrap();
    let words = |cell: &str| -> BTreeSet<String> {
        cell.split(',')
            .map(|word| word.trim().trim_matches('`').to_owned())
            .filter(|word| !word.is_empty())
            .collect()
    };
    table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            let module = cells[0].trim().trim_matches('`').to_owned();
            (module, Rule { may_use: words(cells[1]), never: words(cells[2]) })
        })
        .collect()
}

/// Every source file, with the module of the top level that it belongs to.
fn sources() -> Vec<(String, PathBuf)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|it| it == "rs") {
                found.push(path);
            }
        }
    }
    let src = root().join("src");
    let mut found = Vec::new();
    walk(&src, &mut found);
    let module = |path: &Path| {
        let first = path.strip_prefix(&src).unwrap().components().next().unwrap();
        first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
    };
    found.into_iter().map(|path| (module(&path), path)).collect()
}

/// Collects the first two names of every path: `crate::text`, `tokio::sync`. Tests are left out.
#[derive(Default)]
struct Paths(BTreeSet<(String, String)>);

impl Paths {
    fn tree(&mut self, prefix: &[String], tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => {
                let mut prefix = prefix.to_vec();
                prefix.push(path.ident.to_string());
                self.tree(&prefix, &path.tree);
            }
            syn::UseTree::Name(name) => self.add(prefix, &name.ident.to_string()),
            syn::UseTree::Rename(name) => self.add(prefix, &name.ident.to_string()),
            syn::UseTree::Glob(_) => self.add(prefix, "*"),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(prefix, tree)),
        }
    }

    fn add(&mut self, prefix: &[String], last: &str) {
        let mut names = prefix.iter().map(String::as_str).chain([last]);
        self.0.insert((
            names.next().unwrap_or_default().to_owned(),
            names.next().unwrap_or_default().to_owned(),
        ));
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|it| {
        it.path().is_ident("cfg")
            && it.meta.require_list().is_ok_and(|list| list.tokens.to_string().contains("test"))
    })
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            self.tree(&[], &item.tree);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let [prefix @ .., last] = names.as_slice()
            && !prefix.is_empty()
        {
            self.add(prefix, last);
        }
        visit::visit_path(self, path);
    }
}

/// Files that exist for tests alone: `mod x;` of them stands under `cfg(test)`.
fn is_test_file(path: &Path) -> bool {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    name == "tests"
        || name == "fixture"
        || name.ends_with("_tests")
        || path.components().any(|it| it.as_os_str() == "tests")
}

#[test]
fn modules_use_only_what_the_table_lets_them() {
    let rules = rules();
    let mut wrong = Vec::new();
    for (module, path) in sources() {
        if module == "lib" || is_test_file(&path) {
            continue;
        }
        let rule = rules.get(&module).unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for `{module}`"));
        let mut paths = Paths::default();
        paths.visit_file(&syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap());
        for (first, second) in paths.0 {
            let ours = first == "crate" || first == "keepwatch";
            if ours && rules.contains_key(&second) && second != module && !rule.may_use.contains(&second) {
                wrong.push(format!("{}: {module} may not use {second}", path.display()));
            }
            if CRATES.contains(&first.as_str()) && rule.never.contains(&first) {
                wrong.push(format!("{}: {module} may never use {first}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_has_a_row_for_each_module_and_no_other() {
    let modules: BTreeSet<String> =
        sources().into_iter().map(|(module, _)| module).filter(|module| module != "lib").collect();
    assert_eq!(rules().keys().cloned().collect::<BTreeSet<_>>(), modules);
}
