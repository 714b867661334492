//! Policies of Services.

use std::borrow::Cow;
use std::collections::BTreeSet;

use model::Name;
use model::policy::{
    Given, LabelSelector, Pattern, PolicyField, PolicyRule, Requirement, ServicePolicy,
};
use serde_json::{Map, Value, json};
use strsim::levenshtein;

use super::{Kind, Reading, Syntax, describe, form, item_text, must_be, read_list};

/// Names of fields of a policy.
pub(crate) const POLICY_FIELDS: Kind<BTreeSet<PolicyField>> = Kind {
    form: || form("list of fields of a policy", "FIELD,…", Syntax::List),
    read: |given, reading| {
        let fields = read_list(given, reading, |item| {
            let text = item_text(item)?;
            PolicyField::of_name(text).ok_or_else(|| unknown(text))
        })?;
        Some(fields.into_iter().collect())
    },
    write: |fields| fields.iter().map(|field| field.name()).collect(),
};

/// Rules that give Services a policy.
pub(crate) const POLICY_RULES: Kind<Vec<PolicyRule>> = Kind {
    form: || form("list of policies", "JSON", Syntax::Text),
    read: read_rules,
    write: |rules| rules.iter().map(write_rule).collect(),
};

fn unknown(field: &str) -> String {
    let names = PolicyField::ALL.iter().map(|field| field.name());
    let likely = names.min_by_key(|name| levenshtein(name, field));
    match likely.filter(|name| levenshtein(name, field) <= 2) {
        Some(name) => format!("{field:?} is no field of a policy, is {name} meant?"),
        None => format!("{field:?} is no field of a policy"),
    }
}

/// A mapping whose fields are taken one by one. Fields that are left are unknown.
struct Fields {
    /// Place within the value: `[0].selector`.
    place: String,
    fields: Map<String, Value>,
}

impl Fields {
    fn of(place: String, given: &Value, reading: &mut Reading) -> Option<Self> {
        let fields = given.as_object().cloned();
        let fields = reading.keep(&*place, fields.ok_or_else(|| must_be("a mapping", given)))?;
        Some(Self { place, fields })
    }

    /// Takes the field `name` with its place; `null` counts as absent.
    fn take(&mut self, name: &str) -> Option<(String, Value)> {
        let value = self.fields.remove(name).filter(|value| !value.is_null())?;
        Some((format!("{}.{name}", self.place), value))
    }

    /// Takes a list of texts; empty if it is absent.
    fn texts(&mut self, name: &str, reading: &mut Reading) -> Vec<String> {
        let Some((place, given)) = self.take(name) else {
            return Vec::new();
        };
        let Some(items) = given.as_array() else {
            let _: Option<()> = reading.keep(place, Err(must_be("a list", &given)));
            return Vec::new();
        };
        (items.iter().enumerate())
            .filter_map(|(index, item)| {
                let text = item_text(item).map(str::to_owned);
                reading.keep(format!("{place}[{index}]"), text)
            })
            .collect()
    }

    fn end(self, reading: &mut Reading) {
        for name in self.fields.keys() {
            let problem = Err("is no field".to_owned());
            let _: Option<()> = reading.keep(format!("{}.{name}", self.place), problem);
        }
    }
}

fn read_rules(given: &Value, reading: &mut Reading) -> Option<Vec<PolicyRule>> {
    let items = given.as_array().ok_or_else(|| must_be("a list", given));
    let items = reading.keep("", items)?;
    let mut rules: Vec<PolicyRule> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let place = format!("[{index}]");
        let Some(rule) = read_rule(place.clone(), item, reading) else {
            continue;
        };
        if rules.iter().any(|other| other.name == rule.name) {
            let problem = Err(format!(
                "{:?} is the name of an earlier policy",
                &*rule.name
            ));
            let _: Option<()> = reading.keep(format!("{place}.name"), problem);
        }
        rules.push(rule);
    }
    Some(rules)
}

fn read_rule(place: String, given: &Value, reading: &mut Reading) -> Option<PolicyRule> {
    let mut fields = Fields::of(place, given, reading)?;
    let name = fields.take("name");
    let place = format!("{}.name", fields.place);
    let name = match name.as_ref().and_then(|(_, name)| name.as_str()) {
        Some(name) if !name.is_empty() => Some(Name::from(name)),
        _ => reading.keep(
            place,
            Err("must be a text that names the policy".to_owned()),
        ),
    };
    let namespaces = fields.texts("namespaces", reading);
    let labels = fields
        .take("selector")
        .map(|(place, given)| selector(place, &given, reading));
    let policy = fields
        .take("policy")
        .map(|(place, given)| policy(place, &given, reading));
    fields.end(reading);
    Some(PolicyRule {
        name: name?,
        namespaces: namespaces.iter().map(|text| Pattern::new(text)).collect(),
        labels: labels.unwrap_or_default(),
        policy: policy.unwrap_or_default(),
    })
}

