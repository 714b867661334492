//! Reading and setting fields of a JSON object as Go's typed structs would show them: a missing
//! field, a null and an empty value are the same.

use serde_json::{Map, Value};

pub(super) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}

pub(super) fn number(object: &Value, field: &str) -> i64 {
    object[field].as_i64().unwrap_or_default()
}

pub(super) fn list<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object[field].as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn texts(object: &Value, field: &str) -> Vec<String> {
    list(object, field)
        .iter()
        .map(|v| v.as_str().unwrap_or_default().to_owned())
        .collect()
}

/// The object's map; a value that is no object becomes an empty one.
pub(super) fn map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value
        .as_object_mut()
        .expect("the line above makes it an object")
}

/// Sets a field, or removes it where the value is empty in Go's sense.
pub(super) fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    let value = value.into();
    let empty = match &value {
        Value::Null => true,
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Number(n) => n.as_i64() == Some(0),
        _ => false,
    };
    if empty {
        map(object).remove(field);
    } else {
        map(object).insert(field.to_owned(), value);
    }
}

/// Sets a text field that is missing or empty.
pub(super) fn default_text(object: &mut Value, field: &str, value: &str) {
    if text(object, field).is_empty() {
        map(object).insert(field.to_owned(), value.into());
    }
}

/// The items of a list field, to be changed in place.
pub(super) fn items_mut<'a>(object: &'a mut Value, field: &str) -> &'a mut [Value] {
    object
        .get_mut(field)
        .and_then(Value::as_array_mut)
        .map_or(&mut [], Vec::as_mut_slice)
}
