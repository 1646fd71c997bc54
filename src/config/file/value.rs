//! Converts TOML values to the syntax of the command line. The parsers of the options validate the values later.

use toml::de::DeValue;

use crate::config::file_schema::{FileOption, OptionKind};

/// The error for a switch whose value is not a boolean.
pub(super) const NOT_A_BOOLEAN: &str = "it is true or false, without quotes";

/// Returns the value of an option in the syntax of the command line. A list becomes one text with commas.
pub(super) fn option_text(option: &FileOption, value: &DeValue<'_>) -> Result<String, String> {
    match (option.kind, value) {
        (OptionKind::Switch, DeValue::Boolean(on)) => Ok(on.to_string()),
        (OptionKind::Switch, _) => Err(NOT_A_BOOLEAN.into()),
        (OptionKind::List, DeValue::Array(elements)) if !elements.is_empty() => {
            let texts: Result<Vec<String>, String> =
                elements.iter().map(|element| scalar_text(element.get_ref())).collect();
            Ok(texts?.join(","))
        }
        (OptionKind::List, DeValue::Array(_)) => Err("the list is empty".into()),
        (OptionKind::Value, DeValue::Array(_)) => Err("it takes one value, not a list".into()),
        (OptionKind::Value | OptionKind::List, value) => scalar_text(value),
    }
}

/// Returns the elements of a list, or a single value, in the syntax of the command line.
pub(super) fn list_texts(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    match value {
        DeValue::Array(elements) if elements.is_empty() => Err("the list is empty".into()),
        DeValue::Array(elements) => elements.iter().map(|element| scalar_text(element.get_ref())).collect(),
        value => scalar_text(value).map(|text| vec![text]),
    }
}

/// Returns a single value in the syntax of the command line. Returns an error for a list or a table.
fn scalar_text(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| "the number is too large".to_owned()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(_) => Err("it takes a value, not true or false".into()),
        DeValue::Datetime(_) => Err("it takes no date".into()),
        DeValue::Array(_) => Err("it takes no list in a list".into()),
        DeValue::Table(_) => Err("it is an option, not a table".into()),
    }
}

/// Returns a program and its arguments. Returns `None` if `value` is not an array of strings, or if the first string,
/// the program, is blank or missing.
pub(super) fn argv(value: &DeValue<'_>) -> Option<Vec<String>> {
    let words: Option<Vec<String>> =
        value.as_array()?.iter().map(|word| word.get_ref().as_str().map(str::to_owned)).collect();
    words.filter(|words| words.first().is_some_and(|program| !program.trim().is_empty()))
}