/// Reads a `metav1.LabelSelector`.
fn selector(place: String, given: &Value, reading: &mut Reading) -> LabelSelector {
    let mut selector = LabelSelector::default();
    let Some(mut fields) = Fields::of(place, given, reading) else {
        return selector;
    };
    if let Some((place, labels)) = fields.take("matchLabels")
        && let Some(labels) = Fields::of(place, &labels, reading)
    {
        for (key, value) in &labels.fields {
            let value = item_text(value).map(Name::from);
            let value = reading.keep(format!("{}.{key}", labels.place), value);
            let required =
                value.map(|value| (key.as_str().into(), Requirement::In([value].into())));
            selector.0.extend(required);
        }
    }
    if let Some((place, given)) = fields.take("matchExpressions") {
        let items = given.as_array().ok_or_else(|| must_be("a list", &given));
        let items = reading.keep(&*place, items).into_iter().flatten();
        for (index, item) in items.enumerate() {
            selector
                .0
                .extend(expression(format!("{place}[{index}]"), item, reading));
        }
    }
    fields.end(reading);
    selector
}

/// Reads a `metav1.LabelSelectorRequirement`.
fn expression(place: String, given: &Value, reading: &mut Reading) -> Option<(Name, Requirement)> {
    let mut fields = Fields::of(place, given, reading)?;
    let key = fields
        .take("key")
        .and_then(|(_, key)| Some(Name::from(key.as_str()?)));
    let operator = fields.take("operator");
    let values = fields.texts("values", reading);
    let place = fields.place.clone();
    fields.end(reading);
    let count = values.len();
    let values: BTreeSet<Name> = values.into_iter().map(Name::from).collect();
    let operator = operator
        .as_ref()
        .and_then(|(_, operator)| operator.as_str());
    let requirement = match (operator, count) {
        (Some("In"), 1..) => Ok(Requirement::In(values)),
        (Some("NotIn"), 1..) => Ok(Requirement::NotIn(values)),
        (Some("Exists"), 0) => Ok(Requirement::Exists),
        (Some("DoesNotExist"), 0) => Ok(Requirement::DoesNotExist),
        (Some("In" | "NotIn"), 0) => Err("needs values".to_owned()),
        (Some("Exists" | "DoesNotExist"), _) => Err("must not have values".to_owned()),
        _ => Err("needs the operator In, NotIn, Exists or DoesNotExist".to_owned()),
    };
    let requirement = reading.keep(&*place, requirement);
    let key = reading.keep(place, key.ok_or_else(|| "needs a key".to_owned()));
    Some((key?, requirement?))
}

/// Reads the fields of a policy.
fn policy(place: String, given: &Value, reading: &mut Reading) -> ServicePolicy {
    let mut policy = ServicePolicy::default();
    let Some(fields) = Fields::of(place, given, reading) else {
        return policy;
    };
    for (name, value) in fields.fields.iter().filter(|(_, value)| !value.is_null()) {
        let place = format!("{}.{name}", fields.place);
        let set = PolicyField::of_name(name).ok_or_else(|| "is no field of a policy".to_owned());
        let set = set.and_then(|field| policy.set(field, &as_given(value)?));
        reading.keep(place, set);
    }
    policy
}

/// Returns the value of a policy's field as the model reads it.
pub(crate) fn as_given(value: &Value) -> Result<Given<'_>, String> {
    match value {
        Value::Array(items) => {
            let items = items.iter().map(scalar).collect::<Result<_, _>>()?;
            Ok(Given::List(items))
        }
        Value::Object(fields) => {
            let pair = |(key, value)| Ok((Cow::from(String::as_str(key)), scalar(value)?));
            let pairs = fields.iter().map(pair).collect::<Result<_, String>>()?;
            Ok(Given::Map(pairs))
        }
        value => Ok(Given::Text(scalar(value)?)),
    }
}

fn scalar(value: &Value) -> Result<Cow<'_, str>, String> {
    match value {
        Value::String(text) => Ok(text.into()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string().into()),
        other => Err(format!(
            "must be a text or a number, not {}",
            describe(other)
        )),
    }
}

fn write_rule(rule: &PolicyRule) -> Value {
    let expressions: Vec<Value> = (rule.labels.0.iter())
        .map(|(key, requirement)| match requirement {
            Requirement::In(values) => json!({"key": key, "operator": "In", "values": values}),
            Requirement::NotIn(values) => {
                json!({"key": key, "operator": "NotIn", "values": values})
            }
            Requirement::Exists => json!({"key": key, "operator": "Exists"}),
            Requirement::DoesNotExist => json!({"key": key, "operator": "DoesNotExist"}),
        })
        .collect();
    let namespaces: Vec<String> = rule.namespaces.iter().map(ToString::to_string).collect();
    let policy: Map<String, Value> = (rule.policy.values())
        .map(|(field, value)| (field.name().to_owned(), value.into()))
        .collect();
    let mut written = Map::from_iter([("name".to_owned(), json!(rule.name))]);
    let parts = [
        ("namespaces", !namespaces.is_empty(), json!(namespaces)),
        (
            "selector",
            !expressions.is_empty(),
            json!({"matchExpressions": expressions}),
        ),
        ("policy", !policy.is_empty(), policy.into()),
    ];
    for (field, _, value) in parts.into_iter().filter(|(_, has, _)| *has) {
        written.insert(field.to_owned(), value);
    }
    written.into()
}
